/** What the journal adds up to, and that its short form says the same as its long one. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { momentAt } from '../../../node-agent/core/model.ts';
import { applyRecord, compactBook, emptyBook, type JournalRecord } from '../../../node-agent/core/records.ts';

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
    kind: fc.constant('starting' as const),
    task,
    incarnation: fc.nat(3),
    timeoutMs: fc.option(fc.nat(1000)),
    graceMs: fc.nat(1000),
    stopAfterMs: fc.option(fc.nat(1000)),
  }),
  fc.record({
    kind: fc.constant('status' as const),
    status: fc.record({
      task,
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
    cause: fc.constantFrom('stop-requested' as const, 'timed-out' as const, 'unassigned' as const),
    message: fc.string(),
  }),
  fc.record({ kind: fc.constant('release' as const), task, answered: fc.boolean() }),
  fc.record({ kind: fc.constant('forgotten' as const), task }),
  fc.record({
    kind: fc.constant('position' as const),
    position: fc.record({ incarnation: fc.nat(3), generation: fc.nat(100) }),
  }),
);

describe('the journal', () => {
  it('says the same after it has been compacted, through JSON', () => {
    fc.assert(
      fc.property(fc.array(anyRecord, { maxLength: 40 }), (records) => {
        const book = added(records);
        const read = JSON.parse(JSON.stringify(compactBook(book))) as JournalRecord[];
        expect(added(read)).toEqual(book);
      }),
    );
  });

  it('never lets an end be undone', () => {
    fc.assert(
      fc.property(fc.array(anyRecord, { maxLength: 40 }), (records) => {
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

  it('keeps what is unanswered in its order, and drops each when it is answered', () => {
    const status = (state: (typeof states)[number]): JournalRecord => ({
      kind: 'status',
      status: { task: 'a', state, atMs: 4_500_000, reason: 'exited', message: '', exitCode: null },
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
