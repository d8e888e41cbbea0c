import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent, placeTask } from '../../support/api-agent.ts';
import { nodeOf } from '../../support/replica.ts';

let berth: TestApi;

beforeEach(async () => {
  berth = await startApi();
});
afterEach(() => berth.stop());

describe("an agent's session over HTTP", () => {
  it('starts with a join token, brings the assignment, and takes reports', async () => {
    const agent = await ApiAgent.register(berth);
    expect(agent.session).toMatchObject({ epoch: 1, incarnation: 1, heartbeatIntervalMs: 3000, leaseTtlMs: 10_000 });
    const task = await placeTask(berth);
    const assignment = await agent.assignment(({ tasks }) => tasks.length > 0);
    expect(assignment.tasks).toMatchObject([{ id: task, state: 'staging', group: { image: 'busybox' } }]);
    await agent.report(task, 'running');
    await agent.report(task, 'finished', { reason: 'exited', exitCode: 0 });
    const read = await berth.send('GET', `/v1/tasks/${task}`);
    expect(await read.json()).toMatchObject({ state: 'finished', exitCode: 0, node: 'edge-1' });
  });

  it('sends a template once, however many tasks are made from it', async () => {
    const agent = await ApiAgent.register(berth);
    const env = { LARGE: 'x'.repeat(60_000) };
    await placeTask(berth, { groups: [{ image: 'busybox', count: 30, resources: { cpus: 0.01 }, env }] });
    const { tasks } = await agent.assignment((assignment) => assignment.tasks.length === 30);
    expect(tasks.map(({ group }) => group.env)).toEqual(tasks.map(() => env));
    const text = await (await agent.send('GET', '/v1/agent/assignment')).text();
    expect(text.length).toBeLessThan(120_000);
  });

  it('waits for news and then says that there is none', async () => {
    const agent = await ApiAgent.register(berth);
    const { position, streamsVersion } = await agent.assignment();
    const query = `incarnation=${position.incarnation}&generation=${position.generation}&streams=${streamsVersion}`;
    const response = await agent.send('GET', `/v1/agent/assignment?${query}&waitMs=30`);
    expect(response.status).toBe(204);
    expect(response.headers.get('berth-revision')).toMatch(/^\d+$/);
  });

  it('is kept by heartbeats, which bring a new token when the old one is past half of its life', async () => {
    const agent = await ApiAgent.register(berth);
    const beat = (token?: string) =>
      agent.send('POST', '/v1/agent/heartbeat', { json: { sentAtMs: 1 }, ...(token !== undefined && { token }) });
    expect(await (await beat()).json()).toEqual({ nodeToken: null });
    const nowSeconds = Math.floor(Date.now() / 1000);
    const claims = berth.mint.draft({
      kind: 'node',
      subject: 'edge-1',
      grants: [],
      node: 'edge-1',
      ttlSeconds: 0,
      id: agent.credential,
    });
    const old = await berth.mint.sign({
      ...claims,
      iat: nowSeconds - 1900,
      nbf: nowSeconds - 1900,
      exp: nowSeconds + 1700,
    });
    const { nodeToken } = (await (await beat(old.token)).json()) as { nodeToken: string };
    expect((await beat(nodeToken)).status).toBe(200);
  });

  it('is over when another has begun, and says so', async () => {
    const agent = await ApiAgent.register(berth);
    const json = { node: nodeOf('edge-1'), seen: null, tasks: [] };
    const again = await agent.send('POST', '/v1/agent/register', { json });
    expect(await again.json()).toMatchObject({ epoch: 2 });
    const late = await agent.send('POST', '/v1/agent/statuses', { json: { statuses: [], released: [] } });
    expect(late.status).toBe(409);
    expect(await late.json()).toMatchObject({ code: 'stale-epoch' });
  });

  it('is named in every call', async () => {
    const agent = await ApiAgent.register(berth);
    const response = await berth.send('GET', '/v1/agent/assignment', { token: agent.session.nodeToken });
    expect(await response.json()).toMatchObject({ faults: [{ path: 'header:Berth-Epoch', message: 'is required' }] });
  });

  it('takes no more than it should', async () => {
    const agent = await ApiAgent.register(berth);
    const status = { task: 'a', state: 'pending', atMs: -1, reason: 'because', message: 7, exitCode: 1.5, x: 1 };
    const json = { statuses: [status], released: ['../x'] };
    const response = await agent.send('POST', '/v1/agent/statuses', { json });
    expect(response.status).toBe(400);
    const { faults } = (await response.json()) as { faults: { path: string }[] };
    expect(faults.map((fault) => fault.path).sort()).toEqual([
      '/released/0',
      '/statuses/0/atMs',
      '/statuses/0/exitCode',
      '/statuses/0/message',
      '/statuses/0/reason',
      '/statuses/0/state',
      '/statuses/0/x',
    ]);
    const many = { statuses: Array.from({ length: 101 }, () => status), released: [] };
    expect((await agent.send('POST', '/v1/agent/statuses', { json: many })).status).toBe(400);
  });
});

describe('tokens of one kind', () => {
  it.each([
    ['join', 'GET', '/v1/jobs'],
    ['join', 'GET', '/v1/agent/assignment'],
    ['join', 'POST', '/v1/tokens'],
    ['join', 'POST', '/v1/peer/streams/a'],
    ['node', 'GET', '/v1/jobs'],
    ['node', 'GET', '/v1/tasks/x/logs'],
    ['node', 'GET', '/metrics'],
    ['node', 'POST', '/v1/tokens'],
    ['node', 'POST', '/v1/peer/streams/a'],
    ['peer', 'GET', '/v1/status'],
    ['peer', 'POST', '/v1/agent/register'],
    ['user', 'POST', '/v1/agent/register'],
    ['user', 'POST', '/v1/agent/heartbeat'],
    ['user', 'POST', '/v1/peer/streams/a'],
    ['user', 'POST', '/v1/peer/frameworks/f000000000009/asked'],
    ['user', 'POST', '/v1/peer/frameworks/f000000000009/told'],
  ] as const)('(%s) do not open %s %s', async (kind, method, path) => {
    const token = await berth.token({ kind, node: kind === 'node' ? 'edge-1' : null });
    const response = await berth.send(method, path, { token });
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({ code: 'forbidden', detail: expect.stringContaining(kind) });
  });

  it("(one node's) do not speak for another", async () => {
    const agent = await ApiAgent.register(berth, 'edge-1');
    const json = { node: nodeOf('edge-2'), seen: null, tasks: [] };
    expect((await agent.send('POST', '/v1/agent/register', { json })).status).toBe(403);
    const second = await ApiAgent.register(berth, 'edge-2');
    const task = await placeTask(berth);
    const owner = (await (await berth.send('GET', `/v1/tasks/${task}`)).json()) as { node: string };
    const token = (owner.node === 'edge-1' ? second : agent).session.nodeToken;
    const status = { task, state: 'finished', atMs: 1, reason: 'exited', message: '', exitCode: 0 };
    const response = await agent.send('POST', '/v1/agent/statuses', {
      token,
      json: { statuses: [status], released: [] },
    });
    expect(await response.json()).toEqual({ results: ['unknown'] });
  });

  it('(a node token without a node) open nothing', async () => {
    const token = await berth.token({ kind: 'node', node: null });
    const response = await berth.send('GET', '/v1/agent/assignment', { token, headers: { 'Berth-Epoch': '1' } });
    expect(response.status).toBe(401);
  });
});
