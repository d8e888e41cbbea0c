import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SUBSCRIBERS_MAX } from '../../../control-plane/facade-mesos/operator/subscribe.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent } from '../../support/api-agent.ts';
import { Hand } from '../../support/frameworks.ts';
import { MesosClient } from '../../support/mesos-client.ts';
import { OPERATOR, operate, type Told, told } from '../../support/mesos-operator.ts';
import { caughtUp, nodeOf } from '../../support/replica.ts';

let berth: TestApi;
let hand: Hand;

beforeEach(async () => {
  berth = await startApi();
  hand = new Hand(berth.replica.ctx);
  await ApiAgent.register(berth);
});
afterEach(() => berth.stop());

/** An operator's stream, of which the state and the first heartbeat have been read. */
class Watcher {
  readonly client: MesosClient;
  readonly state: Told;

  private constructor(client: MesosClient, state: Told) {
    this.client = client;
    this.state = state;
  }

  static async subscribe(token?: string): Promise<Watcher> {
    const options = { path: OPERATOR, ...(token !== undefined && { token }) };
    const client = await MesosClient.open(berth, { type: 'SUBSCRIBE' }, options);
    const first: Told = await client.next();
    expect(first.type).toBe('SUBSCRIBED');
    expect(await client.next()).toEqual({ type: 'HEARTBEAT' });
    return new Watcher(client, first.subscribed.get_state);
  }

  /** The next events that aren't heartbeats. */
  async next(count = 1): Promise<Told[]> {
    const events: Told[] = [];
    while (events.length < count) {
      const event: Told = await this.client.next();
      if (event === null) throw new Error(`the stream ended after ${events.length} of ${count} events`);
      if (event.type !== 'HEARTBEAT') events.push(event);
    }
    return events;
  }
}

describe('SUBSCRIBE', () => {
  it('begins with the state, as GET_STATE tells it, as one record of one chunk', async () => {
    const framework = await MesosClient.subscribe(berth, { role: 'eng', name: 'pinsel-ä' });
    await hand.launch(framework.id, 'brush');
    await caughtUp(berth.replica.ctx);
    const watcher = await Watcher.subscribe();
    expect(watcher.state).toEqual(await told(berth, 'GET_STATE'));
    expect(watcher.client.response.headers.get('transfer-encoding')).toBe('chunked');
    expect(watcher.client.records[1]).toBe('20\n{"type":"HEARTBEAT"}');
    // Bytes and characters are the same number.
    expect(watcher.client.records[0]).toMatch(/^[\x20-\x7e\n]*$/);
  });

  it('goes on with the frameworks that come, change and go', async () => {
    const watcher = await Watcher.subscribe();
    const framework = await MesosClient.subscribe(berth, { role: 'eng' });
    const [added] = await watcher.next();
    expect(added).toMatchObject({
      type: 'FRAMEWORK_ADDED',
      framework_added: { framework: { framework_info: { id: { value: framework.id }, role: 'eng' } } },
    });
    await framework.accepted({ type: 'TEARDOWN' });
    const events = await watcher.next(2);
    expect(events.map(({ type }) => type)).toEqual(['FRAMEWORK_UPDATED', 'FRAMEWORK_REMOVED']);
    expect(events[0].framework_updated.framework).toMatchObject({ active: true, connected: true });
    expect(events[1].framework_removed.framework_info.id.value).toBe(framework.id);
  });

  it('goes on with the tasks that come and change', async () => {
    const framework = await MesosClient.subscribe(berth);
    const watcher = await Watcher.subscribe();
    const { id } = await hand.launch(framework.id, 'brush');
    const [added] = await watcher.next();
    expect(added).toMatchObject({
      type: 'TASK_ADDED',
      task_added: { task: { task_id: { value: 'brush' }, state: 'TASK_STAGING', agent_id: { value: 'edge-1' } } },
    });
    await hand.report(id, 'running');
    const [updated] = await watcher.next();
    expect(updated).toMatchObject({
      type: 'TASK_UPDATED',
      task_updated: {
        framework_id: { value: framework.id },
        state: 'TASK_RUNNING',
        status: { task_id: { value: 'brush' }, state: 'TASK_RUNNING', agent_id: { value: 'edge-1' } },
      },
    });
  });

  it('tells of jobs as of one framework', async () => {
    const watcher = await Watcher.subscribe();
    const spec = { name: 'web', groups: [{ image: 'x' }] };
    expect((await berth.send('POST', '/v1/jobs', { json: spec })).status).toBe(201);
    await berth.replica.settle();
    const [added] = await watcher.next();
    expect(added.task_added.task).toMatchObject({ name: 'web', framework_id: { value: 'berth' } });
  });

  it('goes on with the agents that come', async () => {
    const watcher = await Watcher.subscribe();
    expect(nodeOf('edge-2').id).toBe('edge-2');
    await ApiAgent.register(berth, 'edge-2');
    const [added] = await watcher.next();
    expect(added).toMatchObject({ type: 'AGENT_ADDED', agent_added: { agent: { active: true } } });
    expect(added.agent_added.agent.agent_info.id.value).toBe('edge-2');
  });

  it('tells nobody what they may not see', async () => {
    const token = await berth.token({ subject: 'anna', roles: ['ops'], actions: ['framework:read', 'task:read'] });
    const watcher = await Watcher.subscribe(token);
    expect(watcher.state.get_agents.agents).toEqual([]);
    const hidden = await MesosClient.subscribe(berth, { role: 'eng' });
    await hand.launch(hidden.id, 'brush', { role: 'eng' });
    await ApiAgent.register(berth, 'edge-2');
    const shown = await MesosClient.subscribe(berth, { role: 'ops' });
    const [first] = await watcher.next();
    expect(first.framework_added.framework.framework_info.id.value).toBe(shown.id);
  });

  it('misses nothing of what happens while the state is being written', async () => {
    const framework = await MesosClient.subscribe(berth);
    const client = await MesosClient.open(berth, { type: 'SUBSCRIBE' }, { path: OPERATOR });
    await hand.launch(framework.id, 'brush');
    await caughtUp(berth.replica.ctx);
    const first: Told = await client.next();
    expect(first.subscribed.get_state.get_tasks.tasks).toEqual([]);
    expect(await client.next()).toEqual({ type: 'HEARTBEAT' });
    expect(await client.next()).toMatchObject({ type: 'TASK_ADDED' });
  });

  it('ends the oldest stream with one too many', async () => {
    const first = await Watcher.subscribe();
    for (let more = 1; more < SUBSCRIBERS_MAX; more++) {
      await MesosClient.open(berth, { type: 'SUBSCRIBE' }, { path: OPERATOR });
    }
    const second = await Watcher.subscribe();
    expect(await first.client.next()).toBeNull();
    await ApiAgent.register(berth, 'edge-2');
    expect((await second.next())[0].type).toBe('AGENT_ADDED');
  });

  it('ends when its replica goes away', async () => {
    const watcher = await Watcher.subscribe();
    berth.stop();
    expect(await watcher.client.next()).toBeNull();
  });

  it('wants somebody who is known', async () => {
    const { status } = await operate(berth, { type: 'SUBSCRIBE' }, { token: 'nobody' });
    expect(status).toBe(401);
  });
});
