/** Each check sees what it is for: the ones, above all, that no planted bug breaks. */
import { describe, expect, it } from 'vitest';
import { keys } from '../../../control-plane/store/keys.ts';
import { putRecord, type RecordOf } from '../../../control-plane/store/records.ts';
import { type Change, Snapshot } from '../../../control-plane/store/snapshot.ts';
import type { Ledger } from '../../../shared/domain/ledger.ts';
import type { Task, TaskReason } from '../../../shared/domain/task.ts';
import { aGroup, aJob, aLedger, aNode, anEntry, aTask } from '../../support/builders.ts';
import type { Origin } from '../faulty-store.ts';
import type { Revision } from '../truth.ts';
import { checkAlone, checkStart } from './containers.ts';
import { unsettled } from './convergence.ts';
import { checkJobs } from './jobs.ts';
import { checkLedgers } from './ledgers.ts';
import { emptyPast, type Past } from './past.ts';
import { checkRounds } from './rounds.ts';
import { checkTasks } from './tasks.ts';

const NODE = aNode();
const job = aJob({ spec: { groups: [aGroup({ count: 5, ports: [{ name: 'http', protocol: 'tcp' }] })] } });
const placed = (index: number, port: number) =>
  aTask(job, { index, state: 'staging', node: NODE.id, ports: { http: port } });

interface State {
  readonly ledgers?: readonly Ledger[];
  readonly tasks?: readonly Task[];
  readonly jobs?: readonly RecordOf['jobs'][];
}

function snapshotOf({ ledgers = [], tasks = [], jobs = [job] }: State): Snapshot {
  const writes = [
    putRecord('nodes', keys.node(NODE.id), NODE),
    putRecord('alive', keys.alive(NODE.id), { epoch: 1 }),
    putRecord('epochs', keys.epoch(NODE.id), { epoch: 1, unreachableSinceMs: null }),
    ...ledgers.map((ledger) => putRecord('ledger', keys.ledger(ledger.node), ledger)),
    ...tasks.map((task) => putRecord('tasks', keys.task(task.id), task)),
    ...jobs.map((each) => putRecord('jobs', keys.job(each.spec), each)),
    putRecord('versions', keys.version(job.uid, 1), {
      jobUid: job.uid,
      version: 1,
      spec: job.spec,
      createdAtMs: 0,
      createdBy: 'alice',
    }),
  ];
  const keyValues = writes.flatMap((write) =>
    write.type === 'put' ? [{ ...write, createRevision: 9, modRevision: 9, lease: null }] : [],
  );
  return new Snapshot(9, keyValues);
}

function revisionOf(changes: readonly Change[], origin: Partial<Origin> = {}): Revision {
  const commit = {
    origin: { replica: 'replica-1', session: null, ...origin },
    transaction: { compares: [], writes: [] },
    revision: 9,
    sentAtRevision: 8,
  };
  return { number: 9, commit, changes, events: [] };
}

function ledgerChange(before: Ledger | null, after: Ledger): Change {
  return { kind: 'ledger', key: keys.ledger(after.node), id: after.node, revision: 9, before, after };
}

function taskChange(before: Task | null, after: Task | null): Change {
  const id = (after ?? before)?.id ?? '';
  return { kind: 'tasks', key: keys.task(id), id, revision: 9, before, after };
}

function ledgerFound(before: Ledger | null, after: Ledger): number[] {
  const now = snapshotOf({ ledgers: [after] });
  return checkLedgers(revisionOf([ledgerChange(before, after)]), now).map(({ invariant }) => invariant);
}

describe('ledgers', () => {
  const first = placed(0, 31_000);
  const second = placed(1, 31_001);

  it('may be filled up to the brim', () => {
    const total = { ...NODE.resources, cpus: 2 };
    const entries = [first, second].map((task) => anEntry(job, task));
    expect(ledgerFound(aLedger({ total }), aLedger({ total, entries }))).toEqual([]);
  });

  it('may not give away more than there is', () => {
    const total = { ...NODE.resources, cpus: 1.999 };
    const entries = [first, second].map((task) => anEntry(job, task));
    expect(ledgerFound(aLedger({ total }), aLedger({ total, entries }))).toEqual([2]);
  });

  it('may not give one port twice, nor a port that is not theirs', () => {
    const twice = [first, placed(1, 31_000)].map((task) => anEntry(job, task));
    expect(ledgerFound(aLedger(), aLedger({ entries: twice }))).toEqual([2]);
    expect(ledgerFound(aLedger(), aLedger({ entries: [anEntry(job, placed(0, 80))] }))).toEqual([2]);
  });

  it('take nothing while they are closed or drained', () => {
    const entries = [anEntry(job, first)];
    const closed = { eligible: false };
    const drained = { drain: { startedAtMs: 0, deadlineMs: null, by: 'alice' } };
    expect(ledgerFound(aLedger(closed), aLedger({ ...closed, entries }))).toEqual([9]);
    expect(ledgerFound(aLedger(drained), aLedger({ ...drained, entries }))).toEqual([9]);
  });
});

