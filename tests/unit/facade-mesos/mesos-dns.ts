/**
 * What mesos-dns makes of `/master/state.json`: which fields it insists on, which types its decoder takes, and which names and
 * services come of it. One field of a wrong type, and nothing of the whole document is taken.
 */
import { z } from 'zod';

/** `slave(1)@10.0.0.1:5051`: one at, and behind it a host and a port. */
const pid = z.string().regex(/^[^@]+@(\[[^\]]+\]|[^@:]+):\d+$/);

const labels = z.array(z.object({ key: z.string(), value: z.string().optional() }));
const address = z.object({ ip_address: z.string().optional() });
const network = z.object({ ip_addresses: z.array(address).optional(), name: z.string().optional() });

const status = z.object({
  timestamp: z.number(),
  state: z.string(),
  labels: labels.optional(),
  container_status: z.object({ network_infos: z.array(network).optional() }).optional(),
});

const discovery = z.object({
  visibility: z.string(),
  name: z.string().optional(),
  labels: z.object({ labels }).optional(),
  ports: z.object({ ports: z.array(z.object({ protocol: z.string(), number: z.int(), name: z.string() })) }).optional(),
});

const task = z.object({
  framework_id: z.string(),
  id: z.string(),
  name: z.string(),
  slave_id: z.string(),
  state: z.string(),
  statuses: z.array(status),
  resources: z.object({ ports: z.string().default('') }),
  discovery: discovery.optional(),
});

const stateSchema = z.object({
  leader: z.string(),
  // Without a pid, it fails at the node; with an empty one of a framework, at all.
  slaves: z.array(z.object({ id: z.string(), hostname: z.string(), pid })),
  frameworks: z.array(z.object({ name: z.string(), hostname: z.string(), pid: pid.optional(), tasks: z.array(task) })),
});

type DnsTask = z.output<typeof task>;

export interface DnsRecords {
  readonly leader: string;
  /** Addresses by name. */
  readonly a: Readonly<Record<string, readonly string[]>>;
  /** `name:port` by service. */
  readonly srv: Readonly<Record<string, readonly string[]>>;
}

/** Throws where mesos-dns would give up. */
export function dnsRecords(state: unknown): DnsRecords {
  const { leader, slaves, frameworks } = stateSchema.parse(state);
  const hosts = new Map(slaves.map((slave) => [slave.id, slave.pid.slice(slave.pid.indexOf('@') + 1)]));
  const a: Record<string, string[]> = {};
  const srv: Record<string, string[]> = {};
  const add = (records: Record<string, string[]>, name: string, value: string) => {
    records[name] = [...new Set([...(records[name] ?? []), value])];
  };
  for (const framework of frameworks) {
    const parts = framework.name.split('.').map(label);
    const domain = [...parts.filter((one) => one !== ''), 'mesos'].join('.');
    if (/^\d+(\.\d+){3}$/.test(framework.hostname)) add(a, domain, framework.hostname);
    for (const one of framework.tasks) {
      const host = hosts.get(one.slave_id)?.replace(/:\d+$/, '');
      if (host === undefined || one.state !== 'TASK_RUNNING') continue;
      for (const name of namesOf(one)) add(a, `${name}.${domain}`, addressOf(one) ?? host);
      const name = label(one.name);
      for (const port of portsOf(one)) add(srv, `_${name}._tcp.${domain}`, `${name}.${domain}:${port}`);
      for (const port of one.discovery?.ports?.ports ?? []) {
        add(srv, `_${port.name}._${name}._${port.protocol}.${domain}`, `${name}.${domain}:${port.number}`);
      }
    }
  }
  return { leader: leaderHost(leader), a, srv };
}

/** What it is called in its task and, as it stands, where it says how it wants to be found. */
function namesOf({ name, discovery: found }: DnsTask): string[] {
  return [...new Set([label(name), ...(found?.name === undefined ? [] : [found.name])])];
}

function label(name: string): string {
  return name
    .toLowerCase()
    .replaceAll(/[._]/g, '-')
    .replaceAll(/[^a-z0-9-]/g, '')
    .replaceAll(/^-+|-+$/g, '');
}

/** Of the latest status that says it runs; that is looked at first. */
function addressOf({ statuses }: DnsTask): string | undefined {
  const running = statuses.filter(({ state, timestamp }) => state === 'TASK_RUNNING' && timestamp > -1);
  const latest = running.sort((x, y) => y.timestamp - x.timestamp)[0];
  return latest?.container_status?.network_infos?.[0]?.ip_addresses?.[0]?.ip_address;
}

/** Fails at a range without a hyphen. */
function portsOf({ resources }: DnsTask): number[] {
  const [, list = ''] = /^\[(.*)\]$/.exec(resources.ports) ?? [];
  return list.split(',').flatMap((range) => {
    if (range.trim() === '') return [];
    const [from, to] = z.tuple([z.coerce.number(), z.coerce.number()]).parse(range.trim().split('-'));
    return Array.from({ length: to - from + 1 }, (_, n) => from + n);
  });
}

/** Exactly one at, then host and port. */
function leaderHost(leader: string): string {
  const [, host] = /^[^@]+@([^@]+):\d+$/.exec(leader) ?? [];
  if (host === undefined) throw new Error(`no leader in "${leader}"`);
  return host;
}
