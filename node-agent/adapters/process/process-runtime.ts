/**
 * Tasks without a container as a {@link Runtime}: processes of the machine, each with a user and a folder of its own. What is asked of
 * an engine elsewhere is here in folders on disk, so that nothing has to be there all the time but a supervisor for each task, and
 * whoever looks next finds what there is.
 */
import { readdir, realpath } from 'node:fs/promises';
import { TASK_ID_PATTERN } from '../../../shared/domain/ids.ts';
import type { LogLine } from '../../../shared/protocol/agent.ts';
import type { Clock } from '../../../shared/util/clock.ts';
import type { Random } from '../../../shared/util/random.ts';
import type { Container } from '../../core/model.ts';
import type { Place } from '../../core/task-environment.ts';
import {
  type ContainerRequest,
  type ExecResult,
  type Log,
  type LogRequest,
  type PullResult,
  type RunResult,
  type Runtime,
  RuntimeFault,
  type RuntimeListener,
  type Subscription,
} from '../../executor/contracts.ts';
import { Cgroups } from './cgroups.ts';
import { EndWatch } from './end-watch.ts';
import { execBeside } from './exec.ts';
import { words } from './faults.ts';
import { readOutput } from './output-reader.ts';
import { signalTree } from './process-tree.ts';
import { Supervisors } from './supervisors.ts';
import { type Found, TaskFolders } from './task-folders.ts';
import { TaskOutput } from './task-output.ts';
import { type UserIdRange, UserIds } from './user-ids.ts';

