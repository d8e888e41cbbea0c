/**
 * What containers wrote down themselves, against what the cluster says: who ran, how often, together with whom, and how it ended.
 * The cluster has no hand in these lines, so what it forgets or makes up shows.
 */
import { isTerminal } from '../../../shared/domain/task.ts';
import type { TaskView } from '../../../shared/protocol/views.ts';
import type { History, PlannedJob, WitnessLine } from '../history.ts';
import type { Violation } from './violation.ts';

/** One container's life, as far as it told of it. */
interface Life {
  readonly task: string;
  readonly node: string;
  readonly container: string;
  readonly starts: number;
  readonly startedAtMs: number;
  /** It certainly lived until then. */
  readonly seenUntilMs: number;
  /** The code that it announced; null: it was killed, or it never said. */
  readonly exitCode: number | null;
}

export function checkContainers(history: History): Violation[] {
  const lives = livesOf(history.witness);
  const tasks = new Map((history.finals[0]?.tasks ?? []).map((task) => [task.id, task]));
  return [
    ...checkOnce(lives),
    ...checkRecords(lives, tasks),
    ...checkEnds(lives, tasks),
    ...checkRoom(lives, history.machineCpus),
    ...history.jobs.flatMap((job) => checkPromises(job, lives, tasks)),
  ];
}

function livesOf(witness: readonly WitnessLine[]): Life[] {
  const byContainer = Map.groupBy(witness, ({ task, container }) => `${task} ${container}`);
  return [...byContainer.values()].flatMap((lines) => {
    const [first] = lines;
    if (first === undefined) return [];
    const times = lines.map(({ atMs }) => atMs);
    return [
      {
        ...{ task: first.task, node: first.node, container: first.container },
        starts: lines.filter(({ type }) => type === 'start').length,
        startedAtMs: Math.min(...times),
        seenUntilMs: Math.max(...times),
        exitCode: lines.find(({ type }) => type === 'end')?.exitCode ?? null,
      },
    ];
  });
}

/** A batch task has one run, in one container. */
function checkOnce(lives: readonly Life[]): Violation[] {
  const byTask = Map.groupBy(lives, ({ task }) => task);
  return [...byTask].flatMap(([task, own]) => {
    const starts = own.reduce((sum, life) => sum + life.starts, 0);
    if (starts <= 1 && own.length === 1) return [];
    const where = own.map(({ container, node }) => `${container} on ${node}`).join(', ');
    return [{ rule: 'no task runs twice', about: task, message: `it was started ${starts} times: ${where}` }];
  });
}

/** What ran is on record, on the node where it ran; what is on record as having run, ran. */
function checkRecords(lives: readonly Life[], tasks: ReadonlyMap<string, TaskView>): Violation[] {
  const unknown = lives.flatMap(({ task, node, container }): Violation[] => {
    const record = tasks.get(task);
    if (record?.node === node) return [];
    const message = `container ${container} ran on ${node}, and the record says ${record === undefined ? 'nothing' : record.node}`;
    return [{ rule: 'whatever runs is on record', about: task, message }];
  });
  const ran = new Set(lives.map(({ task }) => task));
  const invented = [...tasks.values()].flatMap(({ id, state }): Violation[] =>
    state !== 'finished' || ran.has(id)
      ? []
      : [{ rule: 'nothing is made up', about: id, message: 'it is finished, and no container ran for it' }],
  );
  return [...unknown, ...invented];
}

/** What is on record of a container that was killed, that got no further than to be asked to end, or that a power cut ended. */
const CUT_SHORT = [137, 143, 255];

/** An exit code on record is the one that the container announced, unless it was killed before it could. */
function checkEnds(lives: readonly Life[], tasks: ReadonlyMap<string, TaskView>): Violation[] {
  const announced = new Map(lives.map((life) => [life.task, life.exitCode]));
  return [...tasks.values()].flatMap(({ id, state, exitCode }): Violation[] => {
    if (exitCode === null || !isTerminal(state) || !announced.has(id)) return [];
    const own = announced.get(id) ?? null;
    if (own === exitCode || CUT_SHORT.includes(exitCode)) return [];
    const message = `exit code ${exitCode} is on record, and its container announced ${own ?? 'none'}`;
    return [{ rule: 'exit codes are true', about: id, message }];
  });
}

/** Each task takes a core: at no time may more of them live on a machine than it has. */
function checkRoom(lives: readonly Life[], machineCpus: number): Violation[] {
  const byNode = Map.groupBy(lives, ({ node }) => node);
  return [...byNode].flatMap(([node, own]) => {
    const crowded = own.find((life) => livingAt(own, life.startedAtMs).length > machineCpus);
    if (crowded === undefined) return [];
    const crowd = livingAt(own, crowded.startedAtMs).map(({ task }) => task);
    const message = `${crowd.length} tasks ran at once where ${machineCpus} fit: ${crowd.join(', ')}`;
    return [{ rule: 'no node is overcommitted', about: node, message }];
  });
}

function livingAt(lives: readonly Life[], atMs: number): Life[] {
  return lives.filter(({ startedAtMs, seenUntilMs }) => startedAtMs <= atMs && atMs < seenUntilMs);
}

function checkPromises(job: PlannedJob, lives: readonly Life[], tasks: ReadonlyMap<string, TaskView>): Violation[] {
  const { neverAgain, neverTwo } = job.promises;
  if (!neverAgain && !neverTwo) return [];
  const ofJob = lives.filter(({ task }) => tasks.get(task)?.job?.name === job.name);
  const bySlot = Map.groupBy(ofJob, ({ task }) => `${tasks.get(task)?.group}/${tasks.get(task)?.index}`);
  return [...bySlot].flatMap(([slot, own]): Violation[] => {
    const about = `${job.name} ${slot}`;
    const together = own.find((life) => own.some((other) => other !== life && overlap(life, other)));
    return [
      ...(neverAgain && own.length > 1
        ? [{ rule: 'never a second time', about, message: `${own.length} containers ran for it` }]
        : []),
      ...(neverTwo && together !== undefined
        ? [{ rule: 'never two at a time', about, message: `${together.task} ran beside another one` }]
        : []),
    ];
  });
}

function overlap(a: Life, b: Life): boolean {
  return a.startedAtMs < b.seenUntilMs && b.startedAtMs < a.seenUntilMs;
}
