/**
 * Three replicas on an etcd that writes to disk, and nodes that are records alone: no agent has part in an offer. All of them are
 * opened for offers at once and closed again, by writing their ledgers; an offer takes a whole one.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Etcd3, type Watcher } from 'etcd3';
import { EtcdStore } from '../../control-plane/adapters/etcd/etcd-store.ts';
import { keys, PREFIX } from '../../control-plane/store/keys.ts';
import { putRecord } from '../../control-plane/store/records.ts';
import type { Resources } from '../../shared/domain/resources.ts';
import { aLedger, aNode, someResources } from '../support/builders.ts';
import { Child, pause } from './child.ts';
import { type Start, type StartedReplica, startEtcd, startReplica } from './cluster.ts';
import type { Part } from './processor-time.ts';
import { nowMs, type Target } from './streams-client.ts';

const REPLICAS = 3;
const PROBE = join(import.meta.dirname, 'memory-probe.ts');
const LEDGERS_PER_WRITE = 100;
const LOOK_MS = 50;
const WAIT_MAX_MS = 60_000;
const LEDGERS = `${PREFIX}ledger/`;
const CONNECTIONS = `${PREFIX}connections/`;
/** Of which nobody wants less than all. */
const NODE: Resources = { ...someResources(), cpus: 4 };
const SETTINGS = { offerTimeoutSeconds: 3600, minAllocatable: [{ cpus: 4 }] };
const TOKEN_SECONDS = 3600;

/** An offer as a bare watch on etcd sees it, which is as early as anybody can. */
export interface CommittedOffer {
  /** By the clock of the replica that runs rounds. */
  readonly madeAtMs: number;
  readonly seenAtMs: number;
}

/** In bytes, summed over the replicas. */
export interface Weight {
  readonly rss: number;
  /** Of V8's heap and of what its objects hold outside of it. */
  readonly held: number;
}

interface SeenLedger {
  readonly value: Buffer;
  readonly atMs: number;
}

export class StreamsFleet {
  readonly #folder = mkdtempSync(join(tmpdir(), 'berth-streams-'));
  readonly #children: Child[] = [];
  readonly #replicas: StartedReplica[] = [];
  readonly #profiles: string | null;
  readonly #nodes: readonly string[];
  #store: EtcdStore | null = null;
  #watcher: Watcher | null = null;
  #bare: Etcd3 | null = null;
  #seen: SeenLedger[] = [];

  private constructor(nodes: number, profiles: string | null) {
    this.#nodes = Array.from({ length: nodes }, (_, at) => `bench-${at}`);
    this.#profiles = profiles;
  }

  static async start(nodes: number, profiles: string | null): Promise<StreamsFleet> {
    const fleet = new StreamsFleet(nodes, profiles);
    try {
      await fleet.#begin();
      return fleet;
    } catch (error) {
      await fleet.stop();
      throw error;
    }
  }

