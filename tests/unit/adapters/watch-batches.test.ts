import { describe, expect, test } from 'vitest';
import {
  checkNotBehind,
  positionFrom,
  reportsInOrder,
  startRevisionOf,
  type WatchAnswer,
  WatchBatches,
  WatchCanceledError,
} from '../../../control-plane/adapters/etcd-api/watch-batches.ts';
import { HistoryGoneError, type WatchEvent } from '../../../control-plane/store/contract.ts';

function put(key: string, modRevision: number, value = ''): WatchEvent {
  return { type: 'put', keyValue: { key, value, createRevision: 1, modRevision, lease: null } };
}

function answer(change: Partial<WatchAnswer>): WatchAnswer {
  const quiet = { created: false, canceled: false, compactRevision: 0, cancelReason: '', fragment: false, events: [] };
  return { revision: 100, ...quiet, ...change };
}

describe('the messages of a stream', () => {
  test('that are fragments of one are handed on together', () => {
    const batches = new WatchBatches(positionFrom(5, null), true);
    expect(batches.add(answer({ created: true }))).toBe(null);
    expect(batches.add(answer({ fragment: true, events: [put('a', 5), put('b', 6)] }))).toBe(null);
    expect(batches.add(answer({ fragment: true, events: [put('c', 6)] }))).toBe(null);
    const batch = batches.add(answer({ events: [put('d', 6)] }));
    expect(batch).toEqual({ revision: 6, events: [put('a', 5), put('b', 6), put('c', 6), put('d', 6)] });
  });

  test('of fragments that break off come again, and are handed on once', () => {
    const position = positionFrom(5, null);
    const before = new WatchBatches(position, true);
    expect(before.add(answer({ events: [put('a', 5)] }))?.revision).toBe(5);
    expect(before.add(answer({ fragment: true, events: [put('b', 6)] }))).toBe(null);
    expect(startRevisionOf(position)).toBe(5);
    const after = new WatchBatches(position, true);
    const batch = after.add(answer({ events: [put('a', 5), put('b', 6), put('c', 6)] }));
    expect(batch).toEqual({ revision: 6, events: [put('b', 6), put('c', 6)] });
  });

  test('have to begin with what was handed on last', () => {
    const position = positionFrom(5, null);
    new WatchBatches(position, true).add(answer({ events: [put('a', 5, 'old')] }));
    const other = new WatchBatches(position, true);
    expect(() => other.add(answer({ events: [put('a', 5, 'new'), put('b', 6)] }))).toThrow(HistoryGoneError);
    const none = new WatchBatches(position, true);
    expect(() => none.add(answer({ events: [put('b', 6)] }))).toThrow(HistoryGoneError);
  });

  test('that report progress are believed when they come in order', () => {
    const position = positionFrom(5, null);
    expect(new WatchBatches(position, false).add(answer({ revision: 9 }))).toBe(null);
    const batches = new WatchBatches(position, true);
    expect(batches.add(answer({ revision: 9, created: true }))).toBe(null);
    expect(batches.add(answer({ revision: 9 }))).toEqual({ revision: 9, events: [] });
    expect(batches.add(answer({ revision: 9 }))).toBe(null);
    // It is no place to resume from.
    expect(startRevisionOf(position)).toBe(4);
    expect(() => batches.add(answer({ events: [put('a', 9)] }))).toThrow('came after a report that all were sent');
  });

  test('that end a watch say why', () => {
    const gone = answer({ canceled: true, compactRevision: 7 });
    expect(() => new WatchBatches(positionFrom(5, null), true).add(gone)).toThrow(HistoryGoneError);
    const other = answer({ canceled: true, created: true, cancelReason: 'for once' });
    expect(() => new WatchBatches(positionFrom(5, null), true).add(other)).toThrow(WatchCanceledError);
    expect(() => new WatchBatches(positionFrom(5, null), true).add(other)).toThrow('for once');
  });
});

test('a watch begins no earlier than history does', () => {
  expect(startRevisionOf(positionFrom(1, null))).toBe(1);
  expect(startRevisionOf(positionFrom(7, null))).toBe(6);
});

test('a store that is behind what was seen is another one', () => {
  const position = positionFrom(8, null);
  expect(() => checkNotBehind(position, 6)).toThrow(HistoryGoneError);
  expect(() => checkNotBehind(position, 7)).not.toThrow();
});

test.each([
  ['3.4.24', false],
  ['3.4.25', true],
  ['3.5.7', false],
  ['3.5.8', true],
  ['3.6.0', true],
  ['3.3.27', false],
  ['4.0.0', true],
  ['', false],
])('reports of %s come in order: %s', (version, expected) => {
  expect(reportsInOrder(version)).toBe(expected);
});
