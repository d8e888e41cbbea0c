/**
 * The cluster that is tormented: three members of etcd, three replicas and three machines, each machine with an agent, an engine
 * and a small disk of its own. Between any two of them lies a wire that can be cut, held or slowed down; only the clients, which
 * play whoever stands behind a balancer, reach the replicas straight.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Docker from 'dockerode';
import { CryptoRandom } from '../../../control-plane/adapters/random/crypto-random.ts';
import { randomId } from '../../../shared/util/random.ts';
import { TcpProxy } from '../../store/tcp-proxy.ts';
import { freePort, startMembers, type TestEtcd } from '../../support/etcd.ts';
import { clientOf, eventually, Process } from '../../support/processes.ts';
import { findFakeTime, SettableClock } from './clocks.ts';
import { PrivateEngine } from './private-engine.ts';
import { SmallDisk } from './small-disk.ts';

export const LEASE_TTL_SECONDS = 5;
const REPLICAS = 3;
const MACHINES = 3;
const MEMBERS = 3;
/** So many tasks of one core each may run on a machine at a time. */
export const MACHINE_CPUS = 3;

export interface Member {
  readonly name: string;
  readonly etcd: TestEtcd;
  /** What the other members send to it. */
  readonly peerLink: TcpProxy;
}

export interface Replica {
  readonly name: string;
  readonly url: string;
  readonly process: Process;
  readonly clock: SettableClock | null;
  /** To each member of etcd. */
  readonly storeLinks: readonly TcpProxy[];
}

export interface Machine {
  readonly name: string;
  readonly agent: Process;
  /** Of its engine. */
  readonly docker: Docker;
  /** Null where all machines have to share the one that is there. */
  readonly engine: PrivateEngine | null;
  /** Under the agent's state; null where nothing may be mounted. */
  readonly disk: SmallDisk | null;
  readonly clock: SettableClock | null;
  /** To each replica. */
  readonly uplinks: readonly TcpProxy[];
}

export interface World {
  /** Where logs and histories lie. */
  readonly folder: string;
  readonly witnessFolder: string;
  readonly token: string;
  readonly members: readonly Member[];
  readonly replicas: readonly Replica[];
  readonly machines: readonly Machine[];
  /** One more, whose view of the state is as fresh as can be, with nothing between it and etcd. */
  startFreshReplica(): Promise<Replica>;
  /** Ends all that was started. The folder stays if it is asked for. */
  stop(options: { readonly keepFolder: boolean }): Promise<void>;
}

/** Engines and disks of their own need root: namespaces and mounts. */
export function hasWholeMachines(): boolean {
  return process.getuid?.() === 0;
}

/** Without root, machines are no more than their agents, and faults of whole machines can't be made. */
export async function startWorld(signal: AbortSignal): Promise<World> {
  const builder = new WorldBuilder(signal);
  try {
    return await builder.build();
  } catch (error) {
    await builder.stop({ keepFolder: true });
    throw error;
  }
}

