/** What the journal adds up to, and that its short form says the same as its long one. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { momentAt } from '../../../node-agent/core/model.ts';
import {
  applyRecord,
  compactBook,
  dropUnusedTemplates,
  emptyBook,
  type JournalRecord,
  startingRecords,
} from '../../../node-agent/core/records.ts';
import { anAssigned } from './world.ts';

const now = { wallMs: 5_000_000, steadyMs: 1000 };

function added(records: readonly JournalRecord[]) {
  const book = emptyBook();
  for (const record of records) applyRecord(book, record, now);
  return book;
}

const task = fc.constantFrom('a', 'b', 'c');
const atMs = fc.integer({ min: 4_000_000, max: 5_000_000 });
const states = ['starting', 'running', 'finished', 'failed', 'killed', 'error', 'lost'] as const;

const anyRecord: fc.Arbitrary<JournalRecord> = fc.oneof(
  fc.record({
    kind: fc.constant('status' as const),
    status: fc.record({
      task,
      run: fc.nat(2),
      state: fc.constantFrom(...states),
      atMs,
      reason: fc.constant('exited' as const),
      message: fc.string(),
      exitCode: fc.option(fc.nat(255)),
    }),
  }),
  fc.record({ kind: fc.constant('answered' as const), task, state: fc.constantFrom(...states) }),
  fc.record({
    kind: fc.constant('stopping' as const),
    task,
    atMs,
    graceMs: fc.nat(1000),
    delayMs: fc.option(fc.integer({ min: 1, max: 1000 }), { nil: undefined }),
    cause: fc.constantFrom('stop-requested' as const, 'timed-out' as const, 'unassigned' as const),
    message: fc.string(),
  }),
  fc.record({ kind: fc.constant('launch' as const), task, isSent: fc.boolean(), boot: fc.constantFrom('b1', 'b2') }),
  fc.record({ kind: fc.constant('run' as const), task, run: fc.nat(3) }),
  fc.record({ kind: fc.constant('again' as const), task, run: fc.nat(3), atMs, why: fc.string() }),
  fc.record({ kind: fc.constant('signalled' as const), task, atMs }),
  fc.record({ kind: fc.constant('lasted' as const), task }),
  fc.record({
    kind: fc.constant('unhealthy' as const),
    ...{ task, run: fc.nat(3), reaction: fc.constantFrom('restart', 'replace'), message: fc.constant('fails') },
  }),
  fc.record({ kind: fc.constant('release' as const), task, answered: fc.boolean() }),
  fc.record({ kind: fc.constant('forgotten' as const), task }),
  fc.record({
    kind: fc.constant('position' as const),
    position: fc.record({ incarnation: fc.nat(3), generation: fc.nat(100) }),
  }),
);

/** A task is being started, with its template or, as if that line were damaged, without. */
const anyStart: fc.Arbitrary<readonly JournalRecord[]> = fc
  .record({ task, version: fc.nat(2), incarnation: fc.nat(3), epoch: fc.nat(9), isWhole: fc.boolean() })
  .map(({ task, version, isWhole, ...stamp }) => {
    const records = startingRecords(emptyBook(), anAssigned(task, { jobVersion: version }), stamp);
    return isWhole ? records : records.slice(1);
  });

const anyRecords: fc.Arbitrary<readonly JournalRecord[]> = fc
  .array(fc.oneof({ weight: 3, arbitrary: anyRecord.map((record) => [record]) }, { weight: 1, arbitrary: anyStart }), {
    maxLength: 40,
  })
  .map((records) => records.flat());

