import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent } from '../../support/api-agent.ts';
import { Hand } from '../../support/frameworks.ts';
import { MesosClient } from '../../support/mesos-client.ts';
import { OPERATOR, operate, type Told, told } from '../../support/mesos-operator.ts';
import { caughtUp } from '../../support/replica.ts';

let berth: TestApi;
let agent: ApiAgent;

beforeEach(async () => {
  berth = await startApi();
  agent = await ApiAgent.register(berth);
});
afterEach(() => berth.stop());

async function setRole(path: string, json: object): Promise<void> {
  expect((await berth.send('PUT', `/v1/roles/${path}`, { json })).status).toBe(200);
  await caughtUp(berth.replica.ctx);
}

async function nodeView(): Promise<Record<string, unknown>> {
  await caughtUp(berth.replica.ctx);
  return (await (await berth.send('GET', '/v1/nodes/edge-1')).json()) as Record<string, unknown>;
}

describe('a request is checked', () => {
  it.each<[string, object, number, string]>([
    ['nobody', { json: {}, token: null }, 401, 'send a token'],
    ['no type of body', { body: new Uint8Array([123]) }, 400, "Expecting 'Content-Type' to be present"],
    ['protobuf', { body: '{', headers: { 'content-type': 'application/x-protobuf' } }, 415, "Expecting 'Content-Type'"],
    ['no JSON', { body: '{', headers: { 'content-type': 'application/json' } }, 400, 'Failed to parse body into JSON'],
    ['no type', { json: {} }, 400, "Failed to validate master::Call: Expecting 'type' to be present"],
    ['a type that nobody knows', { json: { type: 'GET_BEER' } }, 400, "Expecting 'type' to be present"],
    ['no message', { json: { type: 'UPDATE_QUOTA' } }, 400, "Expecting 'update_quota' to be present"],
    ['nothing that is measured', { json: { type: 'GET_METRICS' } }, 400, "Expecting 'get_metrics' to be present"],
    [
      'a message without what it must have',
      { json: { type: 'DRAIN_AGENT', drain_agent: {} } },
      400,
      'Failed to convert JSON into Call protobuf: Missing required fields: drain_agent.agent_id',
    ],
    ['what it does not take', { json: { type: 'GET_HEALTH' }, headers: { accept: 'image/png' } }, 406, "'Accept'"],
    ['nothing', { json: { type: 'UNKNOWN' } }, 501, 'UNKNOWN is not implemented'],
    ['files', { json: { type: 'LIST_FILES', list_files: { path: '/' } } }, 501, 'LIST_FILES is not implemented'],
  ])('%s', async (_what, options, status, text) => {
    const response = await berth.send('POST', OPERATOR, options);
    expect([response.status, await response.text()]).toEqual([status, expect.stringContaining(text)]);
  });

  it('is for POST only, and asks for a token of the right realm', async () => {
    expect((await berth.send('GET', OPERATOR)).status).toBe(405);
    const { headers } = await berth.send('POST', OPERATOR, { token: null, json: {} });
    expect(headers.get('www-authenticate')).toContain('Basic realm="mesos-master-readwrite"');
    expect(headers.get('berth-request-id')).toMatch(/^[a-z0-9]+$/);
  });

  it.each(['/api/v1', '/api/v1/', '/api/v1/operator', '/master/api/v1', '/master/api/v1/operator'])(
    'is answered at %s',
    async (path) => {
      const { status, text } = await operate(berth, { type: 'GET_HEALTH' }, { path });
      expect([status, text]).toEqual([200, '{"type":"GET_HEALTH","get_health":{"healthy":true}}']);
    },
  );
});

