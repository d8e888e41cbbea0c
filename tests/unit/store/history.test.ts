import { expect, test } from 'vitest';
import { History } from '../../../control-plane/store/history.ts';
import type { Change } from '../../../control-plane/store/snapshot.ts';

function changeAt(revision: number, id: string): Change {
  return { kind: 'alive', key: `/berth/alive/${id}`, id, revision, before: null, after: { epoch: 1 } };
}

const revisions = (changes: readonly Change[] | null) => changes?.map((change) => change.revision) ?? null;

test('an empty history reaches back to where it begins, and no further', () => {
  const history = new History(10, 5);
  expect([history.since(5), history.since(9), history.since(4)]).toEqual([[], [], null]);
});

test('what falls out goes by whole revisions, and the floor says so', () => {
  const history = new History(3, 0);
  history.add([
    changeAt(1, 'a'),
    changeAt(2, 'a'),
    changeAt(2, 'b'),
    changeAt(2, 'c'),
    changeAt(4, 'a'),
    changeAt(6, 'a'),
  ]);
  expect(revisions(history.since(0))).toHaveLength(6);
  history.add([changeAt(7, 'a')]);
  expect(history.oldestRevision).toBe(2);
  expect(revisions(history.since(2))).toEqual([4, 6, 7]);
  expect(revisions(history.since(4))).toEqual([6, 7]);
  expect(revisions(history.since(5))).toEqual([6, 7]);
  expect(history.since(1)).toBe(null);
});

test('a history that starts anew knows nothing of before', () => {
  const history = new History(10, 0);
  history.add([changeAt(1, 'a')]);
  history.restart(20);
  expect([history.since(1), history.since(20), history.oldestRevision]).toEqual([null, [], 20]);
});
