/** Each check of offers and frameworks sees what it is for. */
import { describe, expect, it } from 'vitest';
import { keys } from '../../../control-plane/store/keys.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import { type Change, Snapshot } from '../../../control-plane/store/snapshot.ts';
import type { Framework } from '../../../shared/domain/framework.ts';
import type { Ledger } from '../../../shared/domain/ledger.ts';
import { NO_SCALARS } from '../../../shared/domain/resources.ts';
import type { Role } from '../../../shared/domain/role.ts';
import type { Task } from '../../../shared/domain/task.ts';
import { aFramework, aJob, aLedger, aNode, anEntry, anOffer, aReservation, aTask } from '../../support/builders.ts';
import type { Revision } from '../truth.ts';
import { survivors } from './convergence.ts';
import { checkOffers, checkTold } from './offers.ts';
import { emptyPast, type Past } from './past.ts';

const FRAMEWORK = aFramework();
const TOTAL = { ...aNode().resources, cpus: 2 };
const ACTING = { id: FRAMEWORK.id, session: 1 };

interface State {
  readonly frameworks?: readonly Framework[];
  readonly ledgers?: readonly Ledger[];
  readonly tasks?: readonly Task[];
  readonly limit?: Role['limit'];
}

function snapshotOf({ frameworks = [FRAMEWORK], ledgers = [], tasks = [], limit = {} }: State): Snapshot {
  const role: Role = { path: 'default', weight: 1, limit, guarantee: {}, updatedAtMs: 0, updatedBy: 'alice' };
  const writes = [
    ...frameworks.map((each) => putRecord('frameworks', keys.framework(each.id), each)),
    ...ledgers.map((each) => putRecord('ledger', keys.ledger(each.node), each)),
    ...tasks.map((each) => putRecord('tasks', keys.task(each.id), each)),
    putRecord('roles', keys.role('default'), role),
  ];
  const keyValues = writes.flatMap((write) =>
    write.type === 'put' ? [{ ...write, createRevision: 9, modRevision: 9, lease: null }] : [],
  );
  return new Snapshot(9, keyValues);
}

interface Happening {
  readonly state?: State;
  readonly past?: Past;
  readonly acting?: typeof ACTING;
}

function found(changes: readonly Change[], { state = {}, past = pastOf(), acting }: Happening = {}): number[] {
  const origin = { replica: 'replica-1', session: null, ...(acting === undefined ? {} : { framework: acting }) };
  const commit = { origin, transaction: { compares: [], writes: [] }, revision: 9, sentAtRevision: 8 };
  const revision: Revision = { number: 9, commit, changes, events: [] };
  return checkOffers(revision, past, snapshotOf(state)).map(({ invariant }) => invariant);
}

function pastOf(): Past {
  const past = emptyPast();
  past.sessions.set(FRAMEWORK.id, 1);
  return past;
}

function ledgerChange(before: Ledger, after: Ledger): Change {
  return { kind: 'ledger', key: keys.ledger(after.node), id: after.node, revision: 9, before, after };
}

function frameworkChange(before: Framework, after: Framework): Change {
  return { kind: 'frameworks', key: keys.framework(after.id), id: after.id, revision: 9, before, after };
}

function taskChange(before: Task | null, after: Task): Change {
  return { kind: 'tasks', key: keys.task(after.id), id: after.id, revision: 9, before, after };
}

const empty = aLedger({ total: TOTAL });
const launched = (id: string, name: string, change: Partial<Task> = {}): Task => ({
  ...aTask(aJob()),
  id,
  state: 'staging',
  framework: { id: FRAMEWORK.id, name, acknowledged: 1, labels: {}, annotations: {}, together: null },
  ...change,
});

