/**
 * Services that can never be what they are asked to be, with the passes that try: what becomes of them, and what it says. What is
 * refused at once is in `bad-input.test.ts` and `services.test.ts`.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DeploymentView } from '../../../shared/protocol/deployments.ts';
import type { JobExplanationView } from '../../../shared/protocol/explanation.ts';
import type { JobView, TaskView } from '../../../shared/protocol/views.ts';
import { present } from '../../../shared/util/assert.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent } from '../../support/api-agent.ts';
import { eventually } from '../../support/processes.ts';
import { caughtUp } from '../../support/replica.ts';

let berth: TestApi;
let agent: ApiAgent;

beforeEach(async () => {
  berth = await startApi();
  agent = await ApiAgent.register(berth);
  await caughtUp(berth.replica.ctx);
});
afterEach(() => berth.stop());

/** Fails after a second without progress. */
const UPDATE = { progressDeadlineSeconds: 1, minHealthySeconds: 0 };

function web(group: object = {}, job: object = {}) {
  return { name: 'web', kind: 'service', update: UPDATE, ...job, groups: [{ image: 'v1', ...group }] };
}

async function call<T>(method: string, path: string, json?: unknown, status = 200): Promise<T> {
  const response = await berth.send(method, path, json === undefined ? {} : { json });
  const body = (await response.json()) as T;
  expect({ status: response.status, body }).toMatchObject({ status });
  await driven();
  return body;
}

/** All that there is to do is done. */
async function driven(): Promise<void> {
  await caughtUp(berth.replica.ctx);
  await berth.replica.settle();
  await caughtUp(berth.replica.ctx);
}

const submit = (json: object) => call<JobView>('POST', '/v1/jobs', json, 201);
const put = (json: object) => call<JobView>('PUT', '/v1/jobs/web', json);
const job = () => call<JobView>('GET', '/v1/jobs/web');
const explained = async () => (await call<JobExplanationView>('GET', '/v1/jobs/web/explain')).groups;
/** One node is refused, and in no other row. */
const refusedBy = (stage: string) => [
  {
    nodesLeft: 0,
    funnel: expect.arrayContaining([expect.objectContaining({ stage, processed: 1, declined: 1 })]),
    nearest: { node: 'edge-1' },
  },
];
const live = async () => (await call<{ items: TaskView[] }>('GET', '/v1/tasks?job=web&state=live')).items;

async function deployment(version: number): Promise<DeploymentView> {
  const { items } = await call<{ items: DeploymentView[] }>('GET', '/v1/jobs/web/deployments');
  return present(
    items.find(({ toVersion }) => toVersion === version),
    `a deployment of version ${version}`,
  );
}

/** Each look drives. */
function ended(version: number): Promise<DeploymentView> {
  return eventually(`the deployment of version ${version} to end`, async () => {
    const found = await deployment(version);
    return found.endedAt !== null && found;
  });
}

/** Has every placed task run, and every one that is to end do so. */
async function obey(): Promise<void> {
  for (const task of await live()) {
    if (task.stop !== null) await agent.report(task.id, 'killed', { reason: 'stop-requested' });
    else if (task.state === 'staging') await agent.report(task.id, 'running');
  }
  await driven();
}

async function check(task: string, { passes, message }: { passes: boolean; message: string }): Promise<void> {
  const result = { name: 'alive', passing: passes, message, atMs: Date.now() };
  const health = { run: 0, healthy: passes, ready: true, sinceMs: Date.now(), checks: [result] };
  const json = { statuses: [], released: [], health: [{ task, health }] };
  expect((await agent.send('POST', '/v1/agent/statuses', { json })).status).toBe(200);
  await driven();
}

describe('constraints that no node can meet', () => {
  it('are explained, and the deployment fails for them', async () => {
    await submit(web({ constraints: [{ attribute: 'zone', operator: '=', value: 'nowhere' }] }));
    expect(await explained()).toMatchObject(refusedBy('constraint'));
    const { state, message, revertedBy } = await ended(1);
    expect(state).toBe('failed');
    expect(message).toMatch(/is not placed \("berth job why web" says why\)/);
    // There is nothing to go back to, and nothing is given up either: a node that comes may do.
    expect(revertedBy).toBeNull();
    expect(await live()).toMatchObject([{ state: 'pending' }]);
  });
});

