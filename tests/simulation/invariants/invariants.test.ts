/** Each check sees what it is for: the ones, above all, that no planted bug breaks. */
import { describe, expect, it } from 'vitest';
import { eventsOf } from '../../../control-plane/services/event-views.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { putRecord, type RecordOf } from '../../../control-plane/store/records.ts';
import { type Change, Snapshot } from '../../../control-plane/store/snapshot.ts';
import type { Ledger } from '../../../shared/domain/ledger.ts';
import type { MaintenanceWindow } from '../../../shared/domain/maintenance.ts';
import type { Node } from '../../../shared/domain/node.ts';
import type { Task, TaskReason } from '../../../shared/domain/task.ts';
import { aGroup, aJob, aLedger, aNode, anEntry, anOffer, aTask, aWindow } from '../../support/builders.ts';
import type { Origin } from '../faulty-store.ts';
import type { Revision } from '../truth.ts';
import { checkAlone, checkFreed, checkStart } from './containers.ts';
import { unsettled } from './convergence.ts';
import { checkEvents } from './events.ts';
import { checkJobs } from './jobs.ts';
import { checkLedgers } from './ledgers.ts';
import { emptyPast, KEY_LABEL, type Past, slotOf } from './past.ts';
import { checkPlans } from './plans.ts';
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
  readonly node?: Node;
  readonly maintenance?: readonly MaintenanceWindow[];
}

