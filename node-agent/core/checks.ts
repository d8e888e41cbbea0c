/**
 * What a task's checks come to, probe after probe: when the next one is due, what an outcome means, what is told of it, and what is
 * to be done about it. All times but those that are shown are of the steady clock, so that a clock that is set decides nothing.
 *
 * - Until a check has passed once, failures don't count within its grace, and probes come thick and fast instead: a task is known to
 *   work soon after it does, however long the interval.
 * - A probe that could not be made says nothing about the task.
 * - What was found in one run, or by an agent before this one, is not carried on: a check begins undecided, with its whole grace.
 */
import type { CheckSpec } from '../../shared/domain/service.ts';
import { CHECK_MESSAGE_LENGTH_MAX, type TaskHealth } from '../../shared/domain/task.ts';
import { type BackoffPolicy, backoffMs } from '../../shared/util/backoff.ts';
import type { Moment, Unhealthy } from './model.ts';

/** Of a check without a grace, where each failure counts. */
const FIRST_PROBE_MAX_MS = 5000;
/** Between probes within the grace, until one has passed. Never longer than the interval. */
const EAGER_BACKOFF: BackoffPolicy = { baseMs: 250, factor: 1.5, maxMs: 10_000 };
/** Between two reports that differ in nothing but words. */
const WORDS_PAUSE_MS = 30_000;
/** The same while nothing is decided, since somebody may be waiting for the task to come up. */
const UNDECIDED_WORDS_PAUSE_MS = 5000;
/** Between two reports of a task whose checks go back and forth. */
const FLIP_PAUSE_MS = 250;
/** A timeout that is noticed so late was slept over by the agent or its machine, and is nobody else's fault. */
const NOTICED_LATE_MS = 1000;

/** `unknown`: it could not be made, or was not waited for as it should have been. */
export interface ProbeOutcome {
  readonly type: 'passed' | 'failed' | 'unknown';
  readonly message: string;
}

export interface CheckProgress {
  readonly spec: CheckSpec;
  readonly graceUntilMs: number;
  readonly nextAtMs: number;
  /** Probes that have been begun. */
  readonly probes: number;
  /** Any probe of this run has passed. */
  readonly hasPassed: boolean;
  /** In a row, up to now; at least one of the two is 0. */
  readonly failures: number;
  readonly successes: number;
  readonly passing: boolean | null;
  readonly message: string;
  readonly atMs: number;
}

/** Of one run of a task. */
export interface TaskChecks {
  readonly run: number;
  /** It ran already when this agent came, so what was told of it before stands until all is decided anew. */
  readonly isTakenUp: boolean;
  /** When health or readiness last changed, on the wall clock. */
  readonly sinceMs: number;
  readonly checks: readonly CheckProgress[];
}

export interface Beginning {
  readonly run: number;
  readonly isTakenUp: boolean;
  /** In [0, 1): keeps apart what begins at the same time. */
  readonly chance: number;
  readonly now: Moment;
}

export function beginChecks(specs: readonly CheckSpec[], { run, isTakenUp, chance, now }: Beginning): TaskChecks {
  const checks = specs.map((spec) => ({
    spec,
    graceUntilMs: now.steadyMs + spec.graceSeconds * 1000,
    nextAtMs: now.steadyMs + firstPauseMs(spec) * (isTakenUp ? chance : 1),
    ...{ probes: 0, hasPassed: false, failures: 0, successes: 0 },
    ...{ passing: null, message: 'not probed yet', atMs: now.wallMs },
  }));
  return { run, isTakenUp, sinceMs: now.wallMs, checks };
}

function firstPauseMs({ graceSeconds, intervalSeconds }: CheckSpec): number {
  return Math.min(intervalSeconds * 1000, graceSeconds > 0 ? EAGER_BACKOFF.baseMs : FIRST_PROBE_MAX_MS);
}

/** The next probe is counted from the beginning of this one. */
export function probeBegun(checks: TaskChecks, name: string, nowMs: number): TaskChecks {
  return withCheck(checks, name, (check) => {
    const intervalMs = check.spec.intervalSeconds * 1000;
    const isEager = !check.hasPassed && nowMs < check.graceUntilMs;
    const pauseMs = isEager ? Math.min(intervalMs, backoffMs(EAGER_BACKOFF, check.probes)) : intervalMs;
    return { ...check, probes: check.probes + 1, nextAtMs: nowMs + pauseMs };
  });
}

/** `begunAtMs` on the steady clock: what was begun within the grace tells of the grace. */
export function probeEnded(
  before: TaskChecks,
  name: string,
  outcome: ProbeOutcome,
  { begunAtMs, now }: { readonly begunAtMs: number; readonly now: Moment },
): TaskChecks {
  const after = withCheck(before, name, (check) => {
    const said = { ...check, message: clip(outcome.message), atMs: now.wallMs };
    if (outcome.type === 'unknown') return said;
    if (outcome.type === 'passed') return succeeded(said);
    return !check.hasPassed && begunAtMs < check.graceUntilMs ? said : failed(said);
  });
  const isSame = isHealthy(after) === isHealthy(before) && isReady(after) === isReady(before);
  return isSame ? after : { ...after, sinceMs: now.wallMs };
}

