/**
 * A container engine that lives in memory and in virtual time. What each task does when it runs is told in advance; images
 * that were not declared don't exist; every container that was ever started is on record, so that a test can count.
 *
 * It outlives the agents that use it, as a real engine does: hand the same one to the next agent.
 */
import type { GivenIdentity } from '../../node-agent/core/identity.ts';
import type { Container } from '../../node-agent/core/model.ts';
import type { GivenSecrets } from '../../node-agent/core/secrets.ts';
import {
  type ContainerEnd,
  type ContainerRequest,
  EXEC_OUTPUT_LENGTH_MAX,
  type ExecResult,
  type LogRequest,
  type PullResult,
  type RunResult,
  type Runtime,
  RuntimeFault,
  type RuntimeListener,
  type Subscription,
} from '../../node-agent/executor/contracts.ts';
import { volumesOf } from '../../shared/domain/job.ts';
import type { AssignedTask, LogLine } from '../../shared/protocol/agent.ts';
import { type Clock, sleep, type Timer } from '../../shared/util/clock.ts';

/** What a task does once it is started. Times in milliseconds. */
export interface Behaviour {
  /** Between the engine's start call and its answer. */
  readonly startMs: number;
  /** It ends by itself after so long; null: never. */
  readonly lifeMs: number | null;
  readonly exitCode: number;
  readonly outOfMemory: boolean;
  /** It ends so long after the polite signal, with 143; null: it ignores the signal. */
  readonly stopMs: number | null;
  /** The engine refuses to start it. */
  readonly refusal: { readonly reason: 'command-unusable' | 'engine-error'; readonly message: string } | null;
  readonly output: readonly string[];
}

export const LONG_RUNNING: Behaviour = {
  startMs: 100,
  lifeMs: null,
  exitCode: 0,
  outOfMemory: false,
  stopMs: 0,
  refusal: null,
  output: [],
};

export interface FakeRuntimeOptions {
  readonly clock: Clock;
  /** Images that the engine has from the beginning. */
  readonly images?: readonly string[];
  /** Images that a pull brings; a pull of any other fails. */
  readonly pullable?: readonly string[];
  readonly pullMs?: number;
  readonly behaviour?: (task: AssignedTask) => Behaviour;
  /** Ends are told with how they came about, where an exit code says it all. */
  readonly tellsEnds?: boolean;
  /** Where paths of the node lead; a path that isn't here leads nowhere. */
  readonly paths?: Readonly<Record<string, string>>;
}

export type EngineCall =
  | 'list'
  | 'inspect'
  | 'hasImage'
  | 'pullImage'
  | 'run'
  | 'signal'
  | 'remove'
  | 'exec'
  | 'resolvePath';

interface FakeContainer {
  container: Container;
  readonly behaviour: Behaviour;
  timer: Timer | null;
}

/** What the commands of the runtimes' suite come to. */
export function playedAnswer(command: readonly string[]): ExecResult | 'hangs' {
  const text = command.join(' ');
  if (text.startsWith('sleep')) return 'hangs';
  return text.includes('exit 3')
    ? { exitCode: 3, output: 'words' }
    : { exitCode: 0, output: 'words '.repeat(2000).slice(0, EXEC_OUTPUT_LENGTH_MAX) };
}

export class FakeRuntime implements Runtime {
  readonly #options: FakeRuntimeOptions;
  readonly #containers = new Map<string, FakeContainer>();
  readonly #listeners = new Set<RuntimeListener>();
  readonly #images: Set<string>;
  readonly #faults: { readonly call: EngineCall; readonly after: boolean }[] = [];
  #created = 0;
  /** Rises with every power cut: what was under way before comes to nothing. */
  #life = 0;
  /** While true every call fails and no event is told. */
  isAway = false;
  /** How long the answer to a listing takes; it says what there was when it was asked for. */
  listMs = 0;
  /** Task ids, one for each container that was started, in order. */
  readonly started: string[] = [];
  /** The same, with the run that each was for: `t1 run 0`. */
  readonly startedRuns: string[] = [];
  readonly signals: { readonly task: string; readonly signal: string; readonly atMs: number }[] = [];
  readonly pulls: string[] = [];
  /** What the last run of each task was given in confidence. */
  readonly given = new Map<string, GivenSecrets>();
  /** The folder of each task's tokens about itself, at its last run. */
  readonly identities = new Map<string, GivenIdentity>();
  /** What a command beside a task comes to; `hangs`: it goes on until it is no longer waited for. */
  execAnswer: (task: string, command: readonly string[]) => ExecResult | 'hangs' = () => ({ exitCode: 0, output: '' });
  /** Most containers that were being started at one time. */
  startingMost = 0;
  #starting = 0;

