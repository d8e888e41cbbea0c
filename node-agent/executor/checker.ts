/**
 * Makes the checks of what runs here, whether or not the control plane can be reached. Each check has at most one probe under way, so
 * that a slow one delays no other; a probe that waits for its turn isn't late, since its time begins when it is made. What runs is
 * watched from the moment when it is on record as running until it is to end.
 */
import type { TaskId } from '../../shared/domain/ids.ts';
import type { CheckSpec } from '../../shared/domain/service.ts';
import type { AssignedTask, HealthReport } from '../../shared/protocol/agent.ts';
import type { Clock, Timer } from '../../shared/util/clock.ts';
import type { Random } from '../../shared/util/random.ts';
import {
  beginChecks,
  healthOf,
  type ProbeOutcome,
  probeBegun,
  probeEnded,
  reactionTo,
  type TaskChecks,
  type Told,
  tellAtMs,
  timedOut,
} from '../core/checks.ts';
import type { Container, LocalTask } from '../core/model.ts';
import type { Book } from './book.ts';
import { type Log, type Probes, type Runtime, RuntimeFault } from './contracts.ts';
import { Limiter } from './limiter.ts';

/** A connection each, which costs next to nothing while it waits. */
const REQUESTS_AT_ONCE_MAX = 1000;
/** A process each, which the engine has to make and to watch. */
const COMMANDS_AT_ONCE_MAX = 32;
/** What was told is told once more, should an older request have come after it on a way that took its time. */
const REPEAT_AFTER_MS = 30_000;

export interface CheckerParts {
  readonly book: Book;
  readonly runtime: Pick<Runtime, 'exec'>;
  readonly probes: Probes;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** What the engine shows. Only asked while that is known. */
  readonly containers: () => ReadonlyMap<TaskId, Container>;
  /** What the control plane has said of it last. */
  readonly assigned: (task: TaskId) => AssignedTask | undefined;
  /** Whether the control plane can be reached. */
  readonly isLive: () => boolean;
  readonly onHealth: (report: HealthReport) => void;
  /** It is on record that a task doesn't work. */
  readonly onUnhealthy: () => void;
}

interface Watched {
  readonly assigned: AssignedTask;
  readonly container: string;
  readonly begunAtMs: number;
  readonly underWay: Set<AbortController>;
  /** By check, and those for telling. */
  readonly timers: Map<CheckSpec | 'tell' | 'repeat', Timer>;
  checks: TaskChecks;
  told: Told | null;
  isOver: boolean;
}

export class Checker {
  readonly #parts: CheckerParts;
  readonly #watched = new Map<TaskId, Watched>();
  readonly #requests = new Limiter(REQUESTS_AT_ONCE_MAX);
  readonly #commands = new Limiter(COMMANDS_AT_ONCE_MAX);
  /** What ran when the agent looked for the first time; null: it hasn't yet. */
  #found: ReadonlySet<string> | null = null;

  constructor(parts: CheckerParts) {
    this.#parts = parts;
  }

  /** Tasks have come, gone or changed, or the control plane has: compares what is watched with what should be. */
  look(): void {
    const { book, containers } = this.#parts;
    const seen = containers();
    this.#found ??= new Set([...seen.values()].filter(isRunning).map(({ id }) => id));
    for (const [task, watched] of this.#watched) {
      const container = seen.get(task);
      if (container?.id !== watched.container || !this.#isToWatch(book.tasks.get(task), container)) this.#end(task);
      else this.#react(watched);
    }
    for (const local of book.tasks.values()) {
      const container = seen.get(local.id);
      if (container === undefined || this.#watched.has(local.id) || !this.#isToWatch(local, container)) continue;
      const assigned = this.#parts.assigned(local.id) ?? local.origin;
      if (assigned?.group.checks?.length) this.#begin(assigned, container);
    }
  }

  /** All that has been told of what is watched now, for a control plane that may have missed some of it. */
  reports(): HealthReport[] {
    return [...this.#watched.values()].flatMap(({ assigned, told }) =>
      told === null ? [] : [{ task: assigned.id, health: told.health }],
    );
  }

  close(): void {
    for (const task of [...this.#watched.keys()]) this.#end(task);
  }

  #isToWatch(local: LocalTask | undefined, container: Container): boolean {
    if (local?.phase !== 'running' || local.run !== container.run || !isRunning(container)) return false;
    const assigned = this.#parts.assigned(local.id);
    const isToEnd = assigned !== undefined && (assigned.stop !== null || assigned.disowned);
    return local.stop === null && local.unhealthy === null && !isToEnd;
  }

  #begin(assigned: AssignedTask, container: Container): void {
    const { book, random } = this.#parts;
    const now = book.now();
    const isTakenUp = this.#found?.has(container.id) === true;
    const specs = assigned.group.checks ?? [];
    const checks = beginChecks(specs, { run: container.run, isTakenUp, chance: isTakenUp ? random.next() : 0, now });
    const watched: Watched = {
      ...{ assigned, container: container.id, begunAtMs: now.steadyMs, checks, told: null, isOver: false },
      ...{ underWay: new Set(), timers: new Map() },
    };
    this.#watched.set(assigned.id, watched);
    for (const spec of specs) this.#schedule(watched, spec);
  }

  #end(task: TaskId): void {
    const watched = this.#watched.get(task);
    if (watched === undefined) return;
    this.#watched.delete(task);
    watched.isOver = true;
    for (const timer of watched.timers.values()) timer.cancel();
    for (const probe of watched.underWay) probe.abort();
  }

  #schedule(watched: Watched, spec: CheckSpec): void {
    const next = watched.checks.checks.find((check) => check.spec === spec)?.nextAtMs ?? 0;
    const delayMs = Math.max(0, next - this.#parts.clock.monotonicMs());
    this.#setTimer(watched, spec, delayMs, () => void this.#probeInTurn(watched, spec));
  }

  async #probeInTurn(watched: Watched, spec: CheckSpec): Promise<void> {
    const turns = spec.type === 'command' ? this.#commands : this.#requests;
    await turns.run(async () => {
      if (!watched.isOver) await this.#probe(watched, spec);
    });
    if (!watched.isOver) this.#schedule(watched, spec);
  }