describe('what there is', () => {
  it('is told of the master', async () => {
    expect(await told(berth, 'GET_VERSION')).toEqual({ version_info: { version: '1.11.0', build_user: 'berth' } });
    expect(await told(berth, 'GET_LOGGING_LEVEL')).toEqual({ level: 0 });
    expect(await told(berth, 'GET_MASTER')).toMatchObject({
      master_info: { id: 'replica-1', version: '1.11.0' },
      start_time: expect.any(Number),
    });
    expect((await told(berth, 'GET_FLAGS')).flags).toContainEqual({ name: 'filter_gpu_resources', value: 'true' });
    expect((await told(berth, 'GET_METRICS')).metrics).toContainEqual({ name: 'master/elected', value: 1 });
    expect(await told(berth, 'GET_OPERATIONS')).toEqual({});
  });

  it('is told of agents, frameworks, executors and tasks, one by one and as the state', async () => {
    const client = await MesosClient.subscribe(berth, { role: 'eng' });
    await new Hand(berth.replica.ctx).launch(client.id, 'brush');
    await caughtUp(berth.replica.ctx);
    const state = await told(berth, 'GET_STATE');
    expect(Object.keys(state)).toEqual(['get_tasks', 'get_executors', 'get_frameworks', 'get_agents']);
    for (const [member, type] of [
      ['get_agents', 'GET_AGENTS'],
      ['get_frameworks', 'GET_FRAMEWORKS'],
      ['get_tasks', 'GET_TASKS'],
      ['get_executors', 'GET_EXECUTORS'],
    ] as const) {
      expect(await told(berth, type)).toEqual(state[member]);
    }
    expect(state.get_agents.agents).toMatchObject([{ agent_info: { id: { value: 'edge-1' } }, active: true }]);
    expect(state.get_tasks.tasks).toMatchObject([
      { task_id: { value: 'brush' }, framework_id: { value: client.id }, agent_id: { value: 'edge-1' } },
    ]);
    const names = state.get_frameworks.frameworks.map((one: Told) => one.framework_info.name);
    expect(names).toEqual(['berth', 'painter']);
  });

  it('is told only as far as the caller may see it', async () => {
    const client = await MesosClient.subscribe(berth, { role: 'eng' });
    await new Hand(berth.replica.ctx).launch(client.id, 'brush', { role: 'eng' });
    await caughtUp(berth.replica.ctx);
    const token = await berth.token({ subject: 'anna', roles: ['ops'], actions: ['task:read', 'framework:read'] });
    const state = await told(berth, 'GET_STATE', token);
    expect([state.get_agents.agents, state.get_tasks.tasks]).toEqual([[], []]);
    expect(state.get_frameworks.frameworks.length).toBe(1);
    expect((await operate(berth, { type: 'GET_FLAGS' }, { token })).status).toBe(403);
  });
});

describe('weights', () => {
  const update = (...weight_infos: object[]) => ({ type: 'UPDATE_WEIGHTS', update_weights: { weight_infos } });

  it('are set, several at once, and leave what else is set', async () => {
    await setRole('eng', { limit: { cpus: 8 } });
    const infos = [
      { role: 'eng', weight: 2 },
      { role: 'ops/night', weight: 0.5 },
    ];
    expect(await operate(berth, update(...infos))).toEqual({ status: 200, text: '' });
    expect(await told(berth, 'GET_WEIGHTS')).toEqual({ weight_infos: infos });
    expect(await (await berth.send('GET', '/v1/roles/eng')).json()).toMatchObject({ weight: 2, limit: { cpus: 8 } });
    expect((await told(berth, 'GET_ROLES')).roles).toContainEqual({ name: 'eng', weight: 2 });
  });

  it.each([
    [{ role: 'eng', weight: -1 }, "for role 'eng': Invalid weight '-1': Weights must be positive"],
    [{ role: 'eng', weight: 0 }, "for role 'eng': Invalid weight '0': Weights must be positive"],
    [{ role: '/eng', weight: 1 }, "Invalid role '/eng': Role '/eng' cannot start with a slash"],
  ])('%j is refused, and nothing is set', async (info, text) => {
    const answer = await operate(berth, update({ role: 'ops', weight: 2 }, info));
    expect(answer).toEqual({ status: 400, text: expect.stringContaining(text) });
    expect(await told(berth, 'GET_WEIGHTS')).toEqual({ weight_infos: [] });
  });

  it('are set for all roles or none by those who may', async () => {
    const token = await berth.token({ subject: 'anna', roles: ['eng'], actions: ['role:read', 'role:write'] });
    const infos = [
      { role: 'eng', weight: 2 },
      { role: 'ops', weight: 2 },
    ];
    expect((await operate(berth, update(...infos), { token })).status).toBe(403);
    expect(await told(berth, 'GET_WEIGHTS')).toEqual({ weight_infos: [] });
  });
});