describe('the journal', () => {
  it('says the same after it has been compacted, through JSON', () => {
    fc.assert(
      fc.property(anyRecords, (records) => {
        const book = added(records);
        const read = JSON.parse(JSON.stringify(compactBook(book))) as JournalRecord[];
        expect(added(read)).toEqual(book);
      }),
    );
  });

  it('keeps the templates of what may yet be started, each once, and no others', () => {
    fc.assert(
      fc.property(anyRecords, (records) => {
        const book = added(records);
        dropUnusedTemplates(book);
        const origins = [...book.tasks.values()].flatMap(({ origin, incarnation }) =>
          origin === null ? [] : [`${incarnation}/${origin.jobUid}/${origin.jobVersion}/${origin.groupName}`],
        );
        expect([...book.templates.keys()].sort()).toEqual([...new Set(origins)].sort());
      }),
    );
  });

  it('knows what a task was started from until that has ended', () => {
    const assigned = anAssigned('a', { ports: { http: 20_000 }, attempt: 2 });
    const book = added(startingRecords(emptyBook(), assigned, { incarnation: 1, epoch: 7 }));
    expect(book.tasks.get('a')).toMatchObject({ origin: assigned, epoch: 7, incarnation: 1 });
    expect(
      startingRecords(book, anAssigned('b', { jobUid: assigned.jobUid }), { incarnation: 1, epoch: 7 }).map(
        ({ kind }) => kind,
      ),
    ).toEqual(['starting']);
    applyRecord(book, { kind: 'release', task: 'a', answered: false }, now);
    expect(book.tasks.get('a')?.origin).toBeNull();
    expect(book.templates.size).toBe(0);
  });

  it('numbers runs upwards only, and each begins afresh', () => {
    fc.assert(
      fc.property(anyRecords, (records) => {
        const book = emptyBook();
        const runs = new Map<string, number>();
        for (const record of records) {
          applyRecord(book, record, now);
          if (record.kind === 'forgotten') runs.delete(record.task);
          for (const { id, run, phase, startedAt, boot } of book.tasks.values()) {
            const before = runs.get(id) ?? 0;
            expect(run).toBeGreaterThanOrEqual(before);
            if (run > before)
              expect({ phase, startedAt, boot }).toEqual({ phase: 'starting', startedAt: null, boot: null });
            runs.set(id, run);
          }
        }
      }),
    );
  });

  it('of an agent that kept less is read all the same', () => {
    const [task] = compactBook(added([{ kind: 'launch', task: 'a', isSent: true, boot: 'b1' }]));
    const { origin: _origin, epoch: _epoch, ...old } = task?.kind === 'task' ? task.task : {};
    const book = added([{ kind: 'task', task: old } as JournalRecord]);
    expect(book.tasks.get('a')).toMatchObject({ phase: 'launched', origin: null, epoch: null });
  });

  it('never lets an end be undone', () => {
    fc.assert(
      fc.property(anyRecords, (records) => {
        const book = emptyBook();
        const over = new Set<string>();
        for (const record of records) {
          applyRecord(book, record, now);
          if (record.kind === 'forgotten') over.delete(record.task);
          for (const local of book.tasks.values()) {
            if (local.phase === 'ended') over.add(local.id);
            else expect(over.has(local.id)).toBe(false);
          }
        }
      }),
    );
  });

  it('reads of a task that an agent started which knew no limit to running without contact', () => {
    const starting: JournalRecord = { kind: 'starting', task: 'a', incarnation: 1, timeoutMs: null, graceMs: 0 };
    expect(added([starting]).tasks.get('a')?.stopAfterMs).toBeNull();
    const compacted = compactBook(added([{ ...starting, stopAfterMs: 5 }]));
    expect(added(compacted).tasks.get('a')?.stopAfterMs).toBe(5);
    const older = compacted.map((record): JournalRecord => {
      if (record.kind !== 'task') return record;
      const { stopAfterMs: _, ...task } = record.task;
      return { kind: 'task', task };
    });
    expect(added(older).tasks.get('a')?.stopAfterMs).toBeNull();
  });

  it('holds what a check has found against the run that it was found of, and no other', () => {
    const found: JournalRecord = { kind: 'unhealthy', task: 'a', run: 1, reaction: 'restart', message: 'fails' };
    const run: JournalRecord = { kind: 'run', task: 'a', run: 1 };
    expect(added([found]).tasks.get('a')?.unhealthy).toBeNull();
    const known = added([run, found]);
    expect(known.tasks.get('a')?.unhealthy).toEqual({ reaction: 'restart', message: 'fails' });
    expect(added(compactBook(known)).tasks.get('a')?.unhealthy).toEqual({ reaction: 'restart', message: 'fails' });
    expect(added([run, found, { ...run, run: 2 }]).tasks.get('a')?.unhealthy).toBeNull();
    const older = compactBook(known).map((record): JournalRecord => {
      if (record.kind !== 'task') return record;
      const { unhealthy: _, ...task } = record.task;
      return { kind: 'task', task };
    });
    expect(added(older).tasks.get('a')?.unhealthy).toBeNull();
  });

  it('keeps what is unanswered in its order, and drops each when it is answered', () => {
    const status = (state: (typeof states)[number]): JournalRecord => ({
      kind: 'status',
      status: { task: 'a', run: 0, state, atMs: 4_500_000, reason: 'exited', message: '', exitCode: null },
    });
    const book = added([status('starting'), status('running'), status('finished')]);
    expect(book.tasks.get('a')?.unanswered.map((each) => each.state)).toEqual(['starting', 'running', 'finished']);
    applyRecord(book, { kind: 'answered', task: 'a', state: 'running' }, now);
    expect(book.tasks.get('a')?.unanswered.map((each) => each.state)).toEqual(['starting', 'finished']);
  });
});

describe('a moment from the journal', () => {
  it('lies as far back on the steady clock as on the wall', () => {
    expect(momentAt(4_999_400, now)).toEqual({ wallMs: 4_999_400, steadyMs: 400 });
  });

  it('that lies ahead, since the wall clock was set back, counts as now', () => {
    expect(momentAt(9_000_000, now)).toEqual({ wallMs: 9_000_000, steadyMs: 1000 });
  });
});