describe('a health check that can never pass', () => {
  const alive = { name: 'alive', type: 'tcp', port: 'http' };
  const checked = (image: string) => web({ image, ports: [{ name: 'http' }], checks: [alive] });

  it('fails its version, which says which check and why, and brings the last good one back', async () => {
    await submit(checked('v1'));
    await obey();
    const [first] = await live();
    await check(present(first, 'a task').id, { passes: true, message: 'connected' });
    expect(await deployment(1)).toMatchObject({ state: 'succeeded' });
    await put(checked('v2'));
    await obey();
    const second = present(
      (await live()).find(({ id }) => id !== first?.id),
      'a task of the next version',
    );
    await check(second.id, { passes: false, message: 'connection refused' });
    const failed = await ended(2);
    expect(failed).toMatchObject({ state: 'failed' });
    expect(failed.message).toMatch(/check "alive" of task main\[0\] on node edge-1 fails: connection refused/);
    await obey();
    expect(await ended(3)).toMatchObject({ id: failed.revertedBy, state: 'succeeded', revertOf: failed.id });
    expect(await live()).toMatchObject([{ id: first?.id, state: 'running', stop: null }]);
    expect(await job()).toMatchObject({ version: 3, goodVersion: 3 });
  });

  it('of a port that the group does not have is refused in its place', async () => {
    const { faults } = await call<{ faults: { path: string }[] }>('POST', '/v1/jobs', web({ checks: [alive] }), 400);
    expect(faults).toMatchObject([{ path: '/groups/0/checks/0/port', message: expect.stringContaining('no ports') }]);
  });
});

describe('a port of the node that is asked for twice', () => {
  it('within a group is refused', async () => {
    const ports = ['a', 'b'].map((name) => ({ name, hostPort: 20_001 }));
    const { faults } = await call<{ faults: { path: string }[] }>('POST', '/v1/jobs', web({ ports }), 400);
    expect(faults).toMatchObject([{ path: '/groups/0/ports/1/hostPort' }]);
  });

  it('by two tasks is given to one, and the other is told that it waits for ports', async () => {
    await submit(web({ count: 2, ports: [{ name: 'http', hostPort: 20_001 }] }));
    expect((await live()).map(({ state }) => state).sort()).toEqual(['pending', 'staging']);
    expect(await explained()).toMatchObject(refusedBy('ports'));
  });
});

describe('a service that is deleted while it is rolled', () => {
  it('takes its deployment with it, and leaves nothing', async () => {
    // Nothing checks them: without this they would count only once they have run for some seconds.
    const update = { ...UPDATE, minHealthySeconds: 0 };
    await submit(web({ count: 3 }, { update }));
    await obey();
    expect(await ended(1)).toMatchObject({ state: 'succeeded' });
    await put(web({ count: 3, image: 'v2' }, { update }));
    expect(await deployment(2)).toMatchObject({ state: 'running' });
    await call('DELETE', '/v1/jobs/web', undefined, 202);
    expect((await live()).every(({ stop }) => stop !== null)).toBe(true);
    await obey();
    await eventually('the job to be gone', async () => {
      await driven();
      return (await berth.send('GET', '/v1/jobs/web')).status === 404;
    });
    const { items } = await call<{ items: DeploymentView[] }>('GET', '/v1/deployments');
    expect(items.filter(({ endedAt }) => endedAt === null)).toEqual([]);
  });
});

describe('two who force their change at once', () => {
  it('come one after the other: one deployment is left under way, of the version that is wanted', async () => {
    await submit(web());
    const force = (image: string) => berth.send('PUT', '/v1/jobs/web?force=true', { json: web({ image }) });
    const answers = await Promise.all(['v2', 'v3', 'v4'].map(force));
    expect(answers.every(({ status }) => [200, 409].includes(status))).toBe(true);
    await driven();
    const { version } = await job();
    const { items } = await call<{ items: DeploymentView[] }>('GET', '/v1/jobs/web/deployments');
    expect(items.filter(({ endedAt }) => endedAt === null)).toMatchObject([{ toVersion: version }]);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(version - 1);
  });
});
