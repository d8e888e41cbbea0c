/**
 * A machine's container engine. It belongs to the machine: agents come and go, and a call that an agent made before it died
 * takes effect all the same. Every start and every end is announced to the world at the moment when it happens.
 */
import type { Boot, Container, Moment } from '../../node-agent/core/model.ts';
import type { AssignedTask } from '../../shared/protocol/agent.ts';
import type { Clock, Timer } from '../../shared/util/clock.ts';
import { type Behaviour, behaviourOf, isLocalImage } from './behaviour.ts';
import type { SeededRandom } from './seeded-random.ts';

export interface EngineWitness {
  onStart(container: SimulatedContainer): void;
  onEnd(container: SimulatedContainer): void;
}

export interface SimulatedContainer {
  readonly id: string;
  readonly task: string;
  readonly run: number;
  /** Of the machine, when it was made. */
  readonly life: number;
  /** Its group asks for a further run after a reboot. */
  readonly mayRestart: boolean;
  /** Its group asks for a further run after its end. */
  readonly restartsInPlace: boolean;
  readonly epoch: number;
  readonly ports: readonly number[];
  readonly behaviour: Behaviour;
  state: Container['state'];
  exitCode: number | null;
  startedAtMs: number | null;
  endedAtMs: number | null;
  timer: Timer | null;
  /** Signals that it has survived, for containers that hang in the kernel. */
  survivals: number;
  isHung: boolean;
  /** It has got a SIGKILL that it will not survive. */
  isDying: boolean;
}

export interface EngineParts {
  readonly node: string;
  /** The machine's own clock. */
  readonly clock: Clock;
  readonly random: SeededRandom;
  readonly witness: EngineWitness;
}

/** The exit code of what ran when the power failed. */
const POWER_CUT_EXIT_CODE = 255;

export class SimulatedEngine {
  readonly #parts: EngineParts;
  readonly #containers = new Map<string, SimulatedContainer>();
  readonly #pulled = new Set<string>();
  readonly #listeners = new Set<(container: SimulatedContainer) => void>();
  #created = 0;
  /** Rises with every power cut: what was under way before comes to nothing. */
  #life = 0;
  #bootedAt: Moment;
  /** It answers nobody and tells nothing; containers run on. */
  isAway = false;

  constructor(parts: EngineParts) {
    this.#parts = parts;
    this.#bootedAt = this.#now();
  }

  /** The machine's present life, as its kernel names it. */
  get boot(): Boot {
    return { id: `${this.#parts.node}-boot-${this.#life}`, startedAt: this.#bootedAt };
  }

  get life(): number {
    return this.#life;
  }

  get containers(): readonly SimulatedContainer[] {
    return [...this.#containers.values()];
  }

  hasImage(image: string): boolean {
    return isLocalImage(image) || this.#pulled.has(image);
  }

  addImage(image: string): void {
    this.#pulled.add(image);
  }

  find(id: string): SimulatedContainer | undefined {
    return this.#containers.get(id);
  }

  /** Null: there is one for this task already. */
  create(
    assigned: Pick<AssignedTask, 'id' | 'group' | 'ports'>,
    { epoch, run }: { readonly epoch: number; readonly run: number },
  ): SimulatedContainer | null {
    if (this.containers.some((container) => container.task === assigned.id)) return null;
    this.#created += 1;
    const container: SimulatedContainer = {
      id: `${this.#parts.node}-c${this.#created}`,
      task: assigned.id,
      run,
      life: this.#life,
      mayRestart: assigned.group.restart.afterReboot,
      restartsInPlace: assigned.group.restart.inPlace !== undefined,
      epoch,
      ports: Object.values(assigned.ports),
      behaviour: behaviourOf(assigned.group),
      state: 'created',
      exitCode: null,
      startedAtMs: null,
      endedAtMs: null,
      timer: null,
      survivals: 0,
      isHung: false,
      isDying: false,
    };
    this.#containers.set(container.id, container);
    return container;
  }

  /** What answers on a port of the machine. */
  listenerOn(port: number): SimulatedContainer | undefined {
    return this.containers.find(({ state, ports }) => state === 'running' && ports.includes(port));
  }

  /** Whether it passes its checks now. */
  works({ behaviour, startedAtMs, isHung }: SimulatedContainer): boolean {
    const { failsChecksAfterMs = Number.POSITIVE_INFINITY } = behaviour;
    return !isHung && startedAtMs !== null && this.#parts.clock.now() - startedAtMs < failsChecksAfterMs;
  }

  start(container: SimulatedContainer): void {
    container.state = 'running';
    container.startedAtMs = this.#parts.clock.now();
    this.#parts.witness.onStart(container);
    const { lifeMs, exitCode, failurePercent } = container.behaviour;
    const fails = this.#parts.random.chance(failurePercent / 100);
    if (lifeMs !== null) this.#endAfter(container, lifeMs, fails ? 1 : exitCode);
  }

  terminate(container: SimulatedContainer): void {
    const { stopMs } = container.behaviour;
    const isDeaf = container.isHung || container.isDying;
    if (stopMs !== null && !isDeaf) this.#endAfter(container, stopMs, 143);
  }

  /** SIGKILL. `isStuck`: it survives this time. */
  kill(container: SimulatedContainer, isStuck: boolean): void {
    if (container.isDying) return;
    if (isStuck && container.survivals === 0) {
      container.survivals += 1;
      return;
    }
    container.isDying = true;
    const { killMs = 0 } = container.behaviour;
    if (killMs === 0) this.#end(container, 137);
    else this.#endAfter(container, killMs, 137);
  }

  /** It ends by itself, or by somebody else's hand. */
  crash(container: SimulatedContainer): void {
    this.#end(container, 137);
  }

  /** It makes no progress any more: neither does it end, nor does it hear SIGTERM. */
  hang(container: SimulatedContainer): void {
    if (container.isDying) return;
    container.timer?.cancel();
    container.isHung = true;
  }

  remove(container: SimulatedContainer): void {
    this.#end(container, 137);
    container.timer?.cancel();
    this.#containers.delete(container.id);
  }

  /** Everything stops at once, and nobody is told. */
  powerCut(): void {
    this.#life += 1;
    this.#bootedAt = this.#now();
    this.#listeners.clear();
    for (const container of this.containers) this.#end(container, POWER_CUT_EXIT_CODE);
  }

  /** Calls `listener` at every end, until the returned function is called. */
  listen(listener: (container: SimulatedContainer) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #now(): Moment {
    const { clock } = this.#parts;
    return { wallMs: clock.now(), steadyMs: clock.monotonicMs() };
  }

  #endAfter(container: SimulatedContainer, delayMs: number, exitCode: number): void {
    if (container.state !== 'running') return;
    container.timer?.cancel();
    container.timer = this.#parts.clock.setTimer(delayMs, () => this.#end(container, exitCode));
  }

  #end(container: SimulatedContainer, exitCode: number): void {
    if (container.state !== 'running') return;
    container.timer?.cancel();
    container.state = 'exited';
    container.exitCode = exitCode;
    container.endedAtMs = this.#parts.clock.now();
    this.#parts.witness.onEnd(container);
    for (const listener of [...this.#listeners]) listener(container);
  }
}
