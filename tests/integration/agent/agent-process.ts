/** A real agent process, the real container engine, and a control plane that a test scripts. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import Docker from 'dockerode';
import { systemClock } from '../../../node-agent/adapters/system/system-clock.ts';
import type { TaskGroup } from '../../../shared/domain/job.ts';
import type { AssignedTask, TaskStatus } from '../../../shared/protocol/agent.ts';
import { aGroup } from '../../support/builders.ts';
import { FakeControlPlane } from '../../support/fake-control-plane.ts';
import { type FakeControlPlaneServer, JOIN_TOKEN, serveControlPlane } from '../../support/fake-control-plane-server.ts';
import { endProcessTasks } from '../../support/process-tasks.ts';

export const IMAGE = 'berth/busybox:local';

const root = join(import.meta.dirname, '../../..');
const DEADLINE_MS = 30_000;
const POLL_MS = 20;

/** Tells the nodes of one test run apart. */
let made = 0;

export class AgentUnderTest {
  readonly controlPlane: FakeControlPlane;
  readonly docker = new Docker({ socketPath: '/var/run/docker.sock' });
  readonly #server: FakeControlPlaneServer;
  readonly stateDir: string;
  readonly nodeId: string;
  #process: ChildProcess | null = null;
  /** Beside what this process has in its own. Of its machine's GPUs it is to have none. */
  readonly env: Record<string, string> = { BERTH_GPUS: 'none' };
  /** What the agents have written to their log so far. */
  log = '';

  private constructor(controlPlane: FakeControlPlane, server: FakeControlPlaneServer, stateDir: string) {
    this.controlPlane = controlPlane;
    this.#server = server;
    this.stateDir = stateDir;
    made += 1;
    this.nodeId = `test-${process.pid}-${made}`;
  }

  /** `at`: its state folder, where another one has been before. */
  static async make(at: string | null = null): Promise<AgentUnderTest> {
    const stateDir = at ?? (await mkdtemp(join(tmpdir(), 'berth-agent-')));
    const controlPlane = new FakeControlPlane({ clock: systemClock, heartbeatIntervalMs: 500 });
    return new AgentUnderTest(controlPlane, await serveControlPlane(controlPlane), stateDir);
  }

  get server(): FakeControlPlaneServer {
    return this.#server;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  start(...args: readonly string[]): ChildProcess {
    const all = [
      join(root, 'node-agent/main.ts'),
      '--control-plane',
      this.#server.url,
      '--join-token',
      JOIN_TOKEN,
      '--state-dir',
      basename(this.stateDir),
      '--node-id',
      this.nodeId,
      ...args,
    ];
    const child = spawn(process.execPath, all, {
      stdio: ['ignore', 'ignore', 'pipe'],
      cwd: dirname(this.stateDir),
      env: { ...process.env, ...this.env },
    });
    child.stderr?.on('data', (chunk: Buffer) => {
      this.log += chunk.toString('utf8');
    });
    this.#process = child;
    return child;
  }

  /** Ends the agent's process; resolves with its exit code, or the signal that ended it. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | string> {
    const child = this.#process;
    if (child === null || child.exitCode !== null) throw new Error('there is no agent to end');
    return new Promise((resolve) => {
      child.once('exit', (code, by) => resolve(code ?? by ?? 'unknown'));
      child.kill(signal);
    });
  }

  /** Ends everything that the test has begun, containers too. */
  async dispose(): Promise<void> {
    if (this.#process !== null && this.#process.exitCode === null && this.#process.signalCode === null) {
      await this.end('SIGKILL');
    }
    this.#endDeadMen();
    await endProcessTasks(join(this.stateDir, 'tasks'));
    for (const { Id } of await this.containers()) await this.docker.getContainer(Id).remove({ force: true });
    await this.#server.close();
    await rm(this.stateDir, { recursive: true, force: true });
  }

  /** Those whose program lies in the state folder. */
  #endDeadMen(): void {
    for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
      const command = readCommand(Number(name));
      if (command[1] === join(this.stateDir, 'fence', 'dead-man.sh')) process.kill(Number(name), 'SIGKILL');
    }
  }

  /** Every container of this node. */
  containers(): Promise<Docker.ContainerInfo[]> {
    return this.docker.listContainers({ all: true, filters: { label: [`io.berth.node=${this.nodeId}`] } });
  }

  async containerOf(task: string): Promise<Docker.ContainerInspectInfo> {
    const found = (await this.containers()).find((info) => info.Labels['io.berth.task'] === task);
    if (found === undefined) throw new Error(`there is no container of task ${task}`);
    return this.docker.getContainer(found.Id).inspect();
  }

  /** Puts a task into the ledger. Its id says which node it is on, since all tests share one engine. */
  assign(id: string, group: Partial<TaskGroup> = {}, change: Partial<AssignedTask> = {}): string {
    const task = `${id}-${this.nodeId}`;
    this.controlPlane.assign({
      id: task,
      jobUid: 'uid1',
      jobName: 'job',
      jobVersion: 1,
      role: 'default',
      groupName: 'main',
      index: 3,
      attempt: 0,
      run: 0,
      state: 'staging',
      group: { ...aGroup({ image: IMAGE, network: 'none', resources: { cpus: 0.5, memMiB: 32 } }), ...group },
      stopAfterDisconnectMs: null,
      ports: {},
      stop: null,
      disowned: false,
      ...change,
    });
    return task;
  }

  /** Waits until the task has ended, and says how. */
  async ended(task: string): Promise<TaskStatus> {
    return this.until(`the end of ${task}`, () => {
      const last = this.controlPlane.historyOf(task).at(-1);
      return last !== undefined && !['starting', 'running'].includes(last.state) ? last : null;
    });
  }

  async running(task: string): Promise<void> {
    await this.until(`${task} to run`, () => (this.controlPlane.stateOf(task) === 'running' ? true : null));
  }

  /** Waits until `look` gives something. Fails with the agent's log. */
  async until<T>(what: string, look: () => T | null | Promise<T | null>): Promise<T> {
    const deadlineMs = performance.now() + DEADLINE_MS;
    for (;;) {
      const found = await look();
      if (found !== null) return found;
      if (performance.now() > deadlineMs) throw new Error(`waited in vain for ${what}\n${this.log}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }
}

function readCommand(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}
