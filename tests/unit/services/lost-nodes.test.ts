import { describe, expect, it } from 'vitest';
import { lostNodes } from '../../../control-plane/services/lost-nodes.ts';
import type { Change } from '../../../control-plane/store/snapshot.ts';
import type { Epoch } from '../../../shared/domain/node.ts';
import type { Task } from '../../../shared/domain/task.ts';
import { aJob, aTask } from '../../support/builders.ts';
import { launchedTask } from '../../support/frameworks.ts';

const [ONE, TWO] = ['f000000000001', 'f000000000002'];
const HEARD: Epoch = { epoch: 1, unreachableSinceMs: null };
const SILENT: Epoch = { epoch: 1, unreachableSinceMs: 5 };
const GONE: Epoch = { ...SILENT, gone: { atMs: 9, by: 'alice', stamp: undefined } };
const RUNNING = launchedTask(ONE, 'one', { state: 'running' });

function changed(before: Epoch | null, after: Epoch | null, id = 'edge-1'): Change {
  return { kind: 'epochs', key: '/', id, revision: 2, before, after };
}

function told(changes: readonly Change[], tasks: readonly Task[] = [RUNNING]): [string, string[]][] {
  const tasksOnNode = (node: string) => tasks.filter((task) => task.node === node);
  return lostNodes(changes, { tasksOnNode }).map(({ node, frameworks }) => [node, [...frameworks]]);
}

describe('a node is lost', () => {
  it.each<[string, Epoch | null, Epoch | null, boolean]>([
    ['once it has fallen silent', HEARD, SILENT, true],
    [
      'once it is declared gone before anybody has marked it as silent',
      HEARD,
      { ...GONE, ...HEARD, gone: GONE.gone },
      true,
    ],
    ['once for both', SILENT, GONE, false],
    ['no more than before when its epoch is raised', SILENT, { ...SILENT, epoch: 2 }, false],
    ['no more once it is heard of again', SILENT, HEARD, false],
    ['not by being registered', null, HEARD, false],
    ['no more when nothing of it is left on record', GONE, null, false],
  ])('%s', (_what, before, after, isLost) => {
    expect(told([changed(before, after)])).toEqual(isLost ? [['edge-1', [ONE]]] : []);
  });

  it('for each framework that has live tasks there, also where the same step gives them up', () => {
    const elsewhere = launchedTask('f000000000003', 'three', { state: 'running', node: 'edge-2' });
    const ended = launchedTask('f000000000004', 'four', { state: 'failed' });
    const ofJob = aTask(aJob(), { state: 'running', node: 'edge-1' });
    const live = launchedTask(TWO, 'two', { state: 'running' });
    const lost = launchedTask(TWO, 'two', { state: 'lost' });
    const given: Change = { kind: 'tasks', key: '/', id: live.id, revision: 3, before: live, after: lost };
    const tasks = [RUNNING, { ...RUNNING, id: 'again' }, elsewhere, ended, ofJob, lost];
    expect(told([changed(HEARD, SILENT), given], tasks)).toEqual([['edge-1', [ONE, TWO]]]);
    expect(told([given], tasks)).toEqual([]);
  });
});
