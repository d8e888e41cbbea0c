/**
 * What the machine runs, and what executors among it run. An executor is a task like any other to the runtime beneath, but for a
 * socket that is given to it; a task that it runs has no container, only a record here, which looks like one. Such a task lives no
 * longer than the container of its executor: that is looked at whenever anybody looks.
 */
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { TaskId } from '../../../shared/domain/ids.ts';
import type { LogLine, MessageForTask } from '../../../shared/protocol/agent.ts';
import type { Clock } from '../../../shared/util/clock.ts';
import { type Random, randomId } from '../../../shared/util/random.ts';
import { type Container, HOSTED_ID_PREFIX } from '../../core/model.ts';
import {
  type ContainerRequest,
  type ExecResult,
  type Executors,
  type ExecutorsListener,
  type LogRequest,
  type PullResult,
  type RunResult,
  type Runtime,
  RuntimeFault,
  type RuntimeListener,
  type Subscription,
} from '../../executor/contracts.ts';
import { Executor } from './executor.ts';
import { ExecutorFolder, makeFolder } from './executor-folder.ts';
import { containerOf, type HostedTask, hostedTask } from './hosted-task.ts';

const FOLDER_NAME_LENGTH = 12;

export interface ExecutorRuntimeOptions {
  /** What tasks run in that no executor runs. */
  readonly machine: Runtime;
  /** The executors' folders are made in it. */
  readonly dir: string;
  readonly clock: Clock;
  readonly random: Random;
}

interface Found {
  readonly executor: Executor;
  readonly task: HostedTask;
}

export class ExecutorRuntime implements Runtime, Executors {
  readonly #options: ExecutorRuntimeOptions;
  readonly #executors = new Map<TaskId, Executor>();
  /** Executors that are being started: their containers may not be there yet. */
  readonly #starting = new Set<TaskId>();
  readonly #watchers = new Set<RuntimeListener>();
  #listener: ExecutorsListener | null = null;

  private constructor(options: ExecutorRuntimeOptions) {
    this.#options = options;
  }