export interface ProcessRuntimeOptions {
  /** The tasks' folders are made in it. Everybody may enter it. */
  readonly dir: string;
  /** Where all agents of the machine note which users they have given to tasks; emptied by a reboot. */
  readonly userIdsDir: string;
  readonly userIds: UserIdRange;
  /** Users of the machine that a task may ask for by name. */
  readonly users: readonly string[];
  readonly place: Place;
  /** Of the machine's present life. */
  readonly bootId: string | null;
  /** What is kept of each task's output at most. */
  readonly logMaxMiB: number;
  /** Where the kernel tells its hierarchies of cgroups: `/proc/self/mounts`. */
  readonly mountsFile: string;
  /** Runs the supervisors: `/bin/sh`. */
  readonly shell: string;
  /** Where programs are found, by supervisors and by tasks. */
  readonly path: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export class ProcessRuntime implements Runtime {
  readonly #options: ProcessRuntimeOptions;
  readonly #folders: TaskFolders;
  readonly #supervisors: Supervisors;
  readonly #watch: EndWatch;
  /** The output that is being watched or read, by container. */
  readonly #outputs = new Map<string, { readonly output: TaskOutput; holders: number }>();
  /** Which limits the machine can't hold a task to. */
  readonly unlimited: readonly string[];

  private constructor(options: ProcessRuntimeOptions, cgroups: Cgroups | null, supervisors: Supervisors) {
    this.#options = options;
    const userIds = new UserIds(options.userIds, options.userIdsDir, options.random);
    this.#supervisors = supervisors;
    this.#folders = new TaskFolders({ ...options, cgroups, userIds });
    this.#watch = new EndWatch({
      dir: supervisors.endsDir,
      clock: options.clock,
      isOver: (task) => this.#isOver(task),
      onLook: (container) => this.#outputs.get(container)?.output.date(),
      onSeen: (container, isRunning) => {
        const found = this.#folders.known(container);
        if (!isRunning) this.#letGo(container);
        else if (found !== undefined) this.#hold(found);
      },
    });
    this.unlimited = ['cpu', 'memory', 'pids'].filter((name) => !cgroups?.limits.some((limit) => limit === name));
  }

  /** Throws a {@link RuntimeFault} that says what the machine lacks. */
  static async open(options: ProcessRuntimeOptions): Promise<ProcessRuntime> {
    const supervisors = new Supervisors(options);
    await supervisors.prepare();
    const runtime = new ProcessRuntime(
      options,
      await Cgroups.open(options.place.nodeId, options.mountsFile),
      supervisors,
    );
    await faulted('take up the tasks of an earlier agent', () => runtime.#folders.takeUp());
    return runtime;
  }

  /** Whether an agent has left any there, ended ones too. */
  static async hasTasks(dir: string): Promise<boolean> {
    const names = await readdir(dir).catch(() => []);
    return names.some((name) => TASK_ID_PATTERN.test(name));
  }

  list(): Promise<readonly Container[]> {
    return faulted('list the tasks without a container', async () => {
      const containers = await this.#folders.list();
      this.#watch.set(containers.filter(({ state }) => state === 'running'));
      return containers;
    });
  }

  inspect(container: string): Promise<Container | null> {
    return faulted('look at a task without a container', async () => {
      const found = await this.#folders.inspect(container);
      if (found?.state !== 'running') this.#watch.drop(container);
      return found;
    });
  }

  /** There is nothing to be had first. */
  async hasImage(): Promise<boolean> {
    return true;
  }

  async pullImage(): Promise<PullResult> {
    return { type: 'failed', message: 'a task without a container has no image' };
  }

  async run(request: ContainerRequest, beforeStart: (container: string) => Promise<void>): Promise<RunResult> {
    const made = await faulted('make the folder of a task', () => this.#folders.make(request));
    if (made.type === 'refused') return made;
    const { id } = made.record;
    await beforeStart(id);
    return faulted('start a task without a container', async () => {
      const refusal = await this.#supervisors.start(made);
      if (refusal !== null) {
        await this.#folders.remove(id);
        return refusal;
      }
      const container: Container = {
        ...{ id, task: request.assigned.id, run: request.run, state: 'running' },
        ...{ exitCode: null, outOfMemory: false, error: '' },
        ...{ startedAtMs: this.#options.clock.now(), endedAtMs: null },
      };
      this.#watch.add(container);
      return { type: 'started', container };
    });
  }

  signal(container: string, signal: string): Promise<void> {
    return faulted('signal a task without a container', async () => {
      const found = await this.#folders.find(container);
      if (found === null) return;
      // Where the user alone tells its processes, they may be those of another task by now.
      if (found.record.tracking === null && (await this.#isOver(container))) return;
      await signalTree(found.record, signal);
    });
  }

  remove(container: string): Promise<boolean> {
    return faulted('remove a task without a container', () => this.#folders.remove(container));
  }

  watch(listener: RuntimeListener): Subscription {
    return this.#watch.open(listener);
  }

  async *logs(container: string, request: LogRequest, signal: AbortSignal): AsyncGenerator<readonly LogLine[]> {
    const found = await faulted('look for the output of a task', () => this.#folders.find(container));
    if (found === null) return;
    const output = this.#hold(found);
    const isRunning = async () => (await this.inspect(container))?.state === 'running';
    try {
      yield* readOutput({ output, clock: this.#options.clock, isRunning }, request, signal);
    } catch (cause) {
      throw new RuntimeFault(`read the output of ${container}: ${words(cause)}`, { cause });
    } finally {
      this.#letGo(container);
    }
  }

  exec(container: string, command: readonly string[], signal: AbortSignal): Promise<ExecResult> {
    return faulted('run a command beside a task', async () => {
      const found = await this.#folders.find(container);
      if (found === null || (await this.#isOver(container))) throw new RuntimeFault(`${container} does not run`);
      return execBeside(this.#options, found, { command, signal });
    });
  }

  async resolvePath(path: string): Promise<string | null> {
    try {
      return await realpath(path);
    } catch {
      // Missing, a loop, or not ours to look into: it leads nowhere.
      return null;
    }
  }

  /** All who read or date a task's output do so through one and the same object. */
  #hold({ folder, record }: Found): TaskOutput {
    const held = this.#outputs.get(record.id) ?? { output: new TaskOutput(folder, record.segmentBytes), holders: 0 };
    held.holders += 1;
    this.#outputs.set(record.id, held);
    return held.output;
  }

  #letGo(container: string): void {
    const held = this.#outputs.get(container);
    if (held === undefined) return;
    held.holders -= 1;
    if (held.holders === 0) this.#outputs.delete(container);
  }

  async #isOver(container: string): Promise<boolean> {
    return (await this.#folders.inspect(container))?.state !== 'running';
  }
}

/** What fails here is the machine, not the task: it is unknown how far it has come. */
async function faulted<T>(what: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (cause) {
    if (cause instanceof RuntimeFault) throw cause;
    throw new RuntimeFault(`${what}: ${words(cause)}`, { cause });
  }
}