describe('offers', () => {
  const offered = (cpus: number, change = {}) => anOffer({ resources: { cpus }, ...change });

  it('may take all of a node, beside what is reserved, and no more', () => {
    const full = aLedger({ total: TOTAL, offers: [offered(1)], reservations: [aReservation()] });
    const over = aLedger({ total: TOTAL, offers: [offered(1.001)], reservations: [aReservation()] });
    expect(found([ledgerChange(empty, full)])).toEqual([]);
    expect(found([ledgerChange(empty, over)])).toEqual([2]);
  });

  it('draw from a reservation what it has', () => {
    const drawing = (cpus: number) => ({ offers: [offered(cpus, { reserved: { r1: { ...NO_SCALARS, cpus } } })] });
    const kept = { total: TOTAL, reservations: [aReservation()] };
    expect(found([ledgerChange(empty, aLedger({ ...kept, ...drawing(1) }))])).toEqual([]);
    expect(found([ledgerChange(empty, aLedger({ ...kept, ...drawing(1.5) }))])).toEqual([2]);
    expect(found([ledgerChange(empty, aLedger({ total: TOTAL, ...drawing(1) }))])).toEqual([2]);
  });

  it('stand once, of nodes that take tasks, for frameworks that are there', () => {
    const after = aLedger({ total: TOTAL, offers: [offered(1)] });
    const past = pastOf();
    past.offers.add('1-1-0');
    expect(found([ledgerChange(empty, after)], { past })).toEqual([2]);
    expect(found([ledgerChange(empty, { ...after, eligible: false })])).toEqual([9]);
    expect(found([ledgerChange(empty, after)], { state: { frameworks: [] } })).toEqual([9]);
    const elsewhere = aFramework({ roles: ['ops'] });
    expect(found([ledgerChange(empty, after)], { state: { frameworks: [elsewhere] } })).toEqual([9]);
  });

  it.each<[string, number, number, number[]]>([
    ['may come to hold what it is limited to', 1, 1, []],
    ['may not come to hold more', 1, 0.9, [2]],
    ['may hold more than a limit that was lowered, as long as it gets no more', 0, 0.5, []],
  ])('a role %s', (_, added, cpus, expected) => {
    const before = added === 0 ? aLedger({ total: TOTAL, offers: [offered(1)] }) : empty;
    const after = aLedger({ total: TOTAL, offers: [offered(1)] });
    expect(found([ledgerChange(before, after)], { state: { ledgers: [after], limit: { cpus } } })).toEqual(expected);
  });
});

describe('the answer to an offer', () => {
  const offer = anOffer({ resources: { cpus: 1, memMiB: 1000 } });
  const before = aLedger({ total: TOTAL, offers: [offer] });
  const task = launched('one', 'one');
  const entry = anEntry(aJob(), task, { framework: FRAMEWORK.id, resources: { ...offer.resources, cpus: 1 } });

  it('makes tasks of no more than it held, and of what stood until then', () => {
    const after = aLedger({ total: TOTAL, entries: [entry] });
    const larger = { ...entry, resources: { ...entry.resources, cpus: 1.5 } };
    expect(found([ledgerChange(before, after)], { acting: ACTING })).toEqual([]);
    expect(found([ledgerChange(before, aLedger({ total: TOTAL, entries: [larger] }))], { acting: ACTING })).toEqual([
      2,
    ]);
    const used = aLedger({ total: TOTAL, entries: [anEntry(aJob(), aTask(aJob()), { resources: entry.resources })] });
    expect(found([ledgerChange(used, after)], { acting: ACTING })).toEqual([2]);
  });

  it('is of its own framework, in its present session', () => {
    const after = aLedger({ total: TOTAL, entries: [{ ...entry, framework: 'f000000000002' }] });
    expect(found([ledgerChange(before, after)], { acting: ACTING })).toEqual([2]);
    const past = pastOf();
    past.sessions.set(FRAMEWORK.id, 2);
    expect(found([ledgerChange(before, aLedger({ total: TOTAL }))], { acting: ACTING, past })).toEqual([5]);
  });
});

