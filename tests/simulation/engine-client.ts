/** The engine as one agent process sees it: through calls that take time and may fail, before or after they took effect. */
import type { Container } from '../../node-agent/core/model.ts';
import {
  type ContainerEnd,
  type ContainerRequest,
  type ExecResult,
  type PullResult,
  type RunResult,
  type Runtime,
  RuntimeFault,
  type RuntimeListener,
  type Subscription,
} from '../../node-agent/executor/contracts.ts';
import type { LogLine } from '../../shared/protocol/agent.ts';
import { type Clock, sleep } from '../../shared/util/clock.ts';
import { isPullable } from './behaviour.ts';
import type { SeededRandom } from './seeded-random.ts';
import type { SimulatedContainer, SimulatedEngine } from './simulated-engine.ts';
import type { SimulatedProcess } from './simulated-process.ts';
import { latency, type Weather } from './weather.ts';

export interface EngineClientParts {
  readonly engine: SimulatedEngine;
  readonly process: SimulatedProcess;
  /** The world's. */
  readonly clock: Clock;
  readonly random: SeededRandom;
  readonly weather: Weather;
}

const END_TOLD_CHANCE = 0.5;
const PULL_MS: readonly [number, number] = [200, 4000];

export class EngineClient implements Runtime {
  readonly #parts: EngineClientParts;

  constructor(parts: EngineClientParts) {
    this.#parts = parts;
  }

  list(): Promise<readonly Container[]> {
    return this.#call('list', (engine) => engine.containers.map(view));
  }

  inspect(id: string): Promise<Container | null> {
    return this.#call('inspect', (engine) => {
      const container = engine.find(id);
      return container === undefined ? null : view(container);
    });
  }

  hasImage(image: string): Promise<boolean> {
    return this.#call('hasImage', (engine) => engine.hasImage(image));
  }

  async pullImage(image: string, signal: AbortSignal): Promise<PullResult> {
    const { process, random } = this.#parts;
    await sleep(process.clock, random.between(...PULL_MS), signal);
    return this.#call('pullImage', (engine): PullResult => {
      if (signal.aborted) return { type: 'failed', message: 'no longer wanted' };
      if (!isPullable(image)) return { type: 'failed', message: `${image}: not found` };
      engine.addImage(image);
      return { type: 'pulled' };
    });
  }

  /** Two requests: the second is sent only by an agent that lives to hear of the first. */
  async run(
    { assigned, epoch, run }: ContainerRequest,
    beforeStart: (container: string) => Promise<void>,
  ): Promise<RunResult> {
    const created = await this.#call('create', (engine) => {
      if (!engine.hasImage(assigned.group.image)) return null;
      const container = engine.create(assigned, { epoch, run });
      if (container === null) throw new RuntimeFault(`create: there is a container for task ${assigned.id} already`);
      return container.id;
    });
    if (created === null) return { type: 'image-missing' };
    await beforeStart(created);
    return this.#call('start', (engine): RunResult => {
      const container = engine.find(created);
      if (container === undefined) throw new RuntimeFault('start: the container is gone');
      if (container.behaviour.isUnusable) {
        engine.remove(container);
        return { type: 'refused', reason: 'command-unusable', message: 'no such file or directory' };
      }
      engine.start(container);
      return { type: 'started', container: view(container) };
    });
  }

  signal(id: string, signal: string): Promise<void> {
    const { random, weather } = this.#parts;
    const isStuck = random.chance(weather.engine.stuckChance);
    return this.#call(signal, (engine) => {
      const container = engine.find(id);
      if (container?.state !== 'running') return;
      if (signal === 'SIGKILL') engine.kill(container, isStuck);
      else engine.terminate(container);
    });
  }

  remove(id: string): Promise<boolean> {
    return this.#call('remove', (engine) => {
      const container = engine.find(id);
      if (container?.state === 'running') return false;
      if (container !== undefined) engine.remove(container);
      return true;
    });
  }

  watch(listener: RuntimeListener): Subscription {
    const { engine, process, clock, random, weather } = this.#parts;
    const stop = engine.listen((container) => {
      const isLost = engine.isAway || random.chance(weather.engine.eventLostChance);
      const end = random.chance(END_TOLD_CHANCE) ? endOf(container) : undefined;
      void process.receive(sleep(clock, latency(random, weather.engine))).then(() => {
        if (!isLost) listener.onEnd(container.task, container.id, end);
      });
    });
    void process.receive(sleep(clock, latency(random, weather.engine))).then(() => listener.onGap());
    return { close: stop };
  }

  /** Output isn't simulated: no client asks for any. */
  logs(id: string): AsyncIterable<readonly LogLine[]> {
    throw new RuntimeFault(`logs of ${id}: a simulated engine keeps no output`);
  }

  exec(id: string): Promise<ExecResult> {
    return this.#call('exec', (engine) => {
      const container = engine.find(id);
      if (container?.state !== 'running') throw new RuntimeFault('exec: the container does not run');
      return engine.works(container) ? { exitCode: 0, output: '' } : { exitCode: 1, output: 'broken' };
    });
  }

  /** Bind mounts aren't simulated: no job asks for one. */
  resolvePath(path: string): Promise<string | null> {
    return this.#call('resolvePath', () => path);
  }

  #call<T>(what: string, work: (engine: SimulatedEngine) => T): Promise<T> {
    return this.#parts.process.receive(this.#exchange(what, work));
  }

  async #exchange<T>(what: string, work: (engine: SimulatedEngine) => T): Promise<T> {
    const { engine, random, weather } = this.#parts;
    const failsAfter = random.chance(weather.engine.failAfterChance);
    const { life } = engine;
    await this.#arrive(what);
    const result = work(engine);
    await this.#takeTime(what, life);
    if (failsAfter || engine.isAway) throw new RuntimeFault(`${what}: the engine's answer was lost`);
    return result;
  }

  async #arrive(what: string): Promise<void> {
    const { engine, random, weather } = this.#parts;
    const failsBefore = random.chance(weather.engine.failBeforeChance);
    await this.#takeTime(what, engine.life);
    if (failsBefore || engine.isAway) throw new RuntimeFault(`${what}: the engine did not answer`);
  }

  /** A call that is under way when the power fails goes no further. */
  async #takeTime(what: string, life: number): Promise<void> {
    const { engine, clock, random, weather } = this.#parts;
    await sleep(clock, latency(random, weather.engine));
    if (engine.life !== life) throw new RuntimeFault(`${what}: the machine lost its power`);
  }
}

function view({ id, task, run, state, exitCode, startedAtMs, endedAtMs }: SimulatedContainer): Container {
  return { id, task, run, state, exitCode, outOfMemory: false, error: '', startedAtMs, endedAtMs };
}

/** An engine tells of some ends only that they were. */
function endOf({ state, exitCode, endedAtMs }: SimulatedContainer): ContainerEnd | undefined {
  return state !== 'exited' || exitCode === null || endedAtMs === null ? undefined : { exitCode, atMs: endedAtMs };
}
