import { describe, expect, test } from 'vitest';
import { type Candidate, selectToKill } from '../../../../control-plane/reconcile/service/kill-selection.ts';
import type { Constraint } from '../../../../shared/domain/constraint.ts';
import type { KillSelection } from '../../../../shared/domain/service.ts';
import type { TaskState } from '../../../../shared/domain/task.ts';
import { aJob, aTask, T0 } from '../../../support/builders.ts';

const JOB = aJob({ spec: { kind: 'service' } });

function candidate(
  index: number,
  change: Partial<Omit<Candidate, 'task'>> & { state?: TaskState; atMs?: number } = {},
): Candidate {
  const { state = 'running', atMs = T0 + index, ...rest } = change;
  return {
    task: aTask(JOB, { index, state, atMs }),
    isReachable: true,
    isReady: state === 'running',
    attributes: {},
    ...rest,
  };
}

function chosen(
  candidates: readonly Candidate[],
  count: number,
  rule: { killSelection?: KillSelection; constraints?: Constraint[]; named?: ReadonlySet<string> } = {},
): number[] {
  const full = { killSelection: 'youngest-first' as const, constraints: [], ...rule };
  return selectToKill(candidates, count, full).map(({ task }) => task.index);
}

describe('which tasks go first', () => {
  const three = [candidate(0), candidate(1), candidate(2)];
  const mixed = [
    candidate(0),
    candidate(1, { isReady: false }),
    candidate(2, { state: 'starting' }),
    candidate(3, { state: 'staging' }),
    candidate(4, { isReachable: false, isReady: false }),
    candidate(5, { state: 'pending' }),
  ];
  test.each<[string, readonly Candidate[], number, Parameters<typeof chosen>[2], number[]]>([
    ['the youngest', three, 2, {}, [2, 1]],
    ['the oldest, where that is asked for', three, 2, { killSelection: 'oldest-first' }, [0, 1]],
    ['all, if there are no more', three, 9, {}, [2, 1, 0]],
    ['none', three, 0, {}, []],
    ['the least useful, however old', mixed, 6, { killSelection: 'oldest-first' }, [4, 3, 5, 2, 1, 0]],
    ['the named before all', mixed, 2, { named: new Set([mixed[0]?.task.id ?? '']) }, [0, 4]],
    [
      'one that never ran before one that does',
      [candidate(0, { isReady: false }), candidate(1, { state: 'staging', atMs: T0 })],
      1,
      {},
      [1],
    ],
    ['by id where nothing else tells them apart', [1, 0].map((at) => candidate(at, { atMs: T0 })), 2, {}, [0, 1]],
  ])('%s', (_what, candidates, count, rule, indexes) => {
    expect(chosen(candidates, count, rule)).toEqual(indexes);
  });
});

describe('what stays is kept evenly spread', () => {
  const by = (...names: string[]) => names.map((attribute): Constraint => ({ attribute, operator: 'groupBy' }));
  const spread = (counts: Readonly<Record<string, number>>, attribute = 'rack') =>
    Object.entries(counts)
      .flatMap(([value, count]) => Array.from({ length: count }, () => value))
      .map((value, at) => candidate(at, { attributes: { [attribute]: value } }));
  const left = (all: readonly Candidate[], count: number, constraints: Constraint[], name = 'rack') => {
    const gone = new Set(selectToKill(all, count, { killSelection: 'youngest-first', constraints }));
    const stays = all.filter((one) => !gone.has(one)).map(({ attributes }) => attributes[name] ?? '');
    return Object.fromEntries([...Map.groupBy(stays, (value) => value)].map(([value, { length }]) => [value, length]));
  };

  test.each([
    [{ a: 10, b: 10 }, 10, { a: 5, b: 5 }],
    [{ a: 20, b: 10 }, 10, { a: 10, b: 10 }],
    [{ a: 4, b: 1, c: 1 }, 3, { a: 1, b: 1, c: 1 }],
    [{ a: 3, b: 2 }, 4, { b: 1 }],
  ])('%j less %d', (before, count, after) => {
    const stays = left(spread(before), count, by('rack'));
    expect(Object.values(stays).sort()).toEqual(Object.values(after).sort());
  });

  test('over two attributes at once', () => {
    const all = ['a', 'b'].flatMap((rack) => ['x', 'y'].flatMap((zone) => [0, 1, 2].map(() => ({ rack, zone }))));
    const candidates = all.map((attributes, at) => candidate(at, { attributes }));
    expect(left(candidates, 8, by('rack', 'zone'))).toEqual({ a: 2, b: 2 });
    expect(left(candidates, 8, by('rack', 'zone'), 'zone')).toEqual({ x: 2, y: 2 });
  });

  test('though what does not work goes before that', () => {
    const all = [...spread({ a: 3 }), candidate(9, { isReady: false, attributes: { rack: 'b' } })];
    expect(left(all, 1, by('rack'))).toEqual({ a: 3 });
  });
});
