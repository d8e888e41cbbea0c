import { describe, expect, it, test } from 'vitest';
import { planMaintenance } from '../../../control-plane/reconcile/maintenance-pass.ts';
import { applyPass } from '../../support/apply-plan.ts';
import { aNode, aWindow, type ClusterLiteral, clusterOf } from '../../support/builders.ts';

const begin = (atMs: number) => ({ type: 'begin-maintenance', node: 'edge-1', window: 'w-edge-1', atMs });
const end = { type: 'end-maintenance', node: 'edge-1', window: 'w-edge-1' };

describe('a window from 100 to 200', () => {
  const window = aWindow({ startsAtMs: 100, durationMs: 100 });
  const begun = { ...window, begunAtMs: 100 };
  const plan = (nowMs: number, change: ClusterLiteral) =>
    planMaintenance({ cluster: clusterOf({ nodes: [aNode()], ...change }), nowMs });

  test.each([
    { what: 'is left alone before', nowMs: 99, given: window, actions: [], wakeAtMs: 100 },
    { what: 'is noted to have begun', nowMs: 100, given: window, actions: [begin(100)], wakeAtMs: 200 },
    { what: 'is noted late rather than never', nowMs: 199, given: window, actions: [begin(199)], wakeAtMs: 200 },
    { what: 'is left alone once noted', nowMs: 150, given: begun, actions: [], wakeAtMs: 200 },
    { what: 'is taken off when it is over', nowMs: 200, given: begun, actions: [end], wakeAtMs: null },
    { what: 'is taken off though nobody has noted it', nowMs: 200, given: window, actions: [end], wakeAtMs: null },
  ])('$what', ({ nowMs, given, actions, wakeAtMs }) => {
    expect(plan(nowMs, { maintenance: [given] })).toEqual({ actions, wakeAtMs });
  });

  it('leaves nothing to do once that is done', () => {
    for (const nowMs of [150, 250]) {
      const before = clusterOf({ nodes: [aNode()], maintenance: [window] });
      const after = applyPass(before, planMaintenance({ cluster: before, nowMs }));
      expect(planMaintenance({ cluster: after, nowMs }).actions).toEqual([]);
    }
  });

  it('goes with a node that is no more', () => {
    expect(plan(50, { nodes: [], maintenance: [window] }).actions).toEqual([end]);
  });
});

it('a window without an end stays until it is taken back', () => {
  const window = aWindow({ startsAtMs: 100, durationMs: null, begunAtMs: 100 });
  const cluster = clusterOf({ nodes: [aNode()], maintenance: [window] });
  expect(planMaintenance({ cluster, nowMs: 1e15 })).toEqual({ actions: [], wakeAtMs: null });
});
