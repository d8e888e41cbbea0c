/**
 * Docker as a {@link Runtime}. The way to a running container is two calls, create and start, and nothing else where the image
 * was seen lately; whatever the engine refuses leaves no container behind.
 */
import { realpath } from 'node:fs/promises';
import Docker from 'dockerode';
import { volumesOf } from '../../../shared/domain/job.ts';
import { POLITE_SIGNAL } from '../../../shared/domain/stop-signal.ts';
import type { LogLine } from '../../../shared/protocol/agent.ts';
import { type Clock, sleep } from '../../../shared/util/clock.ts';
import type { Random } from '../../../shared/util/random.ts';
import { UNUSABLE_EXIT_CODES } from '../../core/ending.ts';
import { givenFiles } from '../../core/identity.ts';
import type { Container } from '../../core/model.ts';
import { numericUser } from '../../core/secrets.ts';
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
} from '../../executor/contracts.ts';
import { ownFiles } from '../task-files/own-files.ts';
import { containerName, containerOptions, LABELS, type Owner } from './container-options.ts';
import { containerOf, listedContainer } from './container-view.ts';
import { ask, askUnless, engineWords, nvidiaRuntimeRemedy, saysCommandUnusable, statusOf } from './engine-errors.ts';
import { watchEvents } from './event-watch.ts';
import { execIn } from './exec.ts';
import { pullImage } from './image-pull.ts';
import { readLogs } from './log-stream.ts';
import { OomKills, readOomKills } from './oom-kills.ts';
import { Teardowns } from './teardowns.ts';

/** How long an image that was seen is believed to be there. A wrong belief costs one refused create. */
const IMAGE_SEEN_MS = 60_000;
const IMAGES_SEEN_MAX = 1000;
/** What a process that was killed with SIGKILL ends with: by somebody, or by the kernel for want of memory. */
const EXIT_KILLED = 137;
const OUT_OF_MEMORY_LATE_MS = 200;
/** A call that is silent for so long is given up. Starting a container on a busy machine takes seconds. */
const CALL_SILENCE_MAX_MS = 120_000;

export interface DockerRuntimeOptions {
  /** Path of the engine's socket. */
  readonly socketPath: string;
  readonly owner: Owner;
  /** A file with credentials as Docker's client writes it; null: none. */
  readonly registryConfig: string | null;
  readonly clock: Clock;
  readonly random: Random;
}

export class DockerRuntime implements Runtime {
  readonly #options: DockerRuntimeOptions;
  /** For calls that answer and are done. */
  readonly #docker: Docker;
  /** For events, output and pulls, which are silent for as long as they like. */
  readonly #streaming: Docker;
  readonly #oomKills = new OomKills(readOomKills);
  readonly #imagesSeen = new Map<string, number>();
  readonly #teardowns: Teardowns;
  /** An ended container never changes: it is looked at once. */
  readonly #ended = new Map<string, Container>();

  constructor(options: DockerRuntimeOptions) {
    this.#options = options;
    this.#teardowns = new Teardowns(options.clock);
    // No agent is handed in: Node.js's own keeps connections alive, and this client prints every option that it is given.
    // An empty host, since it would otherwise prefer DOCKER_HOST to the path.
    const engine = { socketPath: options.socketPath, host: '', protocol: 'http' } as const;
    this.#docker = new Docker({ ...engine, timeout: CALL_SILENCE_MAX_MS });
    this.#streaming = new Docker(engine);
  }

  /** Its name and version, such as `docker 20.10.24`, and the folder on whose disk containers live. */
  async describe(): Promise<{ readonly engine: string; readonly rootDir: string }> {
    const info: { readonly ServerVersion: string; readonly DockerRootDir: string } = await ask(
      'ask the engine for its version',
      () => this.#docker.info(),
    );
    return { engine: `docker ${info.ServerVersion}`, rootDir: info.DockerRootDir };
  }