  /** Takes up what an earlier agent has left. Throws a {@link RuntimeFault} where that can't be read. */
  static async open(options: ExecutorRuntimeOptions): Promise<ExecutorRuntime> {
    const runtime = new ExecutorRuntime(options);
    await faulted('take up the executors of an earlier agent', () => runtime.#takeUp());
    return runtime;
  }

  close(): void {
    for (const executor of this.#executors.values()) executor.close();
  }

  async list(): Promise<readonly Container[]> {
    // What comes to be while the machine is asked is not judged by its answer.
    const before = [...this.#executors.values()].map((executor) => ({ executor, tasks: [...executor.tasks.values()] }));
    const ran = await this.#options.machine.list();
    await faulted('put the ends of tasks on record', async () => {
      for (const { executor, tasks } of before) await this.#hold(executor, tasks, ran);
    });
    return [...ran, ...this.#hosted().map(({ task }) => containerOf(task))];
  }

  async inspect(container: string): Promise<Container | null> {
    if (!isHosted(container)) return this.#options.machine.inspect(container);
    const found = this.#find(container);
    return found === undefined ? null : containerOf(found.task);
  }

  /** A task that an executor runs has none, so none is missing. */
  async hasImage(image: string): Promise<boolean> {
    return image === '' || this.#options.machine.hasImage(image);
  }

  pullImage(image: string, signal: AbortSignal): Promise<PullResult> {
    return this.#options.machine.pullImage(image, signal);
  }

  run(request: ContainerRequest, beforeStart: (container: string) => Promise<void>): Promise<RunResult> {
    const { group } = request.assigned;
    if (group.executor !== undefined) return this.#handOver(request, group.executor, beforeStart);
    return group.isExecutor ? this.#runExecutor(request, beforeStart) : this.#options.machine.run(request, beforeStart);
  }

  async signal(container: string, signal: string): Promise<void> {
    if (!isHosted(container)) return this.#options.machine.signal(container, signal);
    const found = this.#find(container);
    if (found === undefined) return;
    await faulted('ask an executor to end a task', () => found.executor.kill(found.task, signal === 'SIGKILL'));
  }

  async remove(container: string): Promise<boolean> {
    if (!isHosted(container)) return this.#options.machine.remove(container);
    const found = this.#find(container);
    if (found?.task.state === 'running') return false;
    if (found !== undefined) await faulted('forget a task', () => found.executor.remove(container));
    return true;
  }

  watch(listener: RuntimeListener): Subscription {
    this.#watchers.add(listener);
    const subscription = this.#options.machine.watch({
      onEnd: (task, container, end) => {
        listener.onEnd(task, container, end);
        // Where its disk fails, whoever lists next is told.
        this.#hostEnded(task, container).catch(() => listener.onGap());
      },
      onGap: () => listener.onGap(),
    });
    return {
      close: () => {
        this.#watchers.delete(listener);
        subscription.close();
      },
    };
  }

  async *logs(container: string, request: LogRequest, signal: AbortSignal): AsyncGenerator<readonly LogLine[]> {
    if (!isHosted(container)) return yield* this.#options.machine.logs(container, request, signal);
    const executor = this.#find(container)?.executor.id;
    if (executor === undefined) return;
    const error = `it has no output of its own: what it writes is in that of its executor, task "${executor}"`;
    yield [{ at: '', stream: 'stderr', text: '', error }];
  }

  async exec(container: string, command: readonly string[], signal: AbortSignal): Promise<ExecResult> {
    if (!isHosted(container)) return this.#options.machine.exec(container, command, signal);
    throw new RuntimeFault('run a command beside a task: only its executor could');
  }

  resolvePath(path: string): Promise<string | null> {
    return this.#options.machine.resolvePath(path);
  }

  deliver(message: MessageForTask): 'waits' | 'gone' | 'crowded' {
    const executor =
      this.#executors.get(message.task) ??
      this.#hosted().find(({ task }) => task.launch.task === message.task && task.state === 'running')?.executor;
    if (executor === undefined) return 'gone';
    return executor.deliver(message) ? 'waits' : 'crowded';
  }

  withdraw(message: string): void {
    for (const executor of this.#executors.values()) executor.withdraw(message);
  }

  listen(listener: ExecutorsListener): Subscription {
    this.#listener = listener;
    return {
      close: () => {
        this.#listener = null;
      },
    };
  }

  async #takeUp(): Promise<void> {
    const { dir } = this.#options;
    for (const name of await namesIn(dir)) {
      const folder = await ExecutorFolder.read(join(dir, name));
      if (folder !== null) await this.#open(folder);
    }
  }

  async #open(folder: ExecutorFolder): Promise<Executor> {
    const executor = await Executor.open({
      folder,
      clock: this.#options.clock,
      onEnd: (task, container) => {
        for (const watcher of this.#watchers) watcher.onEnd(task, container);
      },
      onMessage: (message) => this.#listener?.onSaid(message) ?? false,
      onConfirmed: (message) => this.#listener?.onTaken(message),
    });
    this.#executors.set(folder.executor, executor);
    return executor;
  }

  async #runExecutor(request: ContainerRequest, beforeStart: (container: string) => Promise<void>): Promise<RunResult> {
    const { id, group } = request.assigned;
    this.#starting.add(id);
    try {
      const made = await faulted('make the endpoint of an executor', () =>
        this.#endpointOf(id, group.runtime === 'process'),
      );
      if (typeof made !== 'string') return await this.#options.machine.run({ ...request, ...made }, beforeStart);
      return { type: 'refused', reason: 'refused-by-node', message: made };
    } finally {
      this.#starting.delete(id);
    }
  }

  /** Or why it can't have one. */
  async #endpointOf(id: TaskId, isEntered: boolean): Promise<{ readonly endpoint: string } | string> {
    const known = this.#executors.get(id);
    if (known !== undefined) return { endpoint: known.folder.endpoint };
    const { dir, random } = this.#options;
    await makeFolder(dir, 0o711);
    const path = join(dir, randomId(random, FOLDER_NAME_LENGTH));
    const folder = await ExecutorFolder.make(path, id, isEntered);
    if (folder.refusal === null) {
      await this.#open(folder);
      return { endpoint: folder.endpoint };
    }
    await folder.remove();
    return folder.refusal;
  }

