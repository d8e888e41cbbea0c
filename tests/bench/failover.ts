/**
 * How long work waits for a part that dies. Nodes: from the SIGKILL of an agent until its task's replacement runs on another
 * node, for a job that waits for nothing (`replaceAfterSeconds: 0`). Replicas: from the SIGKILL of the one that drives until a
 * job that is submitted in that moment has its place. The floor of the first is the node's lease, which nobody can shorten
 * without taking a busy node for a dead one.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LABELS } from '../../node-agent/adapters/docker/container-options.ts';
import type { JobSpecInput } from '../../shared/protocol/job.ts';
import type { StatusView } from '../../shared/protocol/views.ts';
import { freePort } from '../support/etcd.ts';
import type { Settings } from './arguments.ts';
import { Child, pause } from './child.ts';
import { nodeOf, type Start, type StartedReplica, startAgent, startEtcd, startReplica } from './cluster.ts';
import { Engine } from './engine.ts';
import { EventFeed } from './event-feed.ts';
import { engineParts, ProcessorMeter } from './processor-time.ts';
import type { Figure, Section, Table } from './report.ts';
import { Rest } from './rest.ts';
import { distributionOf } from './statistics.ts';

const REPLICAS = 3;
/** Those that are killed together, and as many for their tasks to go to. */
const NODES_KILLED_TOGETHER = 2;
const NODES = 2 * NODES_KILLED_TOGETHER;
const BEYOND_LEASE_SECONDS_MAX = 1.5;
const NEXT_ROUND_SECONDS_MAX = 2;
const REST_MS = 200;
const DRIVER_ATTEMPTS_MAX = 50;

export async function measureFailover(settings: Settings): Promise<Section> {
  const engine = new Engine(process.env['DOCKER_HOST']);
  const fleet = await Fleet.start(settings.leaseSeconds, engine);
  const meter = new ProcessorMeter(engineParts());
  const rest = new Rest();
  try {
    meter.resume();
    const nodes: number[] = [];
    const replicas: number[] = [];
    while (nodes.length < settings.kills || replicas.length < settings.kills) {
      if (nodes.length < settings.kills) nodes.push(...(await fleet.killNodes()));
      for (let kills = 0; kills < NODES_KILLED_TOGETHER && replicas.length < settings.kills; kills += 1) {
        replicas.push(await fleet.killDriver());
      }
      await rest.take(REST_MS);
    }
    meter.pause();
    return sectionOf({ nodes, replicas }, settings, { processor: meter.use(0), othersPercent: rest.busyPercent });
  } finally {
    await fleet.stop();
    engine.close();
  }
}

/** In seconds. */
interface Measured {
  readonly nodes: readonly number[];
  readonly replicas: readonly number[];
}

function sectionOf(
  { nodes, replicas }: Measured,
  { leaseSeconds }: Settings,
  around: Pick<Section, 'processor' | 'othersPercent'>,
): Section {
  const [node, replica] = [distributionOf(nodes), distributionOf(replicas)];
  const figure = (name: string, measured: number, target: number, note: string): Figure => {
    return { name: `failover: ${name}`, unit: 's', measured, target, note };
  };
  const ratio = (node.p99 / leaseSeconds).toFixed(2);
  const row = (name: string, { count, p50, p95, p99, min, max }: typeof node) => [name, count, p50, p95, p99, min, max];
  const table: Table = {
    title: 'From the SIGKILL, s',
    columns: ['', 'kills', 'p50', 'p95', 'p99', 'min', 'max'],
    rows: [row('node → its replacement runs', node), row('driving replica → the next task is placed', replica)],
  };
  return {
    name: `failover, ${leaseSeconds} s lease`,
    figures: [
      figure('node, p99', node.p99, leaseSeconds + BEYOND_LEASE_SECONDS_MAX, `${ratio} × the lease`),
      figure('replica, p99', replica.p99, NEXT_ROUND_SECONDS_MAX, 'until the next round is committed'),
      figure('replica, at worst', replica.max, NEXT_ROUND_SECONDS_MAX, 'the same'),
    ],
    tables: [table],
    ...around,
  };
}

/** Replicas and agents of which each may be killed, and comes back. */
class Fleet {
  readonly #folder = mkdtempSync(join(tmpdir(), 'berth-failover-'));
  readonly #engine: Engine;
  readonly #leaseSeconds: number;
  readonly #children: Child[] = [];
  readonly #agents = new Map<string, Child>();
  #replicas: StartedReplica[] = [];
  #etcd = '';
  #jobs = 0;

  private constructor(leaseSeconds: number, engine: Engine) {
    this.#leaseSeconds = leaseSeconds;
    this.#engine = engine;
  }

  static async start(leaseSeconds: number, engine: Engine): Promise<Fleet> {
    const fleet = new Fleet(leaseSeconds, engine);
    try {
      await fleet.#begin();
      return fleet;
    } catch (error) {
      await fleet.stop();
      throw error;
    }
  }