describe('quota', () => {
  const update = (quota_configs: object[], force = false) => ({
    type: 'UPDATE_QUOTA',
    update_quota: { force, quota_configs },
  });
  const quotaOf = (role: string, guarantees: object, limits: object) => ({ role, guarantees, limits });

  it('is set, shown and taken back', async () => {
    await setRole('eng', { weight: 3 });
    const config = quotaOf('eng', { cpus: { value: 1 } }, { cpus: { value: 2 }, mem: { value: 512 } });
    expect(await operate(berth, update([config]))).toEqual({ status: 200, text: '' });
    expect(await told(berth, 'GET_QUOTA')).toEqual({
      status: {
        infos: [{ role: 'eng', guarantee: [{ name: 'cpus', type: 'SCALAR', scalar: { value: 1 }, role: '*' }] }],
        configs: [config],
      },
    });
    const view = await (await berth.send('GET', '/v1/roles/eng')).json();
    expect(view).toMatchObject({ weight: 3, guarantee: { cpus: 1 }, limit: { cpus: 2, memMiB: 512 } });
    expect((await operate(berth, update([quotaOf('eng', {}, {})]))).status).toBe(200);
    expect(await told(berth, 'GET_QUOTA')).toEqual({ status: {} });
  });

  it('over what there is is refused, all of it, unless it is forced', async () => {
    const configs = [quotaOf('eng', { cpus: { value: 1 } }, {}), quotaOf('ops', { cpus: { value: 1000 } }, {})];
    const refused = await operate(berth, update(configs));
    expect(refused).toEqual({ status: 400, text: expect.stringMatching(/^Invalid QuotaConfig: .*with force/) });
    expect(await told(berth, 'GET_QUOTA')).toEqual({ status: {} });
    expect((await operate(berth, update(configs, true))).status).toBe(200);
    expect((await told(berth, 'GET_QUOTA')).status.configs.length).toBe(2);
  });

  it('is moved from one role to another in one step', async () => {
    const { total } = (await nodeView()) as { total: { cpus: number } };
    const all = { cpus: { value: total.cpus } };
    expect((await operate(berth, update([quotaOf('eng', all, {})]))).status).toBe(200);
    expect((await operate(berth, update([quotaOf('ops', all, {})]))).status).toBe(400);
    expect(await operate(berth, update([quotaOf('eng', {}, {}), quotaOf('ops', all, {})]))).toEqual({
      status: 200,
      text: '',
    });
  });

  it.each([
    [quotaOf('eng/ml', {}, {}), "Updating quota on nested role 'eng/ml' is not supported yet"],
    [quotaOf('', {}, {}), "Invalid QuotaConfig: Invalid 'QuotaConfig.role': Empty role name is invalid"],
    [
      quotaOf('eng', { cpus: { value: -1 } }, {}),
      "guarantee configuration {'cpus': -1}: Negative values not supported",
    ],
    [quotaOf('eng', {}, { mem: { value: 'Infinity' } }), 'Infinite values not supported'],
    [
      quotaOf('eng', { cpus: { value: 2 } }, { cpus: { value: 1 } }),
      "is not contained within the 'QuotaConfig.limits'",
    ],
    [quotaOf('eng', {}, { cpus: { value: 2e12 } }), 'values greater than 1 trillion'],
  ])('%j is refused', async (config, text) => {
    const answer = await operate(berth, update([quotaOf('ops', { cpus: { value: 1 } }, {}), config]));
    expect(answer).toEqual({ status: 400, text: expect.stringContaining(text) });
    expect(await told(berth, 'GET_QUOTA')).toEqual({ status: {} });
  });

  it('is set and removed in the older way', async () => {
    const guarantee = [{ name: 'cpus', type: 'SCALAR', scalar: { value: 1 } }];
    const set = { type: 'SET_QUOTA', set_quota: { quota_request: { role: 'eng', guarantee } } };
    expect((await operate(berth, set)).status).toBe(200);
    expect((await told(berth, 'GET_QUOTA')).status.configs).toEqual([
      quotaOf('eng', { cpus: { value: 1 } }, { cpus: { value: 1 } }),
    ]);
    expect(await operate(berth, set)).toEqual({ status: 400, text: expect.stringContaining('already has quota') });
    const remove = { type: 'REMOVE_QUOTA', remove_quota: { role: 'eng' } };
    expect((await operate(berth, remove)).status).toBe(200);
    expect(await operate(berth, remove)).toEqual({ status: 400, text: expect.stringContaining('has no quota set') });
  });
});

