/** A token that is narrowed to some jobs, over the API: it works on those, and on nothing beside them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { present } from '../../../shared/util/assert.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent } from '../../support/api-agent.ts';
import { caughtUp } from '../../support/replica.ts';

let berth: TestApi;
let token: string;

const spec = (name: string) => ({ name, groups: [{ image: 'x' }] });
const send = (method: string, path: string, json?: object) =>
  berth.send(method, path, { token, ...(json && { json }) });

beforeAll(async () => {
  berth = await startApi();
  await ApiAgent.register(berth);
  const asked = { subject: 'ci', roles: ['*'], actions: ['*'], resources: ['job/ci-*'] };
  const made = await berth.send('POST', '/v1/tokens', { json: asked });
  token = ((await made.json()) as { token: string }).token;
  expect((await berth.send('POST', '/v1/jobs', { json: spec('shop') })).status).toBe(201);
  expect((await send('POST', '/v1/jobs', spec('ci-build'))).status).toBe(201);
  await berth.replica.settle();
  await caughtUp(berth.replica.ctx);
});
afterAll(() => berth.stop());

const taskOf = (name: string) =>
  present(
    [...berth.replica.ctx.mirror.snapshot.tasks.values()].find(({ jobName }) => jobName === name),
    'the task',
  ).id;

describe('a token for some jobs', () => {
  it('makes, reads and stops those, with their tasks', async () => {
    expect((await send('GET', '/v1/jobs/ci-build')).status).toBe(200);
    expect((await send('GET', `/v1/tasks/${taskOf('ci-build')}`)).status).toBe(200);
    expect((await send('PUT', '/v1/jobs/ci-new', spec('ci-new'))).status).toBe(201);
  });

  it.each(['/v1/jobs', '/v1/tasks', '/v1/deployments', '/v1/endpoints', '/state', '/tasks'])(
    '%s shows those alone',
    async (path) => {
      const text = await (await send('GET', path)).text();
      expect(text).not.toContain('shop');
      expect(await (await berth.send('GET', path)).text()).toMatch(
        path === '/v1/deployments' || path === '/v1/endpoints' ? /\{/ : /shop/,
      );
    },
  );

  it('is answered about others as if they were not there', async () => {
    for (const [method, path] of [
      ['GET', '/v1/jobs/shop'],
      ['DELETE', '/v1/jobs/shop'],
      ['GET', '/v1/jobs/shop/explain'],
      ['GET', `/v1/tasks/${taskOf('shop')}`],
      ['POST', `/v1/tasks/${taskOf('shop')}/stop`],
      ['GET', `/v1/tasks/${taskOf('shop')}/logs`],
    ] as const) {
      expect([path, (await send(method, path)).status]).toEqual([path, 404]);
    }
  });

  it.each([
    ['POST', '/v1/jobs', spec('shop-2')],
    ['PUT', '/v1/jobs/shop', spec('shop')],
    ['POST', '/v1/plan', spec('shop')],
    ['POST', '/v1/jobs', { ...spec('ci-x'), kind: 'service', dependsOn: ['shop'] }],
    ['GET', '/v1/nodes', undefined],
    ['PUT', '/v1/settings', {}],
    ['POST', '/v1/cluster/recover', undefined],
    ['POST', '/v1/tokens', { subject: 'x', resources: ['job/ci-x'] }],
    ['POST', '/v1/nodes/edge-1/reservations', { role: 'default', amounts: { cpus: 1 } }],
    ['POST', '/v1/frameworks', { name: 'f', roles: ['default'] }],
  ] as const)('may not %s %s %j', async (method, path, json) => {
    expect((await send(method, path, json)).status).toBe(403);
  });

  it('counts in the status what it reaches', async () => {
    const { jobs } = (await (await send('GET', '/v1/status')).json()) as { jobs: { total: number } };
    expect(jobs.total).toBe(
      [...berth.replica.ctx.mirror.snapshot.jobs.values()].filter(({ spec: { name } }) => name.startsWith('ci-'))
        .length,
    );
  });
});
