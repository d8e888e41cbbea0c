/** Whether every job came out as what was asked of it, and what its tasks did, say that it must. */
import { isTerminal } from '../../../shared/domain/task.ts';
import type { JobSummary, TaskView } from '../../../shared/protocol/views.ts';
import type { FaultRecord, History, PlannedGroup, PlannedJob, RequestKind, RequestRecord } from '../history.ts';
import type { Violation } from './violation.ts';

export function checkOutcomes(history: History): Violation[] {
  const [final] = history.finals;
  if (final === undefined) return [];
  const requests = Map.groupBy(history.requests, ({ job }) => job);
  const jobs = new Map(final.jobs.map((job) => [job.name, job]));
  const tasks = Map.groupBy(final.tasks, ({ job }) => job?.name);
  return history.jobs.flatMap((planned) =>
    checkJob({
      planned,
      asked: new Asked(requests.get(planned.name) ?? []),
      job: jobs.get(planned.name),
      tasks: tasks.get(planned.name) ?? [],
      faults: onWallClock(history),
    }),
  );
}

/** With times as the records of tasks have them, where clocks are right. */
function onWallClock({ faults, steadyZeroMs }: History): FaultRecord[] {
  return faults.map((fault) => ({
    ...fault,
    beganAtMs: fault.beganAtMs + steadyZeroMs,
    endedAtMs: fault.endedAtMs + steadyZeroMs,
  }));
}

/** What a client asked for about one job, and what it was told. */
class Asked {
  readonly #requests: readonly RequestRecord[];

  constructor(requests: readonly RequestRecord[]) {
    this.#requests = requests;
  }

  of(kind: RequestKind): RequestRecord | undefined {
    return this.#requests.find((request) => request.kind === kind);
  }

  accepted(kind: RequestKind) {
    const answer = this.of(kind)?.answer;
    return answer?.type === 'accepted' ? answer : null;
  }

  /** It may have been carried out, or not: nobody was told. */
  isOpen(kind: RequestKind): boolean {
    const request = this.of(kind);
    return request !== undefined && request.answer === null;
  }
}

interface JobFacts {
  readonly planned: PlannedJob;
  readonly asked: Asked;
  readonly job: JobSummary | undefined;
  readonly tasks: readonly TaskView[];
  readonly faults: readonly FaultRecord[];
}

function checkJob(facts: JobFacts): Violation[] {
  const { planned, asked, job, tasks } = facts;
  const found = (rule: string, message: string): Violation => ({ rule, about: planned.name, message });
  const live = tasks.filter(({ state }) => !isTerminal(state));
  const unended = live.map(({ id, state }) => found('every task ends', `its task ${id} is still ${state}`));
  if (asked.of('delete')?.answer != null) {
    return job === undefined ? unended : [...unended, found('what was deleted is gone', `it is ${job.state}`)];
  }
  if (job === undefined) {
    const isLost = asked.accepted('submit') !== null && !asked.isOpen('delete');
    return isLost ? [...unended, found('no accepted job is lost', 'it is not on record')] : unended;
  }
  return [...unended, ...checkVersion(facts, job), ...checkState(facts, job)];
}

function checkVersion({ planned, asked }: JobFacts, job: JobSummary): Violation[] {
  const changed = asked.accepted('change');
  if (changed === null && asked.isOpen('change')) return [];
  const version = changed?.version ?? 1;
  if (job.version === version) return [];
  const message = `it is at version ${job.version}, and its client was told of version ${version}`;
  return [{ rule: 'no answered change is undone', about: planned.name, message }];
}

function checkState(facts: JobFacts, job: JobSummary): Violation[] {
  const { planned, asked } = facts;
  const found = (rule: string, message: string): Violation[] => [{ rule, about: planned.name, message }];
  if (job.endedAt === null) return found('every job ends', `it is still ${job.state}: ${job.message}`);
  const stop = asked.accepted('stop');
  // A stop that comes after the end changes nothing, and says so in its answer.
  const wasOver = stop !== null && (stop.state === 'succeeded' || stop.state === 'failed');
  if (stop !== null && !wasOver) {
    return job.state === 'stopped' ? [] : found('no answered stop is undone', `it ${job.state} after its stop`);
  }
  if (job.state === 'stopped') {
    return asked.isOpen('stop') ? [] : found('nobody stops unasked', 'it was stopped, and nobody asked for that');
  }
  return checkSlots(facts, job);
}

/** One place of the job, filled by one attempt after the other. */
interface Slot {
  readonly group: PlannedGroup;
  readonly index: number;
  readonly attempts: readonly TaskView[];
}