  async #begin(): Promise<void> {
    const etcd = await startEtcd(this.#folder, this.#start);
    this.#bare = new Etcd3({ hosts: [etcd] });
    for (let count = 1; count <= REPLICAS; count += 1) {
      const flags = ['--expose-gc', '--import', PROBE];
      const common = { folder: this.#folder, etcd, profiles: this.#profiles, start: this.#start };
      this.#replicas.push(await startReplica({ ...common, flags, name: `replica ${count}` }));
    }
    await this.#anyApi.expect({ method: 'PUT', path: '/v1/settings', body: SETTINGS }, 200);
    this.#store = new EtcdStore({ hosts: [etcd] });
    for (const id of this.#nodes) {
      const writes = [
        putRecord('nodes', keys.node(id), aNode({ id, resources: NODE })),
        putRecord('epochs', keys.epoch(id), { epoch: 1, unreachableSinceMs: null }),
        // On no lease, so that no heartbeat is missed.
        putRecord('alive', keys.alive(id), { epoch: 1 }),
        putRecord('ledger', keys.ledger(id), aLedger({ node: id, total: NODE, eligible: false })),
      ];
      await this.#store.transact({ compares: [], writes });
    }
    this.#watcher = await this.#bare.watch().prefix(LEDGERS).create();
    this.#watcher.on('data', ({ events }) => {
      const atMs = nowMs();
      for (const { type, kv } of events) if (type === 'Put') this.#seen.push({ value: kv.value, atMs });
    });
  }

  /** The replicas, for a principal of that name: one alone may not have all the frameworks. */
  async targetsOf(subject: string): Promise<Target[]> {
    const body = { kind: 'user', subject, roles: ['*'], actions: ['*'], ttlSeconds: TOKEN_SECONDS };
    const text = await this.#anyApi.expect({ method: 'POST', path: '/v1/tokens', body }, 201);
    const { token } = JSON.parse(text) as { readonly token: string };
    return this.#replicas.map(({ url }) => ({ port: Number(new URL(url).port), authorization: `Bearer ${token}` }));
  }

  get parts(): Part[] {
    return this.#children.map(({ name, pid }) => ({ name, pids: [pid] }));
  }

  /** One node for each framework that is connected. */
  async offerAll(): Promise<void> {
    await this.#writeLedgers(true);
  }

  async withdrawAll(): Promise<void> {
    await this.#writeLedgers(false);
  }

  async #writeLedgers(eligible: boolean): Promise<void> {
    for (let from = 0; from < this.#nodes.length; from += LEDGERS_PER_WRITE) {
      const some = this.#nodes.slice(from, from + LEDGERS_PER_WRITE);
      const writes = some.map((node) =>
        putRecord('ledger', keys.ledger(node), aLedger({ node, total: NODE, eligible })),
      );
      await this.#store?.transact({ compares: [], writes });
    }
  }

  /** The offers that a bare watch has seen since this was last asked. */
  takeCommitted(): Map<string, CommittedOffer> {
    const committed = new Map<string, CommittedOffer>();
    for (const { value, atMs } of this.#seen.splice(0)) {
      for (const [id, { madeAtMs }] of offersOf(value.toString('utf8'))) {
        if (!committed.has(id)) committed.set(id, { madeAtMs, seenAtMs: atMs });
      }
    }
    return committed;
  }

  /** Waits until so many frameworks are connected by what is on record. */
  async connected(count: number): Promise<void> {
    const bare = this.#bare;
    if (bare === null) throw new Error('the fleet has been started');
    await until(
      `${count} connected frameworks`,
      async () => (await bare.getAll().prefix(CONNECTIONS).count()) === count,
    );
  }

  /** After everything that can be collected was. */
  async weigh(): Promise<Weight> {
    const weights = await Promise.all(this.#replicas.map(({ child }) => this.#weightOf(child)));
    const sum = (of: (weight: Weight) => number) => weights.reduce((total, weight) => total + of(weight), 0);
    return { rss: sum(({ rss }) => rss), held: sum(({ held }) => held) };
  }

  async stop(): Promise<void> {
    await this.#watcher?.cancel();
    this.#bare?.close();
    await this.#store?.close();
    for (const child of [...this.#children].reverse()) await child.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #weightOf({ name, pid }: Child): Promise<Weight> {
    const path = this.#logOf(name);
    const before = probesIn(readFileSync(path, 'utf8')).length;
    process.kill(pid, 'SIGUSR2');
    let latest: Weight | undefined;
    await until(`the weight of ${name}`, async () => {
      const probes = probesIn(readFileSync(path, 'utf8'));
      latest = probes.at(-1);
      return probes.length > before;
    });
    if (latest === undefined) throw new Error(`${name} has said what it weighs`);
    return latest;
  }

  get #anyApi() {
    const [replica] = this.#replicas;
    if (replica === undefined) throw new Error('a fleet has replicas');
    return replica.api;
  }

  #logOf(name: string): string {
    return join(this.#folder, `${name.replaceAll(' ', '-')}.log`);
  }

  readonly #start: Start = (name, command, args) => {
    const child = new Child({ name, command, args, logFile: this.#logOf(name) });
    this.#children.push(child);
    return child;
  };
}

/** Of a ledger as it lies in etcd, by id. */
function offersOf(text: string): [string, { readonly madeAtMs: number }][] {
  const { offers } = JSON.parse(text) as { readonly offers: Readonly<Record<string, { readonly madeAtMs: number }>> };
  return Object.entries(offers);
}

function probesIn(log: string): Weight[] {
  return log.split('\n').flatMap((line) => {
    if (!line.startsWith('{"probe":') || !line.endsWith('}')) return [];
    const { probe } = JSON.parse(line) as {
      readonly probe: { readonly rss: number; readonly heapUsed: number; readonly external: number };
    };
    return [{ rss: probe.rss, held: probe.heapUsed + probe.external }];
  });
}

export async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + WAIT_MAX_MS;
  while (!(await isSo())) {
    if (performance.now() > deadlineMs) throw new Error(`waited ${WAIT_MAX_MS} ms in vain for ${what}`);
    await pause(LOOK_MS);
  }
}
