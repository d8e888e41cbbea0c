/** What clients and operators see of a recovery, over HTTP. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { EventView, NodeView, Problem } from '../../../shared/protocol/views.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent } from '../../support/api-agent.ts';
import { caughtUp, nodeOf } from '../../support/replica.ts';

let berth: TestApi;
beforeEach(async () => {
  berth = await startApi();
});
afterEach(() => berth.stop());

function positionIn(response: Response): string {
  return response.headers.get('berth-revision') ?? '';
}

async function recover(): Promise<Response> {
  return berth.send('POST', '/v1/cluster/recover');
}

/** Registers as an agent that has seen and runs what it says. */
async function rejoin(agent: ApiAgent, seen: object | null, tasks: readonly string[]): Promise<void> {
  const json = { node: nodeOf(agent.node), seen, tasks };
  const response = await agent.send('POST', '/v1/agent/register', { json });
  expect(response.status).toBe(200);
  agent.session = await response.json();
}

async function node(): Promise<NodeView> {
  return (await berth.send('GET', '/v1/nodes/edge-1')).json();
}

describe('a recovery', () => {
  it('is answered from the new incarnation, and the same to its repetition', async () => {
    const headers = { 'idempotency-key': 'k' };
    const first = await berth.send('POST', '/v1/cluster/recover', { headers });
    expect(first.status).toBe(200);
    const body = await first.json();
    expect(positionIn(first)).toMatch(new RegExp(`^${body.incarnation}-\\d+$`));
    const again = await berth.send('POST', '/v1/cluster/recover', { headers });
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    expect(await again.json()).toEqual(body);
    const status = await (await berth.send('GET', '/v1/status')).json();
    expect(status).toMatchObject({ incarnation: body.incarnation, recoveredAt: expect.any(String) });
  });

  it('needs the action cluster:recover', async () => {
    const token = await berth.token({ actions: ['node:*', 'status:*'] });
    expect((await berth.send('POST', '/v1/cluster/recover', { token })).status).toBe(403);
    const allowed = await berth.token({ actions: ['cluster:recover'] });
    expect((await berth.send('POST', '/v1/cluster/recover', { token: allowed })).status).toBe(200);
  });
});

describe('a client from before a recovery', () => {
  it('is told that history has changed, and goes on with the position that comes along', async () => {
    const before = positionIn(await berth.send('GET', '/v1/jobs'));
    await recover();
    const refused = await berth.send('GET', '/v1/jobs', { headers: { 'berth-revision': before } });
    expect(refused.status).toBe(410);
    expect(((await refused.json()) as Problem).code).toBe('history-changed');
    const next = await berth.send('GET', '/v1/jobs', { headers: { 'berth-revision': positionIn(refused) } });
    expect(next.status).toBe(200);
  });

  it('is not kept waiting for a revision that may never come', async () => {
    await recover();
    const startedMs = performance.now();
    const refused = await berth.send('GET', '/v1/jobs', { headers: { 'berth-revision': '1000000' } });
    expect(refused.status).toBe(410);
    expect(performance.now() - startedMs).toBeLessThan(4000);
  });

  it.each([
    ['page', 'application/json'],
    ['stream', 'text/event-stream'],
  ])('gets no %s of events after an id of the other history', async (_, accept) => {
    const before = positionIn(await berth.send('GET', '/v1/jobs'));
    await recover();
    const response = await berth.send('GET', `/v1/events?after=${before}`, { headers: { accept } });
    expect(response.status).toBe(410);
    expect(((await response.json()) as Problem).code).toBe('history-changed');
  });

  it('gets events after the ids of the new one', async () => {
    const after = positionIn(await recover());
    await berth.send('POST', '/v1/jobs', { json: { name: 'hello', groups: [{ image: 'busybox' }] } });
    const page = await (await berth.send('GET', `/v1/events?after=${after}&waitMs=5000`)).json();
    expect((page as { items: EventView[] }).items.map(({ type }) => type)).toContain('job.created');
    expect(page.next).toMatch(/^\d+-\d+$/);
    const headers = { accept: 'text/event-stream', 'last-event-id': after };
    const stream = await berth.send('GET', '/v1/events', { headers });
    const { value } = await (stream.body as ReadableStream<Uint8Array>).getReader().read();
    expect(new TextDecoder().decode(value)).toMatch(/^id: \d{10}-\d+$/m);
  });
});

describe('a node that keeps something aside', () => {
  async function keeping(tasks: readonly string[]): Promise<ApiAgent> {
    const agent = await ApiAgent.register(berth);
    await rejoin(agent, { incarnation: 1, generation: 99 }, tasks);
    expect(await node()).toMatchObject({ state: 'ahead', ahead: { incarnation: 1, generation: 99 } });
    await recover();
    await rejoin(agent, { incarnation: 1, generation: 99 }, tasks);
    await caughtUp(berth.replica.ctx);
    return agent;
  }

  it('shows it, is told of what is to end, and shows it no longer when it has ended', async () => {
    const agent = await keeping(['lost-main-0', 'lost-main-1']);
    expect((await node()).keptAside.map(({ task }) => task)).toEqual(['lost-main-0', 'lost-main-1']);
    const path = '/v1/nodes/edge-1/kept-aside/stop';
    const asked = await berth.send('POST', path, { json: { tasks: ['lost-main-0'], reason: 'gone' } });
    expect(asked.status).toBe(200);
    await agent.assignment(({ keptAsideStops }) => keptAsideStops?.[0]?.task === 'lost-main-0');
    const status = {
      task: 'lost-main-0',
      state: 'killed',
      atMs: 1,
      reason: 'stop-requested',
      message: '',
      exitCode: 137,
    };
    await agent.send('POST', '/v1/agent/statuses', { json: { statuses: [status], released: [] } });
    await caughtUp(berth.replica.ctx);
    expect((await node()).keptAside).toEqual([{ task: 'lost-main-1', stop: null }]);
    expect(await (await berth.send('POST', path)).json()).toMatchObject({
      keptAside: [{ task: 'lost-main-1', stop: { by: 'admin', reason: 'no reason given' } }],
    });
  });

  it('is heard of in the events, as the recovery is', async () => {
    await keeping([]);
    const page = await (await berth.send('GET', '/v1/events?type=node.ahead&type=cluster.recovered&after=1')).json();
    expect(page).toMatchObject({ code: 'history-changed' });
    const after = (await berth.send('GET', '/v1/status')).headers.get('berth-revision')?.replace(/-\d+$/, '-1');
    const path = `/v1/events?type=node.ahead&type=cluster.recovered&after=${after}`;
    const { items } = (await (await berth.send('GET', path)).json()) as { items: EventView[] };
    expect(items.map(({ type, node: about }) => [type, about])).toEqual([
      ['node.ahead', 'edge-1'],
      ['cluster.recovered', null],
    ]);
  });

  it('says which task it does not keep', async () => {
    await keeping(['lost-main-0']);
    const json = { tasks: ['other-main-0'] };
    const refused = await berth.send('POST', '/v1/nodes/edge-1/kept-aside/stop', { json });
    expect(refused.status).toBe(404);
    expect(((await refused.json()) as Problem).detail).toBe('node "edge-1" keeps no task "other-main-0" aside');
  });
});