describe('agents', () => {
  const about = (type: string, value = 'edge-1', more: object = {}) => ({
    type,
    [type.toLowerCase()]: { agent_id: { value }, ...more },
  });

  it('are drained and reactivated', async () => {
    expect(await operate(berth, about('DRAIN_AGENT'))).toEqual({ status: 200, text: '' });
    expect(await nodeView()).toMatchObject({ state: 'drained', drain: { deadline: expect.any(String) } });
    expect((await told(berth, 'GET_AGENTS')).agents).toMatchObject([
      { active: false, deactivated: true, drain_info: { state: 'DRAINED' } },
    ]);
    expect(await operate(berth, about('REACTIVATE_AGENT'))).toEqual({ status: 200, text: '' });
    expect(await nodeView()).toMatchObject({ state: 'ready', drain: null });
    const again = await operate(berth, about('REACTIVATE_AGENT'));
    expect(again).toEqual({ status: 400, text: 'Agent is not deactivated' });
  });

  it('are drained within the longest grace that is given', async () => {
    const client = await MesosClient.subscribe(berth);
    const { id } = await new Hand(berth.replica.ctx).launch(client.id, 'brush', { state: 'running' });
    const max_grace_period = { nanoseconds: 1_500_000_000 };
    expect((await operate(berth, about('DRAIN_AGENT', 'edge-1', { max_grace_period }))).status).toBe(200);
    await berth.replica.settle();
    const { ledgers } = berth.replica.ctx.mirror.snapshot;
    expect(ledgers.get('edge-1')?.entries[id]?.stop).toMatchObject({ graceMs: 1500 });
  });

  it('are not reactivated while they are being drained', async () => {
    const client = await MesosClient.subscribe(berth);
    await new Hand(berth.replica.ctx).launch(client.id, 'brush');
    expect((await operate(berth, about('DRAIN_AGENT'))).status).toBe(200);
    const answer = await operate(berth, about('REACTIVATE_AGENT'));
    expect(answer).toEqual({ status: 400, text: 'Agent is still in the DRAINING state' });
  });

  it('are deactivated and reactivated', async () => {
    expect(await operate(berth, about('DEACTIVATE_AGENT'))).toEqual({ status: 200, text: '' });
    expect(await nodeView()).toMatchObject({ state: 'ineligible' });
    expect((await operate(berth, about('REACTIVATE_AGENT'))).status).toBe(200);
    expect(await nodeView()).toMatchObject({ state: 'ready' });
  });

  it('are marked gone once they are not connected', async () => {
    const answer = await operate(berth, about('MARK_AGENT_GONE'));
    expect(answer).toEqual({ status: 409, text: expect.stringContaining('is connected') });
  });

  it.each([
    ['DRAIN_AGENT', 400, 'Unknown agent'],
    ['DEACTIVATE_AGENT', 400, 'Unknown agent'],
    ['REACTIVATE_AGENT', 400, 'Agent is not deactivated'],
    ['MARK_AGENT_GONE', 404, "Agent 'edge-9' not found"],
  ])('that are not there: %s', async (type, status, text) => {
    expect(await operate(berth, about(type, 'edge-9'))).toEqual({ status, text });
  });

  it('are left alone by those who may not', async () => {
    const token = await berth.token({ subject: 'anna', actions: ['node:read'] });
    for (const type of ['DRAIN_AGENT', 'DEACTIVATE_AGENT', 'MARK_AGENT_GONE']) {
      expect([type, (await operate(berth, about(type), { token })).status]).toEqual([type, 403]);
    }
    expect(await nodeView()).toMatchObject({ state: 'ready' });
    expect(agent.node).toBe('edge-1');
  });

  it('are not drained and marked gone in one step', async () => {
    const answer = await operate(berth, about('DRAIN_AGENT', 'edge-1', { mark_gone: true }));
    expect(answer).toEqual({ status: 400, text: expect.stringContaining('MARK_AGENT_GONE') });
    expect(await nodeView()).toMatchObject({ state: 'ready' });
  });
});

describe('frameworks', () => {
  const teardown = (value: string) => ({ type: 'TEARDOWN', teardown: { framework_id: { value } } });

  it('are torn down, by the id that their clients know', async () => {
    const client = await MesosClient.subscribe(berth, { id: { value: '201103282247-0000000019-0000' } });
    expect(await operate(berth, teardown(client.id))).toEqual({ status: 200, text: '' });
    expect(await client.next()).toEqual({ type: 'ERROR', error: { message: 'Framework has been removed' } });
    expect(await operate(berth, teardown(client.id))).toEqual({
      status: 400,
      text: 'No framework found with specified ID',
    });
  });

  it('that are not there are not found', async () => {
    const absent = await operate(berth, teardown('F-9'));
    expect(absent).toEqual({ status: 400, text: 'No framework found with specified ID' });
  });

  it('of others are left alone by those who may not', async () => {
    const client = await MesosClient.subscribe(berth);
    const token = await berth.token({ subject: 'anna', actions: ['framework:read', 'framework:run'] });
    expect((await operate(berth, teardown(client.id), { token })).status).toBe(403);
  });
});