describe('a framework', () => {
  it('never goes back to what it has left behind', () => {
    const teardown = { atMs: 0, by: 'alice', reason: 'enough' };
    const later = aFramework({ session: 2, filterGenerations: { default: 2 } });
    expect(found([frameworkChange(FRAMEWORK, later)])).toEqual([]);
    expect(found([frameworkChange(later, { ...later, session: 1 })])).toEqual([5]);
    expect(found([frameworkChange(later, { ...later, filterGenerations: {} })])).toEqual([5]);
    expect(found([frameworkChange({ ...later, teardown }, later)])).toEqual([5]);
  });

  it('has one live task of a name', () => {
    const twin = launched('two', 'one');
    expect(found([taskChange(null, twin)], { state: { tasks: [launched('one', 'other'), twin] } })).toEqual([]);
    expect(found([taskChange(null, twin)], { state: { tasks: [launched('one', 'one'), twin] } })).toEqual([4]);
    const ended = launched('one', 'one', { state: 'finished' });
    expect(found([taskChange(null, twin)], { state: { tasks: [ended, twin] } })).toEqual([]);
  });

  it('acknowledges one update at a time, and is told the next only then', () => {
    const at = (state: Task['state']) => ({ state, atMs: 0, reason: 'started', message: '' }) as const;
    const history = [at('staging'), at('starting'), at('running')];
    const before = launched('one', 'one', { state: 'running', history });
    const heard = (acknowledged: number) => ({
      ...before,
      framework: { id: FRAMEWORK.id, name: 'one', labels: {}, annotations: {}, together: null, acknowledged },
    });
    expect(found([taskChange(before, heard(2))])).toEqual([]);
    expect(found([taskChange(before, heard(3))])).toEqual([8]);
    const told = (id: string, task: Task) => {
      const update = { id, task: 'one' };
      const event = { type: 'update', update } as Parameters<typeof checkTold>[0];
      return checkTold(event, snapshotOf({ tasks: [task] }), new Set()).map(({ invariant }) => invariant);
    };
    expect(told('one:1', before)).toEqual([]);
    expect(told('one:2', before)).toEqual([8]);
    expect(told('one:2', heard(2))).toEqual([]);
  });
});

describe('an operation with a name', () => {
  const operation = { id: 'p1', framework: FRAMEWORK.id, name: 'one', node: 'edge-1', atMs: 0 };
  const key = keys.operation(operation.framework, operation.name);
  const put = { kind: 'operations' as const, key, id: key, revision: 10, before: null, after: operation };

  it('comes on record with what it has changed', () => {
    const ledger = aLedger({ node: 'edge-1', total: TOTAL });
    const changed = { kind: 'ledger', key: keys.ledger('edge-1'), id: 'edge-1', revision: 10 } as const;
    expect(found([put, { ...changed, before: ledger, after: ledger }])).toEqual([]);
    expect(found([put])).toEqual([8]);
    expect(found([{ ...put, before: operation, after: null }])).toEqual([]);
  });

  it('is told of only if it ever was on record', () => {
    const event = { type: 'operation', operation: { id: 'p1', operation: 'one' } } as Parameters<typeof checkTold>[0];
    expect(checkTold(event, snapshotOf({}), new Set(['p1']))).toEqual([]);
    expect(checkTold(event, snapshotOf({}), new Set(['p2'])).map(({ invariant }) => invariant)).toEqual([8]);
  });
});

describe('a group of tasks at rest', () => {
  const stop = { atMs: 0, by: 'berth', reason: '' };

  it.each<[string, Partial<Task>, Partial<Task>, string | null, boolean]>([
    ['goes on with what has not ended, though another has finished', { state: 'finished' }, {}, 'one', false],
    ['has nothing left that nobody stops, once one has failed', { state: 'failed' }, {}, 'one', true],
    ['waits for what is being stopped', { state: 'failed' }, { stop }, 'one', false],
    ['says nothing of tasks of another one', { state: 'failed' }, {}, 'other', false],
    ['is none where tasks were launched one by one', { state: 'failed' }, {}, null, false],
  ])('%s', (_what, first, second, together, isLeft) => {
    const one = grouped('one', together === null ? null : 'one', first);
    const two = grouped('two', together, { state: 'running', ...second });
    expect(survivors([one, two])).toEqual(isLeft ? [two] : []);
  });

  function grouped(name: string, together: string | null, change: Partial<Task>): Task {
    const framework = { id: FRAMEWORK.id, name, acknowledged: 1, labels: {}, annotations: {}, together };
    return launched(name, name, { ...change, framework });
  }
});
