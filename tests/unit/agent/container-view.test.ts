/** Containers as the engine describes them: whose labels are ours, and whose only look so. */
import type { ContainerInfo, ContainerInspectInfo } from 'dockerode';
import { expect, it } from 'vitest';
import { LABELS } from '../../../node-agent/adapters/docker/container-options.ts';
import { containerOf, listedContainer } from '../../../node-agent/adapters/docker/container-view.ts';

const labelled = (task: string) => ({ [LABELS.task]: task });
const listed = (task: string) =>
  listedContainer({ Id: 'c1', Labels: labelled(task), State: 'running', Created: 5 } as unknown as ContainerInfo);
const inspected = (task: string) => {
  const State = { Status: 'running', OOMKilled: false, Error: '', StartedAt: '2030-01-01T00:00:00Z', FinishedAt: '' };
  return containerOf({ Id: 'c1', Config: { Labels: labelled(task) }, State } as unknown as ContainerInspectInfo);
};

it.each([listed, inspected])('a container of a task is shown', (show) => {
  expect(show('web-1-main-0')).toMatchObject({ id: 'c1', task: 'web-1-main-0', state: 'running' });
});

it.each([
  ['3', 3],
  ['', 0],
  ['-1', 0],
  ['1e3', 0],
  [undefined, 0],
])('with the label "%s" it is of run %s', (run, expected) => {
  const Labels = { ...labelled('t1'), ...(run === undefined ? {} : { [LABELS.run]: run }) };
  const container = listedContainer({ Id: 'c1', Labels, State: 'running', Created: 5 } as unknown as ContainerInfo);
  expect(container?.run).toBe(expected);
});

it.each(['My_App', '', '../x', 'a'.repeat(251)])('one whose label "%s" names no task is not ours', (task) => {
  expect([listed(task), inspected(task)]).toEqual([null, null]);
});

it('its label names the persistent volumes that it mounts', () => {
  const Labels = { ...labelled('t1'), [LABELS.volumes]: 'data,more' };
  const shown = listedContainer({ Id: 'c1', Labels, State: 'running', Created: 5 } as unknown as ContainerInfo);
  expect(shown?.volumes).toEqual(['data', 'more']);
  expect(listed('t1')).not.toHaveProperty('volumes');
});