function succeeded(check: CheckProgress): CheckProgress {
  const successes = check.successes + 1;
  const passing = successes >= check.spec.successesMin ? true : check.passing;
  return { ...check, hasPassed: true, failures: 0, successes, passing };
}

function failed(check: CheckProgress): CheckProgress {
  const failures = check.failures + 1;
  const passing = failures >= check.spec.failuresMax ? false : check.passing;
  return { ...check, successes: 0, failures, passing };
}

/** What a probe that ran out of time says. */
export function timedOut({ timeoutSeconds }: CheckSpec, tookMs: number): ProbeOutcome {
  return tookMs > timeoutSeconds * 1000 + NOTICED_LATE_MS
    ? { type: 'unknown', message: 'the agent was held up, so that it could not tell whether there was an answer' }
    : { type: 'failed', message: `no answer within ${timeoutSeconds} s` };
}

export function healthOf(checks: TaskChecks): TaskHealth {
  return {
    run: checks.run,
    healthy: isHealthy(checks),
    ready: isReady(checks),
    sinceMs: checks.sinceMs,
    checks: checks.checks.map(({ spec, passing, message, atMs }) => ({ name: spec.name, passing, message, atMs })),
  };
}

function isHealthy(checks: TaskChecks): boolean | null {
  const found = verdicts(checks, 'health');
  if (found.includes(false)) return false;
  return found.length === 0 || found.includes(null) ? null : true;
}

function isReady(checks: TaskChecks): boolean {
  return verdicts(checks, 'readiness').every((passing) => passing === true);
}

function verdicts({ checks }: TaskChecks, purpose: CheckSpec['purpose']): (boolean | null)[] {
  return checks.filter(({ spec }) => spec.purpose === purpose).map(({ passing }) => passing);
}

/**
 * Null: nothing. A task that is to be replaced runs on while nobody is there to replace it (`isLive`: the control plane can be
 * reached): it may come round, and is no worse than nothing.
 */
export function reactionTo({ checks }: TaskChecks, { isLive }: { readonly isLive: boolean }): Unhealthy | null {
  const failing = checks.filter(({ spec, passing }) => spec.purpose === 'health' && passing === false);
  // Where two want something else, the one that goes further.
  const wanted = isLive ? (['replace', 'restart'] as const) : (['restart'] as const);
  for (const reaction of wanted) {
    const check = failing.find(({ spec }) => spec.onFailure === reaction);
    if (check !== undefined) return { reaction, message: words(check) };
  }
  return null;
}

function words({ spec, failures, message }: CheckProgress): string {
  const times = failures === 1 ? 'once' : `${failures} times in a row`;
  return failures === 0
    ? `its check "${spec.name}" does not pass: ${message}`
    : `its check "${spec.name}" failed ${times}: ${message}`;
}

/** What was told last, and when on the steady clock; null: nothing yet. */
export interface Told {
  readonly health: TaskHealth;
  readonly atMs: number;
}

/**
 * When what the checks say is to be told, on the steady clock; null: not before something changes. Flips are told at once, words that
 * merely vary now and then, since each report is a write to the cluster's state.
 */
export function tellAtMs(checks: TaskChecks, told: Told | null, begunAtMs: number): number | null {
  const health = healthOf(checks);
  const isUndecided = health.checks.some(({ passing }) => passing === null);
  if (told === null) {
    const isNews = checks.isTakenUp ? health.healthy === false : health.healthy !== null;
    if (isNews || !isUndecided) return Number.NEGATIVE_INFINITY;
    const hasWords = checks.checks.some(({ probes }) => probes > 0);
    return checks.isTakenUp || !hasWords ? null : begunAtMs + UNDECIDED_WORDS_PAUSE_MS;
  }
  if (isFlip(told.health, health)) return told.atMs + FLIP_PAUSE_MS;
  const isSame = health.checks.every(({ message }, at) => message === told.health.checks[at]?.message);
  return isSame ? null : told.atMs + (isUndecided ? UNDECIDED_WORDS_PAUSE_MS : WORDS_PAUSE_MS);
}

function isFlip(before: TaskHealth, after: TaskHealth): boolean {
  return (
    before.healthy !== after.healthy ||
    before.ready !== after.ready ||
    before.sinceMs !== after.sinceMs ||
    after.checks.some(({ passing }, at) => passing !== before.checks[at]?.passing)
  );
}

function withCheck(checks: TaskChecks, name: string, change: (check: CheckProgress) => CheckProgress): TaskChecks {
  return { ...checks, checks: checks.checks.map((check) => (check.spec.name === name ? change(check) : check)) };
}

function clip(message: string): string {
  const flat = message.trim().replace(/\s+/g, ' ');
  return flat.length <= CHECK_MESSAGE_LENGTH_MAX ? flat : `${flat.slice(0, CHECK_MESSAGE_LENGTH_MAX - 1)}…`;
}