  async list(): Promise<readonly Container[]> {
    const filters = { label: [`${LABELS.node}=${this.#options.owner.nodeId}`] };
    const infos = await ask('list containers', () => this.#docker.listContainers({ all: true, filters }));
    const listed = infos.flatMap((info) => listedContainer(info) ?? []);
    const ended = new Set(listed.filter((container) => container.state === 'exited').map(({ id }) => id));
    for (const id of [...this.#ended.keys()]) if (!ended.has(id)) this.#ended.delete(id);
    const full = await Promise.all(
      listed.map((container) => (ended.has(container.id) ? this.#endedContainer(container.id) : container)),
    );
    return full.flatMap((container) => container ?? []);
  }

  /** The engine may learn that a container was out of memory only after it has said that it ended: it is asked again, where that may be. */
  async inspect(id: string): Promise<Container | null> {
    const container = await this.#inspectOnce(id);
    if (container === null || container.exitCode !== EXIT_KILLED || container.outOfMemory) return container;
    const { clock } = this.#options;
    const agoMs = clock.now() - (container.endedAtMs ?? 0);
    if (agoMs > OUT_OF_MEMORY_LATE_MS) return container;
    const settle = await this.#oomKills.unsettled();
    if (settle === null) return container;
    await sleep(clock, OUT_OF_MEMORY_LATE_MS);
    settle();
    return this.#inspectOnce(id);
  }

  /** Not where the engine may have words for it, or where it may have been killed for want of memory. */
  async #isPlainEnd(exitCode: number): Promise<boolean> {
    if (UNUSABLE_EXIT_CODES.includes(exitCode)) return false;
    return exitCode !== EXIT_KILLED || (await this.#oomKills.unsettled()) === null;
  }

  async #inspectOnce(id: string): Promise<Container | null> {
    const info = await askUnless('inspect a container', [404], () => this.#docker.getContainer(id).inspect());
    return info === null ? null : containerOf(info);
  }

  async hasImage(image: string): Promise<boolean> {
    const { clock } = this.#options;
    const seenAtMs = this.#imagesSeen.get(image);
    if (seenAtMs !== undefined && clock.monotonicMs() - seenAtMs < IMAGE_SEEN_MS) return true;
    const info = await askUnless(`look for the image ${image}`, [404], () => this.#docker.getImage(image).inspect());
    if (info !== null) this.#sawImage(image);
    return info !== null;
  }

  async pullImage(image: string, signal: AbortSignal): Promise<PullResult> {
    const { clock, registryConfig } = this.#options;
    const result = await pullImage({ docker: this.#streaming, clock, registryConfig }, image, signal);
    if (result.type === 'pulled') this.#sawImage(image);
    return result;
  }

  async run(request: ContainerRequest, beforeStart: (container: string) => Promise<void>): Promise<RunResult> {
    await this.#ownFiles(request);
    const created = await this.#create(request);
    if (typeof created !== 'string') return created;
    if (request.assigned.group.network === 'bridge') await this.#teardowns.settled();
    await beforeStart(created);
    const refusal = await this.#start(created);
    if (refusal !== null) return refusal;
    return {
      type: 'started',
      container: {
        id: created,
        task: request.assigned.id,
        run: request.run,
        state: 'running',
        exitCode: null,
        outOfMemory: false,
        error: '',
        startedAtMs: this.#options.clock.now(),
        endedAtMs: null,
        volumes: volumesOf(request.assigned.group, request.assigned.index),
      },
    };
  }

  async signal(id: string, signal: string): Promise<void> {
    const container = this.#docker.getContainer(id);
    const name = signal === POLITE_SIGNAL ? await this.#politeSignal(id) : signal;
    // 404: it is gone. 409: it has ended.
    await askUnless(`send ${name} to a container`, [404, 409], () => container.kill({ signal: name }));
  }

  async remove(id: string): Promise<boolean> {
    try {
      await this.#docker.getContainer(id).remove({ force: false, v: true });
    } catch (cause) {
      const status = statusOf(cause);
      // 409: it runs, or its removal is already under way.
      if (status === 409) return false;
      if (status !== 404) throw new RuntimeFault(`remove a container: ${engineWords(cause)}`, { cause });
    }
    this.#ended.delete(id);
    return true;
  }

  watch(listener: RuntimeListener): Subscription {
    const { clock, random, owner } = this.#options;
    const isPlain = (exitCode: number) => this.#isPlainEnd(exitCode);
    // It answers for an ended container when it has cleared away after it.
    const onDie = (container: string) => this.#teardowns.began(container, this.#inspectOnce(container));
    return watchEvents({ docker: this.#streaming, nodeId: owner.nodeId, isPlain, onDie, clock, random }, listener);
  }

  logs(id: string, request: LogRequest, signal: AbortSignal): AsyncIterable<readonly LogLine[]> {
    const source = { docker: this.#streaming, container: id, clock: this.#options.clock };
    return readLogs(source, request, signal);
  }

  exec(id: string, command: readonly string[], signal: AbortSignal): Promise<ExecResult> {
    const engine = { docker: this.#docker, streaming: this.#streaming, clock: this.#options.clock };
    return execIn(engine, { container: id, command, signal });
  }

  async resolvePath(path: string): Promise<string | null> {
    try {
      return await realpath(path);
    } catch {
      // Missing, a loop, or not ours to look into: it leads nowhere that could be allowed.
      return null;
    }
  }

  /** A task that runs as a user of its own reads what it was given as that one. */
  async #ownFiles({ assigned: { group }, secrets, identity }: ContainerRequest): Promise<void> {
    const files = [...(secrets?.files ?? []), ...(identity === undefined ? [] : givenFiles(identity))];
    if (files.length === 0) return;
    const user = group.user ?? (await this.#userOf(group.image));
    try {
      await ownFiles(files, numericUser(user));
    } catch (cause) {
      throw new RuntimeFault(`hand files to the user of a task: ${cause instanceof Error ? cause.message : cause}`, {
        cause,
      });
    }
  }

  /** Empty where the image names none, or isn't there, which is noticed next. */
  async #userOf(image: string): Promise<string> {
    const info = await askUnless(`look for the image ${image}`, [404], () => this.#docker.getImage(image).inspect());
    return info?.Config.User ?? '';
  }

  /** The container's id, or why there is none. */
  async #create(request: ContainerRequest): Promise<string | RunResult> {
    const { owner } = this.#options;
    const { id: task, group } = request.assigned;
    const options = containerOptions(owner, request);
    for (let isRetry = false; ; isRetry = true) {
      try {
        return (await this.#docker.createContainer(options)).id;
      } catch (cause) {
        const status = statusOf(cause);
        const words = engineWords(cause);
        if (status === null) throw new RuntimeFault(`create a container for task ${task}: ${words}`, { cause });
        if (status === 404 && /no such image/i.test(words)) {
          this.#imagesSeen.delete(group.image);
          return { type: 'image-missing' };
        }
        if (status === 409 && !isRetry && (await this.#removeLeftover(task))) continue;
        return refused(words);
      }
    }
  }

  /** Null: it runs. */
  async #start(id: string): Promise<RunResult | null> {
    try {
      await this.#docker.getContainer(id).start();
      return null;
    } catch (cause) {
      const status = statusOf(cause);
      // It runs already: the answer to an earlier call was lost.
      if (status === 304) return null;
      if (status === null) throw new RuntimeFault(`start a container: ${engineWords(cause)}`, { cause });
      await this.remove(id);
      return refused(engineWords(cause));
    }
  }

  /**
   * The task's name is taken. A container of ours that never ran makes way; one that runs or has run comes from a call that
   * was thought lost, and the agent has to see it first. False: it is somebody else's.
   */
  async #removeLeftover(task: string): Promise<boolean> {
    const { owner } = this.#options;
    const name = containerName(owner, task);
    const info = await askUnless('inspect a container', [404], () => this.#docker.getContainer(name).inspect());
    if (info === null) return true;
    const { Labels: labels } = info.Config;
    if (labels[LABELS.task] !== task || labels[LABELS.node] !== owner.nodeId) return false;
    if (info.State.Status === 'created' && (await this.remove(info.Id))) return true;
    throw new RuntimeFault(`create a container for task ${task}: there is one already, from an earlier call`);
  }

  /** What the task's group or else the image wants to be told to end with; most say nothing, which means SIGTERM. */
  async #politeSignal(id: string): Promise<string> {
    const info = await askUnless('inspect a container', [404], () => this.#docker.getContainer(id).inspect());
    // The client's types leave it out.
    const config: object = info?.Config ?? {};
    const signal = 'StopSignal' in config ? config.StopSignal : null;
    return typeof signal === 'string' && signal !== '' ? signal : POLITE_SIGNAL;
  }

  async #endedContainer(id: string): Promise<Container | null> {
    const known = this.#ended.get(id);
    if (known !== undefined) return known;
    const container = await this.inspect(id);
    if (container?.state === 'exited') this.#ended.set(id, container);
    return container;
  }

  #sawImage(image: string): void {
    this.#imagesSeen.delete(image);
    this.#imagesSeen.set(image, this.#options.clock.monotonicMs());
    const [oldest] = this.#imagesSeen.keys();
    if (this.#imagesSeen.size > IMAGES_SEEN_MAX && oldest !== undefined) this.#imagesSeen.delete(oldest);
  }
}

function refused(words: string): RunResult {
  const remedy = nvidiaRuntimeRemedy(words);
  const reason = remedy === null && saysCommandUnusable(words) ? 'command-unusable' : 'engine-error';
  return { type: 'refused', reason, message: remedy ?? words };
}
