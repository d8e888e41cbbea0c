import { describe, expect, it, test } from 'vitest';
import { systemNodes, takesNew } from '../../../shared/domain/system-nodes.ts';
import {
  aGroup,
  aJob,
  aLedger,
  aNode,
  anEntry,
  aTask,
  aWindow,
  type ClusterLiteral,
  clusterOf,
  T0,
} from '../../support/builders.ts';

const group = aGroup({ constraints: [{ attribute: 'zone', operator: 'exists' }] });
const job = aJob({ spec: { kind: 'system', groups: [group] } });
const here = aTask(job, { state: 'running', node: 'a' });
const drain = { startedAtMs: T0, deadlineMs: null, by: 'alice' };
const other = aJob({ uid: 'other', spec: { name: 'other', kind: 'service' } });
const served = aTask(other, { state: 'running', node: 'a' });

function nodes(literal: ClusterLiteral, live = [here]) {
  const zoned = [aNode({ id: 'a', attributes: { zone: 'x' } })];
  const cluster = clusterOf({ nodes: zoned, jobs: [job, other], tasks: live, ...literal });
  return systemNodes(cluster, job.spec, { group, live });
}

describe('a node of a system job', () => {
  it.each<[string, ClusterLiteral, open: boolean, staying: boolean]>([
    ['is there for new ones', {}, true, true],
    ['keeps its task where it takes nothing new', { ledgers: [aLedger({ node: 'a', eligible: false })] }, false, true],
    ['keeps it through a window that has begun', { maintenance: [aWindow({ node: 'a', begunAtMs: T0 })] }, false, true],
    ['takes new ones until that begins', { maintenance: [aWindow({ node: 'a' })] }, true, true],
    [
      'keeps it while a service is left on one that is drained',
      {
        tasks: [here, served],
        ledgers: [aLedger({ node: 'a', drain, entries: [anEntry(job, here), anEntry(other, served)] })],
      },
      false,
      true,
    ],
    [
      'loses it once none is left there',
      { ledgers: [aLedger({ node: 'a', drain, entries: [anEntry(job, here)] })] },
      false,
      false,
    ],
    ['is left alone when nobody reaches it', { epochs: { a: { epoch: 1, unreachableSinceMs: T0 } } }, false, false],
    ['is none where the constraints say so', { nodes: [aNode({ id: 'a' })] }, false, false],
  ])('%s', (_what, literal, open, staying) => {
    expect(nodes(literal)).toEqual({ open: open ? ['a'] : [], staying: staying ? ['a'] : [] });
  });

  test('that takes nothing new is none where nothing stays', () => {
    const closed = { ledgers: [aLedger({ node: 'a', eligible: false })] };
    const stop = { atMs: T0, by: 'alice', reason: 'restarted' };
    expect(nodes(closed, []).staying).toEqual([]);
    expect(nodes(closed, [{ ...here, stop }]).staying).toEqual([]);
  });

  test('has to have joined', () => {
    expect(takesNew(clusterOf({ ledgers: [aLedger({ node: 'a' })] }), 'a')).toBe(false);
  });
});