  async #begin(): Promise<void> {
    this.#etcd = await startEtcd(this.#folder, this.#start);
    for (let count = 0; count < REPLICAS; count += 1) this.#replicas.push(await this.#newReplica(await freePort()));
    for (let count = 0; count < NODES; count += 1) await this.#bringUp(`bench-failover-${count}`);
  }

  /** Nodes die at once, each with one task of a job. Seconds until the replacement of each was seen to run. */
  async killNodes(): Promise<number[]> {
    const { api } = this.#anyReplica;
    const name = await this.#spreadOut();
    const victims = [...this.#agents.keys()].slice(0, NODES_KILLED_TOGETHER);
    const feed = await EventFeed.open(api);
    const replaced = new Map<string, number>();
    const all = feed.collect(name, ({ type, task, seenAtMs }) => {
      if (type === 'task.running' && task !== null) replaced.set(task, seenAtMs);
      return replaced.size === NODES_KILLED_TOGETHER;
    });
    const killedAtMs = await Promise.all(victims.map((node) => this.#agents.get(node)?.kill() ?? Number.NaN));
    await all;
    feed.close();
    // Which replacement is whose makes no difference of note: they were killed within a millisecond.
    const seconds = [...replaced.values()].map((atMs, at) => (atMs - (killedAtMs[at] ?? Number.NaN)) / 1000);
    for (const node of victims) await this.#bringUp(node);
    await this.#remove(name);
    await this.#emptied();
    return seconds;
  }

  /** The replica that drives dies; a job is submitted to another one at once. Seconds until the job's task has its place. */
  async killDriver(): Promise<number> {
    const driver = await this.#driver();
    this.#replicas = this.#replicas.filter((replica) => replica !== driver);
    const { api } = this.#anyReplica;
    const feed = await EventFeed.open(api);
    const name = this.#nextName();
    const placed = feed.collect(name, ({ type }) => type === 'task.staging');
    const killedAtMs = await driver.child.kill();
    await api.expect({ method: 'POST', path: '/v1/jobs', body: sleepers(name, 1) }, 201);
    const placedAtMs = (await placed).at(-1)?.seenAtMs ?? Number.NaN;
    feed.close();
    // At the address that agents know.
    this.#replicas.push(await this.#newReplica(Number(new URL(driver.url).port)));
    await this.#remove(name);
    return (placedAtMs - killedAtMs) / 1000;
  }

  async stop(): Promise<void> {
    for (const child of [...this.#children].reverse()) await child.stop();
    for (const node of this.#agents.keys()) await this.#removeContainers(node);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get #anyReplica(): StartedReplica {
    const [replica] = this.#replicas;
    if (replica === undefined) throw new Error('a cluster has replicas');
    return replica;
  }

  readonly #start: Start = (name, command, args) => {
    const logFile = join(this.#folder, `${name.replaceAll(' ', '-')}.log`);
    const child = new Child({ name, command, args, logFile });
    this.#children.push(child);
    return child;
  };

  #newReplica(port: number): Promise<StartedReplica> {
    const settings = ['--lease-ttl', String(this.#leaseSeconds)];
    return startReplica({ folder: this.#folder, etcd: this.#etcd, profiles: null, start: this.#start, port, settings });
  }

  async #bringUp(node: string): Promise<void> {
    if (!this.#agents.has(node)) await this.#removeContainers(node);
    const urls = this.#replicas.map(({ url }) => url);
    const cluster = { folder: this.#folder, profiles: null, start: this.#start, api: this.#anyReplica.api };
    this.#agents.delete(node);
    this.#agents.set(node, await startAgent({ ...cluster, node, urls }));
  }

  async #removeContainers(node: string): Promise<void> {
    await this.#engine.remove(await this.#engine.withLabel(`${LABELS.node}=${node}`));
  }

  /** The one that the cluster's status names, found by its own address. */
  async #driver(): Promise<StartedReplica> {
    for (let attempt = 0; attempt < DRIVER_ATTEMPTS_MAX; attempt += 1) {
      const text = await this.#anyReplica.api.expect({ method: 'GET', path: '/v1/status' }, 200);
      const { driver, replicas } = JSON.parse(text) as StatusView;
      const url = replicas.find(({ id }) => id === driver)?.url;
      const found = this.#replicas.find((replica) => replica.url === url);
      if (found !== undefined) return found;
      await pause(REST_MS);
    }
    throw new Error('nobody drives');
  }

  /** A job with one running task on each node. */
  async #spreadOut(): Promise<string> {
    const { api } = this.#anyReplica;
    const feed = await EventFeed.open(api);
    const name = this.#nextName();
    let running = 0;
    const all = feed.collect(name, ({ type }) => {
      if (type === 'task.running') running += 1;
      return running === NODES;
    });
    await api.expect({ method: 'POST', path: '/v1/jobs', body: sleepers(name, NODES) }, 201);
    await all;
    feed.close();
    return name;
  }

  #nextName(): string {
    this.#jobs += 1;
    return `failover-${this.#jobs}`;
  }

  async #remove(job: string): Promise<void> {
    await this.#anyReplica.api.expect({ method: 'DELETE', path: `/v1/jobs/${job}` }, 202);
  }

  /** Waits until no node holds anything: not even what was given up while it was away. */
  async #emptied(): Promise<void> {
    const { api, child } = this.#anyReplica;
    await child.until('all nodes to be empty', async () => {
      const nodes = await Promise.all([...this.#agents.keys()].map((node) => nodeOf(api, node)));
      return nodes.every(({ state, tasks }) => state === 'ready' && tasks === 0);
    });
  }
}

/** Tasks that run until they are killed, one to a node where there are as many nodes, and are replaced as soon as may be. */
function sleepers(name: string, count: number): JobSpecInput {
  const group = { image: 'berth/busybox:local', command: ['sleep', '3600'], killGraceSeconds: 0, count };
  return {
    name,
    placement: 'spread',
    replaceAfterSeconds: 0,
    groups: [{ ...group, network: 'host', retries: { max: 5, delaySeconds: 0 } }],
  };
}
