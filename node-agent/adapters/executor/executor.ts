/** One executor: the tasks that it runs, what it is told, and what it says. Whatever it has answered to is on disk first. */
import type { TaskId } from '../../../shared/domain/ids.ts';
import type { MessageForTask } from '../../../shared/protocol/agent.ts';
import type { Clock } from '../../../shared/util/clock.ts';
import { type Answer, Endpoint } from './endpoint.ts';
import type { ExecutorFolder } from './executor-folder.ts';
import { type HostedTask, outstandingEvents, withoutExecutor, withStatus } from './hosted-task.ts';
import type { ExecutorEvent, HostedMessage, HostedStatus, MessageEvent } from './protocol.ts';

/** Messages that wait for one executor; the others wait where they come from. */
export const MESSAGES_WAITING_MAX = 64;

export interface ExecutorParts {
  readonly folder: ExecutorFolder;
  readonly clock: Clock;
  readonly onEnd: (task: TaskId, container: string) => void;
  /** False: it can't be taken now. */
  readonly onMessage: (message: { readonly task: TaskId; readonly data: string }) => boolean;
  readonly onConfirmed: (message: string) => void;
}

export class Executor {
  readonly #parts: ExecutorParts;
  readonly #tasks = new Map<string, HostedTask>();
  readonly #messages = new Map<string, MessageEvent>();
  #endpoint: Endpoint | null = null;
  /** Changes of one task come to the disk in the order in which they are made. */
  #writing: Promise<void> = Promise.resolve();

  private constructor(parts: ExecutorParts) {
    this.#parts = parts;
  }

  static async open(parts: ExecutorParts): Promise<Executor> {
    const executor = new Executor(parts);
    for (const task of await parts.folder.readTasks()) executor.#tasks.set(task.id, task);
    executor.#endpoint = await Endpoint.open({
      socket: parts.folder.socket,
      socketMode: parts.folder.socketMode,
      outstanding: () => executor.#outstanding(),
      onStatus: (status) => executor.#noteStatus(status),
      onMessage: (message) => executor.#passOn(message),
      onConfirmed: (message) => executor.#confirmed(message),
    });
    return executor;
  }

  get id(): TaskId {
    return this.#parts.folder.executor;
  }

  get folder(): ExecutorFolder {
    return this.#parts.folder;
  }

  get tasks(): ReadonlyMap<string, HostedTask> {
    return this.#tasks;
  }

  /** Puts it on disk. Where that fails nothing has changed, unless something else has changed it since. */
  async put(task: HostedTask): Promise<void> {
    const before = this.#tasks.get(task.id);
    this.#tasks.set(task.id, task);
    try {
      await this.#write(() => this.#parts.folder.writeTask(task));
    } catch (cause) {
      if (this.#tasks.get(task.id) === task) {
        if (before === undefined) this.#tasks.delete(task.id);
        else this.#tasks.set(task.id, before);
      }
      throw cause;
    }
  }

  async remove(id: string): Promise<void> {
    this.#tasks.delete(id);
    await this.#write(() => this.#parts.folder.removeTask(id));
  }

  /** Gives it to the executor: from here on it counts as running. */
  async launch(task: HostedTask): Promise<HostedTask> {
    const launched: HostedTask = { ...task, state: 'running', startedAtMs: this.#parts.clock.now() };
    await this.put(launched);
    this.#tell(launched.launch);
    return launched;
  }

  async kill(task: HostedTask, isForced: boolean): Promise<void> {
    if (task.state !== 'running') return;
    await this.put({ ...task, kill: isForced ? 'forced' : 'asked' });
    this.#tell({ type: 'kill', task: task.launch.task, isForced });
  }

  /** Those of these tasks that run end, since the container is over that they were given to. */
  async endWithHost(tasks: Iterable<HostedTask>): Promise<void> {
    for (const { id } of tasks) {
      const task = this.#tasks.get(id);
      if (task?.state === 'running') await this.#end(withoutExecutor(task, this.id, this.#parts.clock.now()));
    }
  }

  /** False: too many wait already. */
  deliver({ id, task, data }: MessageForTask): boolean {
    if (this.#messages.has(id)) return true;
    if (this.#messages.size >= MESSAGES_WAITING_MAX) return false;
    const message: MessageEvent = { type: 'message', id, task: task === this.id ? null : task, data };
    this.#messages.set(id, message);
    this.#tell(message);
    return true;
  }

  /** Nobody waits for its being taken any more. */
  withdraw(message: string): void {
    this.#messages.delete(message);
  }

  /** With its folder, and what else is left of it. */
  async dispose(): Promise<void> {
    this.close();
    await this.#writing;
    await this.#parts.folder.remove();
  }

  close(): void {
    this.#endpoint?.close();
  }

  #tell(event: ExecutorEvent): void {
    this.#endpoint?.tell(event);
  }

  #outstanding(): ExecutorEvent[] {
    return [...[...this.#tasks.values()].flatMap(outstandingEvents), ...this.#messages.values()];
  }

  async #noteStatus(status: HostedStatus): Promise<Answer> {
    const task = this.#find(status.task);
    if (task === undefined) return { code: 404, why: `task "${status.task}" is none that it was given here` };
    if (task.state === 'exited') {
      return status.state === 'running' ? { code: 410, why: `task "${status.task}" has ended` } : { code: 204 };
    }
    const after = withStatus(task, status, this.#parts.clock.now());
    if (after.state === 'exited') await this.#end(after);
    else if (after !== task) await this.put(after);
    return { code: 204 };
  }

  async #end(task: HostedTask): Promise<void> {
    await this.put(task);
    this.#parts.onEnd(task.launch.task, task.id);
  }

  #passOn({ task, data }: HostedMessage): Answer {
    if (task !== null && this.#find(task) === undefined) {
      return { code: 404, why: `task "${task}" is none that it was given here` };
    }
    if (this.#parts.onMessage({ task: task ?? this.id, data })) return { code: 202 };
    return { code: 429, why: 'too many messages wait for the control plane; try again in a while' };
  }

  #confirmed(message: string): Answer {
    if (this.#messages.delete(message)) this.#parts.onConfirmed(message);
    return { code: 204 };
  }

  /** Given to nobody, it is none of its tasks yet. */
  #find(task: TaskId): HostedTask | undefined {
    return [...this.#tasks.values()].find(({ launch, state }) => launch.task === task && state !== 'created');
  }

  #write(act: () => Promise<void>): Promise<void> {
    const done = this.#writing.then(act);
    this.#writing = done.catch(() => {});
    return done;
  }
}