describe('tasks', () => {
  const running = aTask(job, { state: 'running', node: NODE.id, ports: { http: 31_000 } });
  const entry = anEntry(job, running);

  function found(before: Task | null, after: Task, past: Past = emptyPast(), origin: Partial<Origin> = {}): number[] {
    const now = snapshotOf({ tasks: [after], ledgers: [aLedger({ entries: [entry] })] });
    return checkTasks(revisionOf([taskChange(before, after)], origin), past, now).map(({ invariant }) => invariant);
  }

  it('may go forward', () => {
    const end = { state: 'finished', atMs: 5, reason: 'exited', message: 'exited' } as const;
    expect(found(running, { ...running, state: 'finished', history: [...running.history, end] })).toEqual([]);
  });

  it('may not go back, nor change after their end', () => {
    expect(found(running, { ...running, state: 'starting' })).toContain(4);
    const ended = aTask(job, { state: 'finished', node: NODE.id });
    expect(found(ended, { ...ended, exitCode: 1 })).toContain(4);
  });

  it('are not reported on under an epoch that is over, nor by another node', () => {
    const past = emptyPast();
    past.epochs.set(NODE.id, 2);
    past.epochs.set('edge-2', 1);
    expect(found(running, running, past, { session: { node: NODE.id, epoch: 2 } })).toEqual([]);
    expect(found(running, running, past, { session: { node: NODE.id, epoch: 1 } })).toEqual([5]);
    expect(found(running, running, past, { session: { node: 'edge-2', epoch: 1 } })).toEqual([5]);
  });

  it('run once, and only where they were placed', () => {
    const container = { id: 'c1', task: running.id, run: 0, life: 0, mayRestart: false };
    const start = (node: string, past: Past, change = {}, now = snapshotOf({})) =>
      checkStart({ ...container, ...change }, node, past, now).map(({ invariant }) => invariant);
    const past = emptyPast();
    past.placements.set(running.id, { node: NODE.id, revision: 3 });
    expect(start(NODE.id, past)).toEqual([]);
    expect(start('edge-2', past)).toEqual([6]);
    const given = (change: Partial<Task>) => snapshotOf({ tasks: [{ ...running, state: 'lost', ...change }] });
    const by = (reason: TaskReason) => [{ state: 'lost', atMs: 0, reason, message: '' } as const];
    expect(start(NODE.id, past, {}, given({ history: by('not-found-on-node') }))).toEqual([4]);
    expect(start(NODE.id, past, {}, given({ history: by('node-lost') }))).toEqual([]);
    past.starts.set(running.id, { node: NODE.id, container, atMs: 0 });
    expect(start(NODE.id, past)).toEqual([4]);
    expect(start(NODE.id, past, { run: 1, life: 1, mayRestart: true })).toEqual([]);
    expect(start(NODE.id, past, { run: 1, life: 0, mayRestart: true })).toEqual([4]);
    expect(start(NODE.id, past, { run: 1, life: 1, mayRestart: false })).toEqual([4]);
    expect(start(NODE.id, past, { run: 0, life: 1, mayRestart: true })).toEqual([4]);
  });

  it('have one live container at a time', () => {
    const at = (id: string, state: 'running' | 'exited') => ({ id, task: running.id, state });
    expect(checkAlone(at('c1', 'running'), [at('c1', 'running'), at('c0', 'exited')])).toEqual([]);
    expect(checkAlone(at('c1', 'running'), [at('c1', 'running'), at('c0', 'running')])).toHaveLength(1);
  });
});

describe('jobs', () => {
  it('go only when they were deleted and nothing of them is left', () => {
    const gone = (before: RecordOf['jobs'], state: State) => {
      const change = {
        kind: 'jobs',
        key: keys.job(before.spec),
        id: before.uid,
        revision: 9,
        before,
        after: null,
      } as const;
      return checkJobs(revisionOf([change]), emptyPast(), snapshotOf({ jobs: [], ...state })).length;
    };
    const deleted = { ...job, deleted: true };
    const task = placed(0, 31_000);
    expect(gone(deleted, {})).toBe(0);
    expect(gone(job, {})).toBe(1);
    expect(gone(deleted, { tasks: [task] })).toBe(1);
    expect(gone(deleted, { ledgers: [aLedger({ entries: [anEntry(job, task)] })] })).toBe(1);
  });
});

describe('rounds', () => {
  it('place only under a claim of their own that came before', () => {
    const change = ledgerChange(aLedger(), aLedger({ entries: [anEntry(job, placed(0, 31_000))] }));
    const found = (round: Past['round']) => checkRounds(revisionOf([change]), { ...emptyPast(), round }).length;
    expect(found({ number: 4, owner: 'replica-1', revision: 8 })).toBe(0);
    expect(found({ number: 4, owner: 'replica-2', revision: 7 })).toBe(1);
    expect(found({ number: 4, owner: 'replica-1', revision: 9 })).toBe(1);
    expect(found(null)).toBe(1);
  });
});

describe('a world at rest', () => {
  it('leaves no task waiting that has room', () => {
    const pending = aTask(job);
    const open = snapshotOf({ tasks: [pending], ledgers: [aLedger()] });
    const full = snapshotOf({ tasks: [pending], ledgers: [aLedger({ total: { ...NODE.resources, cpus: 0.5 } })] });
    expect(unsettled([], open)).toEqual([`${pending.id} is pending, and ${NODE.id} has room for it`]);
    expect(unsettled([], full)).toEqual([]);
  });

  it('leaves no job without an outcome or a live task', () => {
    expect(unsettled([], snapshotOf({}))).toHaveLength(1);
    const outcome = { state: 'succeeded', atMs: 0, message: 'done' } as const;
    expect(unsettled([], snapshotOf({ jobs: [{ ...job, outcome }] }))).toEqual([]);
    expect(unsettled([], snapshotOf({ jobs: [{ ...job, outcome, deleted: true }] }))).toHaveLength(1);
  });
});
