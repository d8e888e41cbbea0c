/**
 * Two runtimes as one: containers are the engine's, and what runs without one is the other's. Which one a task is for is said by its
 * group, and of what there is already by its id. Nobody else has to know that there are two.
 */
import type { LogLine } from '../../shared/protocol/agent.ts';
import { type Container, PROCESS_ID_PREFIX } from '../core/model.ts';
import {
  type ContainerRequest,
  type ExecResult,
  type LogRequest,
  type PullResult,
  type RunResult,
  type Runtime,
  RuntimeFault,
  type RuntimeListener,
  type Subscription,
} from './contracts.ts';

const NO_ENGINE_MESSAGE = 'the node has no container engine';

export interface Runtimes {
  /** Null: the node has no container engine. */
  readonly docker: Runtime | null;
  readonly process: Runtime;
}

export class RoutedRuntime implements Runtime {
  readonly #runtimes: Runtimes;

  constructor(runtimes: Runtimes) {
    this.#runtimes = runtimes;
  }

  async list(): Promise<readonly Container[]> {
    const lists = await Promise.all(this.#all().map((runtime) => runtime.list()));
    return lists.flat();
  }

  async inspect(container: string): Promise<Container | null> {
    return (await this.#of(container)?.inspect(container)) ?? null;
  }

  /** What has no image lacks none. */
  async hasImage(image: string): Promise<boolean> {
    const { docker, process } = this.#runtimes;
    return (image === '' ? process : docker)?.hasImage(image) ?? false;
  }

  async pullImage(image: string, signal: AbortSignal): Promise<PullResult> {
    return this.#runtimes.docker?.pullImage(image, signal) ?? { type: 'failed', message: NO_ENGINE_MESSAGE };
  }

  async run(request: ContainerRequest, beforeStart: (container: string) => Promise<void>): Promise<RunResult> {
    const wanted = request.assigned.group.runtime;
    // Those have neither, and are taken by whoever knows of executors before they come here.
    const runtime = wanted === 'executor' ? null : this.#runtimes[wanted];
    if (runtime !== null) return runtime.run(request, beforeStart);
    return { type: 'refused', reason: 'refused-by-node', message: NO_ENGINE_MESSAGE };
  }

  async signal(container: string, signal: string): Promise<void> {
    await this.#of(container)?.signal(container, signal);
  }

  async remove(container: string): Promise<boolean> {
    return (await this.#of(container)?.remove(container)) ?? true;
  }

  watch(listener: RuntimeListener): Subscription {
    const subscriptions = this.#all().map((runtime) => runtime.watch(listener));
    return {
      close: () => {
        for (const subscription of subscriptions) subscription.close();
      },
    };
  }

  async *logs(container: string, request: LogRequest, signal: AbortSignal): AsyncGenerator<readonly LogLine[]> {
    const runtime = this.#of(container);
    if (runtime !== null) yield* runtime.logs(container, request, signal);
  }

  async exec(container: string, command: readonly string[], signal: AbortSignal): Promise<ExecResult> {
    const runtime = this.#of(container);
    if (runtime === null) throw new RuntimeFault(`run a command beside a task: ${NO_ENGINE_MESSAGE}`);
    return runtime.exec(container, command, signal);
  }

  /** Both stand on the same machine. */
  resolvePath(path: string): Promise<string | null> {
    return this.#runtimes.process.resolvePath(path);
  }

  #of(container: string): Runtime | null {
    return this.#runtimes[container.startsWith(PROCESS_ID_PREFIX) ? 'process' : 'docker'];
  }

  #all(): Runtime[] {
    const { docker, process } = this.#runtimes;
    return docker === null ? [process] : [docker, process];
  }
}