class WorldBuilder {
  readonly #folder = mkdtempSync(join(tmpdir(), 'berth-chaos-'));
  readonly #witnessFolder = join(this.#folder, 'witness');
  readonly #suffix = randomId(new CryptoRandom(), 5);
  readonly #fakeTime = findFakeTime();
  readonly #signal: AbortSignal;
  readonly #links: TcpProxy[] = [];
  readonly #members: Member[] = [];
  readonly #replicas: Replica[] = [];
  readonly #machines: Machine[] = [];
  readonly #killAtExit = () => {
    for (const { pid } of this.#processes()) if (pid !== null) killQuietly(pid);
  };

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  async build(): Promise<World> {
    process.once('exit', this.#killAtExit);
    mkdirSync(this.#witnessFolder, { mode: 0o777 });
    await this.#startMembers();
    for (let at = 0; at < REPLICAS; at += 1)
      await this.#startReplica(`replica-${at}`, (url) => this.#link(portOf(url)));
    const token = readFileSync(this.#tokenFile, 'utf8').trim();
    await Promise.all(Array.from({ length: MACHINES }, (_, at) => this.#startMachine(at, token)));
    return {
      folder: this.#folder,
      witnessFolder: this.#witnessFolder,
      token,
      members: this.#members,
      replicas: [...this.#replicas],
      machines: this.#machines,
      startFreshReplica: () => this.#startReplica('replica-fresh', () => Promise.resolve(null)),
      stop: (options) => this.stop(options),
    };
  }

  async stop({ keepFolder }: { readonly keepFolder: boolean }): Promise<void> {
    for (const { process: one } of this.#replicas) await one.kill();
    for (const { name, agent, docker, engine, disk } of this.#machines) {
      await agent.kill();
      if (engine === null) await removeContainers(docker, name);
      await engine?.remove();
      disk?.unmount();
    }
    await Promise.all(this.#members.map(({ etcd }) => etcd.stop()));
    await Promise.all(this.#links.map((link) => link.close()));
    if (!keepFolder) rmSync(this.#folder, { recursive: true, force: true });
    process.off('exit', this.#killAtExit);
  }

  get #tokenFile(): string {
    return join(this.#folder, 'admin-token');
  }

  #processes(): { pid: number | null }[] {
    const own = [...this.#replicas.map((replica) => replica.process), ...this.#machines.map(({ agent }) => agent)];
    const engines = this.#machines.flatMap(({ engine }) => engine?.process ?? []);
    return [...own.filter(({ isRunning }) => isRunning), ...engines.filter(({ isRunning }) => isRunning)];
  }

  async #link(port: number): Promise<TcpProxy> {
    this.#signal.throwIfAborted();
    const link = await TcpProxy.start(port);
    this.#links.push(link);
    return link;
  }

  async #startMembers(): Promise<void> {
    const peerLinks = new Map<string, TcpProxy>();
    const members = await startMembers(MEMBERS, {
      peerLink: async (port) => {
        const link = await this.#link(port);
        peerLinks.set(link.url, link);
        return link.url;
      },
    });
    for (const [at, etcd] of members.entries()) {
      const peerLink = peerLinks.get(etcd.peerUrl);
      if (peerLink === undefined) throw new Error('each member is reached over a link of its own');
      this.#members.push({ name: `member-${at}`, etcd, peerLink });
    }
  }

  async #startReplica(name: string, link: (url: string) => Promise<TcpProxy | null>): Promise<Replica> {
    const links = await Promise.all(this.#members.map(({ etcd }) => link(etcd.url)));
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const clock = this.#clock(name);
    const args = [
      'control-plane/main-node.ts',
      ...this.#members.flatMap(({ etcd }, at) => ['--etcd', links[at]?.url ?? etcd.url]),
      ...['--listen', `127.0.0.1:${port}`, '--bootstrap-token-file', this.#tokenFile],
      ...['--lease-ttl', String(LEASE_TTL_SECONDS)],
    ];
    const program = new Process(args, join(this.#folder, `${name}.log`), { env: clock?.env ?? {} });
    const storeLinks = links.filter((each) => each !== null);
    const replica = { name, url, process: program, clock, storeLinks };
    this.#replicas.push(replica);
    program.start();
    await eventually(`${name} to be ready`, async () => (await fetch(`${url}/readyz`)).ok);
    return replica;
  }

  async #startMachine(at: number, token: string): Promise<void> {
    const name = `chaos-${this.#suffix}-${at}`;
    const home = join(this.#folder, name);
    mkdirSync(home);
    const engine = this.#engine(name, home, at);
    const stateDir = join(home, 'state');
    const disk = engine === null ? null : new SmallDisk(stateDir);
    const uplinks = await Promise.all(this.#replicas.map(({ url }) => this.#link(portOf(url))));
    const clock = this.#clock(name);
    const client = clientOf(this.#replicas[at % REPLICAS]?.url ?? '', token);
    const join1 = await client.createToken({ kind: 'join', subject: name });
    const args = [
      'node-agent/main.ts',
      ...uplinks.flatMap((link) => ['--control-plane', link.url]),
      ...['--join-token', join1.token, '--node-id', name, '--state-dir', stateDir],
      ...(engine === null ? [] : ['--docker-socket', engine.socketPath]),
      ...['--allow-host-mount', this.#witnessFolder, '--gpus', 'none'],
      ...['--resources', `cpus=${MACHINE_CPUS},memMiB=4096,diskMiB=10000`, '--keep-ended-max', '10'],
    ];
    const agent = new Process(args, join(this.#folder, `${name}.log`), { env: clock?.env ?? {} });
    this.#machines.push({ name, agent, docker: engine?.docker ?? new Docker(), engine, disk, clock, uplinks });
    disk?.mount();
    await engine?.start();
    await engine?.loadImage(new Docker());
    agent.start();
    await eventually(`node ${name} to be ready`, async () => (await client.nodes.get(name)).state === 'ready');
  }

  #engine(name: string, home: string, at: number): PrivateEngine | null {
    if (!hasWholeMachines()) return null;
    const logFile = join(this.#folder, `${name}-engine.log`);
    return new PrivateEngine({ folder: join(home, 'engine'), name, logFile, keepsContainers: at % 2 === 0 });
  }

  #clock(name: string): SettableClock | null {
    return this.#fakeTime === null ? null : new SettableClock(this.#fakeTime, join(this.#folder, `${name}.clock`));
  }
}

async function removeContainers(docker: Docker, node: string): Promise<void> {
  const containers = await docker.listContainers({ all: true, filters: { label: [`io.berth.node=${node}`] } });
  await Promise.all(containers.map(({ Id: id }) => docker.getContainer(id).remove({ force: true, v: true })));
}

function portOf(url: string): number {
  return Number(new URL(url).port);
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended meanwhile.
  }
}