function checkSlots({ planned, tasks, faults }: JobFacts, job: JobSummary): Violation[] {
  const groups = planned.versions[job.version - 1] ?? [];
  const slots = groups.flatMap((group) =>
    Array.from({ length: group.count }, (_, index): Slot => {
      const isHere = (task: TaskView) =>
        task.job?.version === job.version && task.group === group.name && task.index === index;
      return { group, index, attempts: tasks.filter(isHere).sort((a, b) => a.attempt - b.attempt) };
    }),
  );
  const isGood = slots.every(({ attempts }) => attempts.at(-1)?.state === 'finished');
  const right = isGood ? 'succeeded' : 'failed';
  const wrong: Violation[] =
    job.state === right
      ? []
      : [
          {
            rule: 'a job ends as its tasks did',
            about: job.name,
            message: `it ${job.state}, and its tasks say ${right}`,
          },
        ];
  return [...wrong, ...slots.flatMap((slot) => checkSlot(slot, planned, faults))];
}

function checkSlot(slot: Slot, planned: PlannedJob, faults: readonly FaultRecord[]): Violation[] {
  const { group, index, attempts } = slot;
  const about = `${planned.name} ${group.name}/${index}`;
  const last = attempts.at(-1);
  if (last === undefined) return [{ rule: 'every task is made', about, message: 'it has no attempt on record' }];
  const violations: Violation[] = [];
  const found = (rule: string, message: string) => violations.push({ rule, about, message });
  if (attempts.some(({ attempt }, at) => attempt !== at))
    found('attempts are counted', 'its attempts are not 0, 1, 2, …');
  if (attempts.length > group.retriesMax + 1) {
    found('no more attempts than allowed', `it had ${attempts.length}, and ${group.retriesMax + 1} were allowed`);
  }
  if (last.state !== 'finished' && attempts.length < group.retriesMax + 1) {
    found(
      'no attempt is withheld',
      `it ended as ${last.state} after ${attempts.length} of ${group.retriesMax + 1} attempts`,
    );
  }
  for (const task of attempts) {
    const wrong = wrongEnd(task, group, planned, faults);
    if (wrong !== null)
      found('a task ends as it was meant to, or as a fault explains', `attempt ${task.attempt}: ${wrong}`);
  }
  return violations;
}

/**
 * Kinds of faults that may cost the knowledge of how a container ended, and the exit codes that are theirs: a killed container's, those
 * that an engine gives to containers which were gone when it came up, and those of an engine that ends what it finds running.
 */
const COSTS: Readonly<Record<string, readonly number[]>> = {
  'container-killed': [137],
  'power-cut': [255],
  'engine-killed': [137, 143, 255],
  'engine-paused': [],
  'agent-killed': [],
  'disk-full': [],
};
/** A record's times come from clocks that may have been set wrong by so much, and a fault is felt for a while after its end. */
const FELT_MS = 45_000;

/** Null: it ended by its own code, or a fault explains why it didn't. */
function wrongEnd(
  task: TaskView,
  group: PlannedGroup,
  planned: PlannedJob,
  faults: readonly FaultRecord[],
): string | null {
  const said = `${task.state} (${task.reason}, exit code ${task.exitCode}) on ${task.node}: ${task.message}`;
  switch (task.state) {
    case 'finished':
      return group.exitCode === 0 && task.exitCode === 0 ? null : `it is ${said}, and its code was ${group.exitCode}`;
    case 'failed':
      if (task.reason === 'exited' && task.exitCode === group.exitCode && group.exitCode !== 0) return null;
      if (task.reason === 'disconnected') return wrongFence(task, planned, faults, said);
      if (isExplained(task, faults, task.exitCode)) return null;
      return `it is ${said}, and no fault explains that`;
    case 'lost':
      if (task.reason === 'node-lost') return planned.promises.neverAgain ? `it was given up: ${said}` : null;
      return isExplained(task, faults, null) ? null : `it is ${said}, and no fault explains that`;
    default:
      return `it is ${said}`;
  }
}

/** Whatever keeps heartbeats from being confirmed may have cut the node off; but only what may never run twice ends for that. */
function wrongFence(task: TaskView, planned: PlannedJob, faults: readonly FaultRecord[], said: string): string | null {
  if (!planned.promises.neverTwo) return `it is ${said}, and nobody asked for that`;
  return faults.some((fault) => isFelt(task, fault)) ? null : `it is ${said}, and no fault explains that`;
}

/** `exitCode`: on record; null: none is. */
function isExplained(task: TaskView, faults: readonly FaultRecord[], exitCode: number | null): boolean {
  return faults.some(
    (fault) =>
      (exitCode === null ? fault.kind in COSTS : COSTS[fault.kind]?.includes(exitCode) === true) &&
      fault.targets.some((target) => target === task.node || target === task.id) &&
      isFelt(task, fault),
  );
}

function isFelt(task: TaskView, { beganAtMs, endedAtMs }: FaultRecord): boolean {
  const from = Date.parse(task.placedAt ?? task.createdAt) - FELT_MS;
  const to = Date.parse(task.endedAt ?? task.createdAt) + FELT_MS;
  return beganAtMs <= to && endedAtMs >= from;
}
