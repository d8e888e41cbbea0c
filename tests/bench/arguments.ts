/** What `npm run bench --` is given: which parts to run, and how much of each. */
import { parseArgs } from 'node:util';

export const PARTS = [
  'latency',
  'bulk',
  'agent',
  'store',
  'planning',
  'allocator',
  'mesos-state',
  'failover',
  'balancer',
  'mesos-streams',
  'rolling',
  'replace',
  'edge',
] as const;
export type PartName = (typeof PARTS)[number];

export const NETWORKS = ['host', 'bridge'] as const;
export type Network = (typeof NETWORKS)[number];

export interface Settings {
  readonly parts: readonly PartName[];
  readonly networks: readonly Network[];
  /** Pairs of a start through Berth and one on the bare engine, per network. */
  readonly pairs: number;
  /** Containers of the one job in `bulk`. */
  readonly containers: number;
  /** How often `bulk` goes through Berth and all concurrencies. */
  readonly rounds: number;
  readonly concurrencies: readonly number[];
  /** Ledger changes after which the agent's memory is read. */
  readonly changes: readonly [number, number];
  /** How often `failover` kills a node, and as often a replica. */
  readonly kills: number;
  /** Of a node's lease in `failover`. */
  readonly leaseSeconds: number;
  /** Each with a stream, in `mesos-streams`. */
  readonly frameworks: number;
  /** How often all of them are made an offer, in each of its turns. */
  readonly offerings: number;
  /** How often a service is rolled in each order, on each side, in `rolling`. */
  readonly rolls: number;
  /** A folder for the profiles of replica and agent; null: they aren't profiled. */
  readonly profiles: string | null;
}

const OPTIONS = {
  network: { type: 'string', default: NETWORKS.join(',') },
  pairs: { type: 'string', default: '60' },
  containers: { type: 'string', default: '50' },
  rounds: { type: 'string', default: '1' },
  concurrency: { type: 'string', default: '1,2,3,4,6,8' },
  changes: { type: 'string', default: '2500,10000' },
  kills: { type: 'string', default: '20' },
  lease: { type: 'string', default: '10' },
  frameworks: { type: 'string', default: '1000' },
  offerings: { type: 'string', default: '4' },
  rolls: { type: 'string', default: '5' },
  profiles: { type: 'string' },
  help: { type: 'boolean', default: false },
} as const;

export const USAGE = `usage: npm run bench -- [${PARTS.join(' | ')}]... [options]

  --network LIST      ${NETWORKS.join(',')}: the containers' network (default: both)
  --pairs N           latency: pairs per network; replace: kills, each way (60)
  --containers N      bulk: containers of the job (50)
  --rounds N          bulk: times through all concurrencies (1)
  --concurrency LIST  bulk: what the bare engine is tried with (1,2,3,4,6,8)
  --changes A,B       agent: ledger changes before its memory is read (2500,10000)
  --kills N           failover: nodes that are killed, and as many replicas (20)
  --lease SECONDS     failover: of the nodes' leases, 5 at the least (10)
  --frameworks N      mesos-streams: frameworks with a stream each (1000)
  --offerings N       mesos-streams: rounds that offer to all, in each of four turns (4)
  --rolls N           rolling: of each side, in each order and network (5)
  --profiles FOLDER   profile replica and agent with --cpu-prof into this folder
`;

/** Throws an error that says what is wrong with them. */
export function readSettings(args: readonly string[]): Settings | 'help' {
  const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
  if (values.help) return 'help';
  const parts = positionals.map((name) => oneOf(PARTS, name, 'part'));
  const [first, second] = list(values.changes).map((value) => whole('--changes', value));
  if (first === undefined || second === undefined || second < first) {
    throw new Error('--changes takes two numbers, the smaller first, such as 2500,10000');
  }
  return {
    parts: parts.length === 0 ? PARTS : PARTS.filter((part) => parts.includes(part)),
    networks: list(values.network).map((name) => oneOf(NETWORKS, name, '--network')),
    pairs: whole('--pairs', values.pairs),
    containers: whole('--containers', values.containers),
    rounds: whole('--rounds', values.rounds),
    concurrencies: list(values.concurrency).map((value) => whole('--concurrency', value)),
    changes: [first, second],
    kills: whole('--kills', values.kills),
    leaseSeconds: whole('--lease', values.lease),
    frameworks: whole('--frameworks', values.frameworks),
    offerings: whole('--offerings', values.offerings),
    rolls: whole('--rolls', values.rolls),
    profiles: values.profiles ?? null,
  };
}

function list(value: string): string[] {
  return value.split(',').map((item) => item.trim());
}

function oneOf<T extends string>(known: readonly T[], value: string, what: string): T {
  const found = known.find((name) => name === value);
  if (found === undefined) throw new Error(`${what} "${value}" is not one of ${known.join(', ')}`);
  return found;
}

function whole(name: string, value: string): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1) throw new Error(`${name} "${value}" is not a whole number above 0`);
  return number;
}