function snapshotOf({ ledgers = [], tasks = [], jobs = [job], node = NODE, maintenance = [] }: State): Snapshot {
  const writes = [
    putRecord('nodes', keys.node(NODE.id), node),
    putRecord('alive', keys.alive(NODE.id), { epoch: 1 }),
    putRecord('epochs', keys.epoch(NODE.id), { epoch: 1, unreachableSinceMs: null }),
    ...ledgers.map((ledger) => putRecord('ledger', keys.ledger(ledger.node), ledger)),
    ...maintenance.map((window) => putRecord('maintenance', keys.maintenance(window.node), window)),
    ...tasks.map((task) => putRecord('tasks', keys.task(task.id), task)),
    ...jobs.map((each) => putRecord('jobs', keys.job(each.spec), each)),
    putRecord('versions', keys.version(job.uid, 1), {
      jobUid: job.uid,
      version: 1,
      spec: job.spec,
      createdAtMs: 0,
      createdBy: 'alice',
      change: 'created' as const,
      templates: {},
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

function ledgerFound(before: Ledger | null, after: Ledger, state: Pick<State, 'node' | 'maintenance'> = {}): number[] {
  const now = snapshotOf({ ...state, ledgers: [after] });
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

  it.each<[string, readonly (readonly string[])[], number[]]>([
    ['each to one task', [['A'], ['B']], []],
    ['not to two', [['A'], ['A']], [2]],
    ['not one that the node does not have', [['A'], ['C']], [2]],
    ['none left out', [['A'], []], [2]],
  ])('give GPUs %s', (_, devices, expected) => {
    const total = { ...NODE.resources, gpus: 2 };
    const gpus = ['A', 'B'].map((id) => ({ id, product: 'x', memoryMiB: 1, driver: '1', parent: null }));
    const holder = aJob({ spec: { groups: [aGroup({ count: 5, resources: { gpus: 1 } })] } });
    const entries = devices.map((some, index) => anEntry(holder, placed(index, 31_000 + index), { devices: some }));
    const before = aLedger({ total, entries });
    expect(ledgerFound(before, before, { node: aNode({ gpus }) })).toEqual(expected);
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

  it('take nothing and are offered to nobody from when the begin of their window is noted', () => {
    const given = aLedger({ entries: [anEntry(job, first)], offers: [anOffer({ resources: { cpus: 0 } })] });
    const noted = { maintenance: [aWindow({ begunAtMs: 0 })] };
    expect(ledgerFound(aLedger(), given, noted)).toEqual([9, 9]);
    expect(ledgerFound(given, aLedger(), noted)).toEqual([]);
    expect(ledgerFound(aLedger(), given, { maintenance: [aWindow()] })).toEqual([]);
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
    const container = { id: 'c1', task: running.id, run: 0, life: 0, mayRestart: false, restartsInPlace: false };
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
    expect(start(NODE.id, past, { run: 1, life: 0, restartsInPlace: true })).toEqual([]);
    expect(start(NODE.id, past, { run: 0, life: 0, restartsInPlace: true })).toEqual([4]);
  });

  it('have one live container at a time', () => {
    const at = (id: string, state: 'running' | 'exited') => ({ id, task: running.id, state });
    expect(checkAlone(at('c1', 'running'), [at('c1', 'running'), at('c0', 'exited')])).toEqual([]);
    expect(checkAlone(at('c1', 'running'), [at('c1', 'running'), at('c0', 'running')])).toHaveLength(1);
  });
});

describe('plans', () => {
  const claim = { number: 4, owner: 'replica-1', revision: 10 };
  const entries = [anEntry(job, placed(0, 31_000))];
  const change = ledgerChange(aLedger(), aLedger({ entries }));

  it('give nothing to a node that was gone when the round was claimed', () => {
    const found = (goneSince: number) => {
      const past: Past = { ...emptyPast(), round: claim, gone: new Map([[NODE.id, goneSince]]) };
      return checkPlans(revisionOf([change]), past, snapshotOf({})).map(({ invariant }) => invariant);
    };
    expect(found(9)).toEqual([3]);
    expect(found(11)).toEqual([]);
  });

  it('pass nobody over whose turn it was', () => {
    const small = aGroup({ count: 5, ports: [] });
    const urgent = aJob({ uid: 'urgent', spec: { name: 'urgent', priority: 90, groups: [small] } });
    const found = (priority: number, { round = claim, waiting = aTask(urgent), role = job.spec.role } = {}) => {
      const jobs = [job, { ...urgent, spec: { ...urgent.spec, priority, role } }];
      const now = snapshotOf({ jobs, tasks: [placed(0, 31_000), waiting], ledgers: [aLedger({ entries })] });
      return checkPlans(revisionOf([change]), { ...emptyPast(), round }, now).map(({ invariant }) => invariant);
    };
    expect(found(90)).toEqual([9]);
    expect(found(job.spec.priority)).toEqual([]);
    expect(found(90, { role: 'another' })).toEqual([]);
    expect(found(90, { round: { ...claim, revision: 9 } })).toEqual([]);
    expect(found(90, { waiting: aTask(urgent, { notBeforeMs: 5 }) })).toEqual([]);
  });
});

describe('slots', () => {
  it('are filled once', () => {
    const task = aTask(job);
    const past = emptyPast();
    const found = () =>
      checkTasks(revisionOf([taskChange(null, task)]), past, snapshotOf({ tasks: [task] })).map(
        ({ invariant }) => invariant,
      );
    expect(found()).toEqual([]);
    past.slots.set(slotOf(task), 'another');
    expect(found()).toEqual([4]);
  });
});

describe('places', () => {
  const task = placed(0, 31_000);
  const full = aLedger({ entries: [anEntry(job, task)] });

  /** What the engine of the node runs while the place is given back. */
  function found(state: 'running' | 'exited', { isKept = false } = {}): number[] {
    const engine = { containers: [{ id: 'c1', task: task.id, state }] };
    const change = ledgerChange(full, isKept ? full : aLedger());
    return checkFreed(revisionOf([change]), [{ name: NODE.id, engine }]).map(({ invariant }) => invariant);
  }

  it('are given back only when nothing runs there any more', () => {
    expect(found('exited')).toEqual([]);
    expect(found('running')).toEqual([6]);
    expect(found('running', { isKept: true })).toEqual([]);
  });
});

describe('versions', () => {
  const spec = { ...job.spec, labels: { [KEY_LABEL]: 'key-1' } };
  const version = {
    jobUid: job.uid,
    version: 2,
    spec,
    createdAtMs: 0,
    createdBy: 'alice',
    change: 'created' as const,
    templates: {},
  };

  function found(before: typeof version | null, past: Past): number[] {
    const key = keys.version(job.uid, 2);
    const change = { kind: 'versions', key, id: `${job.uid}/2`, revision: 9, before, after: version } as const;
    return checkJobs(revisionOf([change]), past, snapshotOf({})).map(({ invariant }) => invariant);
  }

  it('are made once for a key, and never written again', () => {
    const past = emptyPast();
    expect(found(null, past)).toEqual([]);
    expect(found(version, past)).toEqual([1]);
    past.madeByIdempotencyKey.set('key-1', { uid: job.uid, version: 1, revision: 5 });
    expect(found(null, past)).toEqual([1]);
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

describe('events', () => {
  const change = taskChange(null, aTask(job));
  const truth = { changesAt: (revision: number) => (revision === 9 ? [change] : []) };
  const events = eventsOf(change);

  it('come once, in order, and all of them', () => {
    const found = (after: number, batch: { revision: number; events: typeof events }) =>
      checkEvents('reader', after, batch, truth).map(({ invariant }) => invariant);
    expect(events).toHaveLength(1);
    expect(found(8, { revision: 9, events })).toEqual([]);
    expect(found(9, { revision: 12, events: [] })).toEqual([]);
    expect(found(8, { revision: 9, events: [] })).toEqual([8]);
    expect(found(9, { revision: 10, events })).toEqual([8]);
    expect(found(8, { revision: 9, events: [...events, ...events] })).toEqual([8]);
    expect(found(9, { revision: 8, events: [] })).toEqual([8]);
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