  async #probe(watched: Watched, spec: CheckSpec): Promise<void> {
    const { book, clock } = this.#parts;
    const begunAtMs = clock.monotonicMs();
    watched.checks = probeBegun(watched.checks, spec.name, begunAtMs);
    const abort = new AbortController();
    watched.underWay.add(abort);
    const outcome = await this.#within(spec, abort, this.#outcome(watched, spec, abort.signal));
    watched.underWay.delete(abort);
    if (watched.isOver) return;
    watched.checks = probeEnded(watched.checks, spec.name, outcome, { begunAtMs, now: book.now() });
    this.#tell(watched);
    this.#react(watched);
  }

  /** Whatever makes the probe may hang: it is waited for no longer than this. */
  #within(spec: CheckSpec, abort: AbortController, probe: Promise<ProbeOutcome>): Promise<ProbeOutcome> {
    const { clock } = this.#parts;
    const begunAtMs = clock.monotonicMs();
    return new Promise((resolve, reject) => {
      const late = () => {
        resolve(timedOut(spec, clock.monotonicMs() - begunAtMs));
        abort.abort();
      };
      const timer = clock.setTimer(spec.timeoutSeconds * 1000, late);
      abort.signal.addEventListener('abort', () => {
        timer.cancel();
        resolve({ type: 'unknown', message: 'it was broken off' });
      });
      probe.finally(() => timer.cancel()).then(resolve, reject);
    });
  }

  async #outcome({ assigned, container }: Watched, spec: CheckSpec, signal: AbortSignal): Promise<ProbeOutcome> {
    if (spec.type === 'command') return this.#command(container, spec.command ?? [], signal);
    const port = assigned.ports[spec.port ?? ''];
    if (port === undefined) return { type: 'unknown', message: `the task holds no port "${spec.port}"` };
    return this.#parts.probes.probe({ spec, port }, signal);
  }

  /** An engine that is away says nothing about the task. */
  async #command(container: string, command: readonly string[], signal: AbortSignal): Promise<ProbeOutcome> {
    try {
      const { exitCode, output } = await this.#parts.runtime.exec(container, command, signal);
      const ended = exitCode === null ? 'was ended by a signal' : `exit code ${exitCode}`;
      const message = `${ended}${output.trim() === '' ? '' : `: ${output}`}`;
      return { type: exitCode === 0 ? 'passed' : 'failed', message };
    } catch (cause) {
      if (!(cause instanceof RuntimeFault)) throw cause;
      return { type: 'unknown', message: `could not be made: ${cause.message}` };
    }
  }

  #tell(watched: Watched): void {
    const { clock, onHealth } = this.#parts;
    const nowMs = clock.monotonicMs();
    const atMs = tellAtMs(watched.checks, watched.told, watched.begunAtMs);
    watched.timers.get('tell')?.cancel();
    if (atMs === null) return;
    if (atMs > nowMs) {
      this.#setTimer(watched, 'tell', atMs - nowMs, () => this.#tell(watched));
      return;
    }
    const report = { task: watched.assigned.id, health: healthOf(watched.checks) };
    watched.told = { health: report.health, atMs: nowMs };
    onHealth(report);
    this.#setTimer(watched, 'repeat', REPEAT_AFTER_MS, () => onHealth(report));
  }

  #setTimer(watched: Watched, name: CheckSpec | 'tell' | 'repeat', delayMs: number, callback: () => void): void {
    watched.timers.get(name)?.cancel();
    watched.timers.set(name, this.#parts.clock.setTimer(delayMs, callback));
  }

  #react(watched: Watched): void {
    const { book, log, isLive, onUnhealthy } = this.#parts;
    const unhealthy = reactionTo(watched.checks, { isLive: isLive() });
    if (unhealthy === null) return;
    const task = watched.assigned.id;
    log.warn('a task does not work', { task, reaction: unhealthy.reaction, cause: unhealthy.message });
    book.write({ kind: 'unhealthy', task, run: watched.checks.run, ...unhealthy });
    this.#end(task);
    onUnhealthy();
  }
}

function isRunning({ state }: Container): boolean {
  return state === 'running';
}