  constructor(options: FakeRuntimeOptions) {
    this.#options = options;
    this.#images = new Set(options.images ?? []);
  }

  /** The next such call fails: before it has done anything, or after it has done everything. */
  failNext(call: EngineCall, when: 'before' | 'after' = 'before'): void {
    this.#faults.push({ call, after: when === 'after' });
  }

  /** The engine goes away for a while: events are lost, and calls fail. */
  goAway(): void {
    this.isAway = true;
  }

  comeBack(): void {
    this.isAway = false;
    for (const listener of [...this.#listeners]) listener.onGap();
  }

  get containers(): readonly Container[] {
    return [...this.#containers.values()].map((entry) => entry.container);
  }

  containerOf(task: string): Container | undefined {
    return this.containers.find((container) => container.task === task);
  }

  /** Puts a container there that no agent has made. */
  plant(container: Omit<Container, 'id'>, behaviour: Behaviour = LONG_RUNNING): Container {
    const planted = { ...container, id: this.#nextId() };
    this.#containers.set(planted.id, { container: planted, behaviour, timer: null });
    return planted;
  }

  /** Somebody removes the task's container by hand. */
  removeByHand(task: string): void {
    const container = this.containerOf(task);
    if (container !== undefined) this.#delete(container.id);
  }

  /** The power fails: whatever ran has ended when the machine is back, with the engine's exit code for that. */
  powerCut(): void {
    this.#life += 1;
    for (const id of [...this.#containers.keys()]) this.#end(id, { exitCode: 255 });
    for (const listener of [...this.#listeners]) this.#listeners.delete(listener);
  }

  /** Somebody kills its processes behind the engine's back. False: it doesn't run. */
  killFromOutside(id: string): boolean {
    const runs = this.#containers.get(id)?.container.state === 'running';
    this.#end(id, { exitCode: 137 });
    return runs;
  }

  dropImage(image: string): void {
    this.#images.delete(image);
  }

  async list(): Promise<readonly Container[]> {
    const listed = await this.#call('list', () => this.containers);
    if (this.listMs > 0) await sleep(this.#options.clock, this.listMs);
    return listed;
  }

  inspect(id: string): Promise<Container | null> {
    return this.#call('inspect', () => this.#containers.get(id)?.container ?? null);
  }

  hasImage(image: string): Promise<boolean> {
    return this.#call('hasImage', () => this.#images.has(image));
  }

  async pullImage(image: string, signal: AbortSignal): Promise<PullResult> {
    this.pulls.push(image);
    await sleep(this.#options.clock, this.#options.pullMs ?? 500, signal);
    return this.#call('pullImage', (): PullResult => {
      if (signal.aborted) return { type: 'failed', message: 'no longer wanted' };
      if (!(this.#options.pullable ?? []).includes(image)) return { type: 'failed', message: `${image}: not found` };
      this.#images.add(image);
      return { type: 'pulled' };
    });
  }

  async run(
    { assigned, run, secrets, identity }: ContainerRequest,
    beforeStart: (container: string) => Promise<void>,
  ): Promise<RunResult> {
    this.#throwIfFaulty('run', false);
    if (!this.#images.has(assigned.group.image)) return { type: 'image-missing' };
    if (this.containerOf(assigned.id) !== undefined) throw new Error(`two containers for task ${assigned.id}`);
    const behaviour = this.#options.behaviour?.(assigned) ?? LONG_RUNNING;
    const id = this.#nextId();
    const volumes = volumesOf(assigned.group, assigned.index);
    const container = { ...created(id, assigned.id, run), ...(volumes.length > 0 && { volumes }) };
    this.#containers.set(id, { container, behaviour, timer: null });
    const life = this.#life;
    await beforeStart(id);
    await this.#startTakes(behaviour.startMs);
    if (life !== this.#life) throw new RuntimeFault('start: the machine lost its power');
    this.#throwIfFaulty('run', false);
    if (behaviour.refusal !== null) {
      this.#delete(id);
      return { type: 'refused', ...behaviour.refusal };
    }
    if (secrets !== undefined) this.given.set(assigned.id, secrets);
    if (identity !== undefined) this.identities.set(assigned.id, identity);
    const begun = this.#begin(id);
    this.#throwIfFaulty('run', true);
    return { type: 'started', container: begun };
  }

  signal(id: string, signal: string): Promise<void> {
    return this.#call('signal', () => {
      const entry = this.#containers.get(id);
      if (entry?.container.state !== 'running') return;
      this.signals.push({ task: entry.container.task, signal, atMs: this.#options.clock.monotonicMs() });
      const { stopMs } = entry.behaviour;
      if (signal === 'SIGKILL') this.#endAfter(id, 0, 137);
      else if (stopMs !== null) this.#endAfter(id, stopMs, 143);
    });
  }

  remove(id: string): Promise<boolean> {
    return this.#call('remove', () => {
      if (this.#containers.get(id)?.container.state === 'running') return false;
      this.#delete(id);
      return true;
    });
  }

  watch(listener: RuntimeListener): Subscription {
    this.#listeners.add(listener);
    queueMicrotask(() => {
      if (this.#listeners.has(listener) && !this.isAway) listener.onGap();
    });
    return { close: () => void this.#listeners.delete(listener) };
  }

  async *logs(id: string, request: LogRequest, signal: AbortSignal): AsyncGenerator<readonly LogLine[]> {
    this.#throwIfFaulty('inspect', false);
    const lines = this.#containers.get(id)?.behaviour.output ?? [];
    const kept = request.tail === null ? lines : lines.slice(Math.max(0, lines.length - request.tail));
    if (kept.length > 0) yield kept.map((text, index) => ({ at: lineTime(index), stream: 'stdout', text }));
    while (request.follow && !signal.aborted && this.#containers.get(id)?.container.state === 'running') {
      await sleep(this.#options.clock, 50, signal);
    }
  }

  async exec(id: string, command: readonly string[], signal: AbortSignal): Promise<ExecResult> {
    const container = await this.#call('exec', () => this.#containers.get(id)?.container);
    if (container?.state !== 'running') throw new RuntimeFault(`exec: container ${id} does not run`);
    const answer = this.execAnswer(container.task, command);
    if (answer !== 'hangs') return answer;
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    return { exitCode: null, output: '' };
  }

  resolvePath(path: string): Promise<string | null> {
    return this.#call('resolvePath', () => this.#options.paths?.[path] ?? null);
  }

  async #call<T>(call: EngineCall, answer: () => T): Promise<T> {
    await Promise.resolve();
    this.#throwIfFaulty(call, false);
    const result = answer();
    this.#throwIfFaulty(call, true);
    return result;
  }

  #throwIfFaulty(call: EngineCall, after: boolean): void {
    if (this.isAway) throw new RuntimeFault(`${call}: the engine is away`);
    const index = this.#faults.findIndex((fault) => fault.call === call && fault.after === after);
    if (index < 0) return;
    this.#faults.splice(index, 1);
    throw new RuntimeFault(`${call}: the engine failed`);
  }

  async #startTakes(startMs: number): Promise<void> {
    this.#starting += 1;
    this.startingMost = Math.max(this.startingMost, this.#starting);
    await sleep(this.#options.clock, startMs);
    this.#starting -= 1;
  }

  #begin(id: string): Container {
    const entry = this.#containers.get(id);
    if (entry === undefined) throw new RuntimeFault(`start: container ${id} is gone`);
    const startedAtMs = this.#options.clock.now();
    entry.container = { ...entry.container, state: 'running', startedAtMs };
    this.started.push(entry.container.task);
    this.startedRuns.push(`${entry.container.task} run ${entry.container.run}`);
    const { lifeMs, exitCode } = entry.behaviour;
    if (lifeMs !== null) this.#endAfter(id, lifeMs, exitCode);
    return entry.container;
  }

  #endAfter(id: string, delayMs: number, exitCode: number): void {
    const entry = this.#containers.get(id);
    if (entry === undefined) return;
    entry.timer?.cancel();
    entry.timer = this.#options.clock.setTimer(delayMs, () => this.#end(id, { exitCode }));
  }

  #end(id: string, { exitCode }: { readonly exitCode: number }): void {
    const entry = this.#containers.get(id);
    if (entry?.container.state !== 'running') return;
    const { outOfMemory } = entry.behaviour;
    const endedAtMs = this.#options.clock.now();
    entry.container = { ...entry.container, state: 'exited', exitCode, outOfMemory, endedAtMs };
    this.#tellEnd(entry.container, this.#options.tellsEnds && !outOfMemory ? { exitCode, atMs: endedAtMs } : undefined);
  }

  #delete(id: string): void {
    const entry = this.#containers.get(id);
    if (entry === undefined) return;
    entry.timer?.cancel();
    this.#containers.delete(id);
    this.#tellEnd(entry.container);
  }

  #tellEnd(container: Container, end?: ContainerEnd): void {
    if (this.isAway) return;
    for (const listener of [...this.#listeners]) listener.onEnd(container.task, container.id, end);
  }

  #nextId(): string {
    this.#created += 1;
    return `container-${this.#created}`;
  }
}

function created(id: string, task: string, run: number): Container {
  const unknown = { exitCode: null, outOfMemory: false, error: '', startedAtMs: null, endedAtMs: null };
  return { id, task, run, state: 'created', ...unknown };
}

function lineTime(index: number): string {
  return `2026-01-01T00:00:00.${String(index).padStart(9, '0')}Z`;
}