  async #handOver(
    request: ContainerRequest,
    executorId: TaskId,
    beforeStart: (container: string) => Promise<void>,
  ): Promise<RunResult> {
    const executor = this.#executors.get(executorId);
    const host = executor && (await this.#hostOf(executorId));
    if (executor === undefined || host === undefined) return executorAway(executorId);
    const id = `${HOSTED_ID_PREFIX}${randomId(this.#options.random, 24)}`;
    const task = hostedTask(id, host.id, request);
    await faulted('put a task on record', () => this.#putOnly(executor, task));
    await beforeStart(id);
    const launched = await faulted('hand a task to its executor', () => executor.launch(task));
    // It may have ended since it was looked at, before there was anything to end with it.
    const seen = await this.#options.machine.inspect(host.id);
    if (seen?.state !== 'running') await faulted('end a task', () => executor.endWithHost([launched]));
    return { type: 'started', container: containerOf(executor.tasks.get(id) ?? launched) };
  }

  /** One that was never handed over makes way. */
  async #putOnly(executor: Executor, task: HostedTask): Promise<void> {
    for (const other of executor.tasks.values()) {
      if (other.launch.task !== task.launch.task) continue;
      if (other.state !== 'created') throw new RuntimeFault(`start task ${task.launch.task}: it was started already`);
      await executor.remove(other.id);
    }
    await executor.put(task);
  }

  async #hostOf(executor: TaskId): Promise<Container | undefined> {
    const ran = await this.#options.machine.list();
    return ran.find(({ task, state }) => task === executor && state === 'running');
  }

  /** By an event, which may come before a listing shows it. */
  async #hostEnded(task: TaskId, container: string): Promise<void> {
    const executor = this.#executors.get(task);
    await executor?.endWithHost([...executor.tasks.values()].filter(({ host }) => host === container));
  }

  /** Ends what ran in a container that is over, and lets go of an executor of which nothing is left. */
  async #hold(executor: Executor, tasks: readonly HostedTask[], ran: readonly Container[]): Promise<void> {
    const containers = ran.filter(({ task }) => task === executor.id);
    const host = containers.find(({ state }) => state === 'running');
    await executor.endWithHost(tasks.filter((task) => task.host !== host?.id));
    const isLeft = containers.length > 0 || executor.tasks.size > 0 || this.#starting.has(executor.id);
    if (isLeft || this.#executors.get(executor.id) !== executor) return;
    this.#executors.delete(executor.id);
    await executor.dispose();
  }

  #find(container: string): Found | undefined {
    return this.#hosted().find(({ task }) => task.id === container);
  }

  #hosted(): Found[] {
    return [...this.#executors.values()].flatMap((executor) =>
      [...executor.tasks.values()].map((task) => ({ executor, task })),
    );
  }
}

/** None, where no executor has ever been here. */
async function namesIn(dir: string): Promise<string[]> {
  return existsSync(dir) ? readdir(dir) : [];
}

function isHosted(container: string): boolean {
  return container.startsWith(HOSTED_ID_PREFIX);
}

function executorAway(executor: TaskId): RunResult {
  const message = `its executor "${executor}" does not run on this node any more`;
  return { type: 'refused', reason: 'executor-ended', message };
}

/** What fails here is the machine, not the task: it is unknown how far it has come. */
async function faulted<T>(what: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (cause) {
    if (cause instanceof RuntimeFault) throw cause;
    throw new RuntimeFault(`${what}: ${cause instanceof Error ? cause.message : cause}`, { cause });
  }
}
