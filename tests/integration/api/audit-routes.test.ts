/** Every endpoint that changes something leaves one record of who did it; a new endpoint without a sample fails here. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keys } from '../../../control-plane/store/keys.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import type { AuditView } from '../../../shared/protocol/audit.ts';
import { present } from '../../../shared/util/assert.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent, placeTask } from '../../support/api-agent.ts';
import { anOffer, aTask } from '../../support/builders.ts';
import { Hand } from '../../support/frameworks.ts';
import { caughtUp, envelopeKey, envelopeOf, nodeOf } from '../../support/replica.ts';

let berth: TestApi;

beforeEach(async () => {
  berth = await startApi({ envelope: await envelopeOf(envelopeKey('k1')) });
});
afterEach(() => berth.stop());

interface Sample {
  readonly path: string;
  readonly json?: unknown;
  readonly token?: string;
}

const SECRET = 'hunter2-must-not-leak';
const WEB = { name: 'web', kind: 'service', groups: [{ image: 'busybox:1', count: 2, env: { PASSWORD: SECRET } }] };
const POLICY = {
  issuer: 'https://ci.example.com',
  audience: 'berth',
  rules: [{ claims: { repository_id: '1234' }, roles: ['eng'], actions: ['job:read'] }],
};
const BATCH = { name: 'web', groups: [{ image: 'busybox:1', env: { PASSWORD: SECRET } }] };

async function done<T>(method: string, path: string, json?: unknown): Promise<T> {
  const response = await berth.send(method, path, json === undefined ? {} : { json });
  const body = (await response.json()) as T;
  expect({ path, status: response.status < 300, body }).toMatchObject({ status: true });
  await caughtUp(berth.replica.ctx);
  return body;
}

const service = () => done<{ uid: string }>('POST', '/v1/jobs', WEB);
const snapshot = () => berth.replica.ctx.mirror.snapshot;
const job = () => present(snapshot().jobByKey({ role: 'default', name: 'web' }), 'the job');

async function put(write: ReturnType<typeof putRecord>): Promise<void> {
  await berth.replica.ctx.store.transact({ compares: [], writes: [write] });
  await caughtUp(berth.replica.ctx);
}

/** A deployment under way, of a version that is tried out and works. */
async function deployment(what: string): Promise<Sample> {
  const canary = (image: string) => ({ ...WEB, update: { strategy: 'canary' }, groups: [{ image, count: 1 }] });
  await done('POST', '/v1/jobs', canary('busybox:1'));
  const first = present(snapshot().deployments.get(`${job().uid}-d1`), 'the first deployment');
  await put(putRecord('deployments', keys.deployment(first.id), { ...first, state: 'succeeded', endedAtMs: 1 }));
  await put(putRecord('jobs', keys.job(job().spec), { ...job(), goodVersion: 1 }));
  await done('PUT', '/v1/jobs/web', canary('busybox:2'));
  const { uid } = job();
  const second = present(snapshot().deployments.get(`${uid}-d2`), 'the second deployment');
  await put(putRecord('deployments', keys.deployment(second.id), { ...second, startedAtMs: 1 }));
  for (const version of [1, 2]) {
    const task = aTask({ ...job(), version }, { index: version, state: 'running' });
    await put(putRecord('tasks', keys.task(task.id), task));
  }
  return { path: `/v1/deployments/${uid}-d2/${what}`, json: {} };
}

async function node(): Promise<ApiAgent> {
  const agent = await ApiAgent.register(berth);
  await caughtUp(berth.replica.ctx);
  return agent;
}

async function framework(): Promise<string> {
  const { id } = await done<{ id: string }>('POST', '/v1/frameworks', { name: 'painter', roles: ['default'] });
  return id;
}

async function offered(what: string, json: object): Promise<Sample> {
  await node();
  const id = await framework();
  const { resources } = anOffer({ resources: { cpus: 1, memMiB: 1024 } });
  await new Hand(berth.replica.ctx).offer(id, { id: '0-0-0', resources });
  return { path: `/v1/frameworks/${id}/${what}`, json: { session: 1, ...json } };
}

async function after(first: Promise<unknown>, sample: Sample): Promise<Sample> {
  await first;
  return sample;
}

const RESERVATION = { id: 'archive', role: 'ops', amounts: { diskMiB: 500 } };
const VOLUME = { id: 'data', reservation: 'archive', sizeMiB: 100 };
const WINDOW = { startsAt: '2090-12-24T18:00:00Z', durationSeconds: 60 };

async function jobIs(what: string, json: object = {}): Promise<Sample> {
  await service();
  return { path: `/v1/jobs/web/${what}?force=true`, json };
}

const LAUNCH = {
  operations: [{ type: 'launch', tasks: [{ task: 'one', image: 'x', resources: { cpus: 0.1, memMiB: 32 } }] }],
};

/** What each does to which object. */
const SAMPLES: Readonly<Record<string, readonly [string, () => Promise<Sample>]>> = {
  'POST /v1/jobs': ['created job/web', async () => ({ path: '/v1/jobs', json: BATCH })],
  'PUT /v1/jobs/{name}': ['created job/web', async () => ({ path: '/v1/jobs/web', json: WEB })],
  'DELETE /v1/jobs/{name}': ['changed job/web', () => after(service(), { path: '/v1/jobs/web' })],
  'POST /v1/jobs/{name}/stop': [
    'changed job/web',
    () => after(done('POST', '/v1/jobs', BATCH), { path: '/v1/jobs/web/stop', json: {} }),
  ],
  'POST /v1/jobs/{name}/scale': ['changed job/web', () => jobIs('scale', { count: 5 })],
  'POST /v1/jobs/{name}/restart': ['changed job/web', () => jobIs('restart')],
  'POST /v1/jobs/{name}/revert': [
    'changed job/web',
    async () => {
      await service();
      await done('PUT', '/v1/jobs/web?force=true', { ...WEB, groups: [{ image: 'busybox:2' }] });
      return { path: '/v1/jobs/web/revert?force=true', json: { version: 1 } };
    },
  ],
  'POST /v1/jobs/{name}/suspend': ['changed job/web', () => jobIs('suspend')],
  'POST /v1/jobs/{name}/resume': [
    'changed job/web',
    async () => {
      await jobIs('suspend');
      await done('POST', '/v1/jobs/web/suspend?force=true', {});
      return { path: '/v1/jobs/web/resume', json: {} };
    },
  ],
  'POST /v1/jobs/{name}/retry': [
    'changed task/',
    async () => {
      await service();
      const task = aTask(job(), { index: 1, failures: 3, notBeforeMs: 9e12 });
      await put(putRecord('tasks', keys.task(task.id), task));
      return { path: '/v1/jobs/web/retry', json: {} };
    },
  ],
  'POST /v1/deployments/{id}/promote': ['changed deployment/', () => deployment('promote?force=true')],
  'POST /v1/deployments/{id}/pause': ['changed deployment/', () => deployment('pause')],
  'POST /v1/deployments/{id}/resume': [
    'changed deployment/',
    async () => {
      const { path } = await deployment('pause');
      await done('POST', path, {});
      return { path: path.replace(/pause$/, 'resume'), json: {} };
    },
  ],
  'POST /v1/deployments/{id}/abort': ['changed deployment/', () => deployment('abort')],
  'POST /v1/tasks/{id}/stop': [
    'changed task/',
    async () => {
      await node();
      return { path: `/v1/tasks/${await placeTask(berth)}/stop`, json: {} };
    },
  ],
  'POST /v1/nodes/{id}/drain': [
    'changed node/edge-1',
    () => after(node(), { path: '/v1/nodes/edge-1/drain', json: {} }),
  ],
  'DELETE /v1/nodes/{id}/drain': [
    'changed node/edge-1',
    async () => {
      await node();
      await done('POST', '/v1/nodes/edge-1/drain', {});
      return { path: '/v1/nodes/edge-1/drain' };
    },
  ],
  'POST /v1/nodes/{id}/kept-aside/stop': [
    'changed node/edge-1',
    async () => {
      await node();
      const epoch = present(snapshot().epochs.get('edge-1'), 'the epoch');
      const keptAside = [{ task: 'lost-main-0', stop: null }];
      await put(putRecord('epochs', keys.epoch('edge-1'), { ...epoch, keptAside }));
      return { path: '/v1/nodes/edge-1/kept-aside/stop', json: {} };
    },
  ],
  'PUT /v1/nodes/{id}/eligibility': [
    'changed node/edge-1',
    () => after(node(), { path: '/v1/nodes/edge-1/eligibility', json: { eligible: false } }),
  ],
  'POST /v1/nodes/{id}/gone': [
    'node/edge-1',
    async () => {
      await node();
      const writes = [{ type: 'delete', key: keys.alive('edge-1') }] as const;
      await berth.replica.ctx.store.transact({ compares: [], writes });
      await caughtUp(berth.replica.ctx);
      return { path: '/v1/nodes/edge-1/gone', json: {} };
    },
  ],
  'PUT /v1/nodes/{id}/maintenance': [
    'created maintenance/edge-1',
    () => after(node(), { path: '/v1/nodes/edge-1/maintenance', json: WINDOW }),
  ],
  'DELETE /v1/nodes/{id}/maintenance': [
    'removed maintenance/edge-1',
    async () => {
      await node();
      await done('PUT', '/v1/nodes/edge-1/maintenance', WINDOW);
      return { path: '/v1/nodes/edge-1/maintenance' };
    },
  ],
  'PUT /v1/roles/{path}': ['created role/eng/ml', async () => ({ path: '/v1/roles/eng/ml', json: { weight: 2 } })],
  'DELETE /v1/roles/{path}': [
    'removed role/eng/ml',
    () => after(done('PUT', '/v1/roles/eng/ml', { weight: 2 }), { path: '/v1/roles/eng/ml' }),
  ],
  'PUT /v1/settings': ['created settings/cluster', async () => ({ path: '/v1/settings', json: { auditKeepDays: 30 } })],
  'POST /v1/nodes/{id}/reservations': [
    'created reservation/archive',
    () => after(node(), { path: '/v1/nodes/edge-1/reservations', json: RESERVATION }),
  ],
  'DELETE /v1/nodes/{id}/reservations/{reservation}': [
    'removed reservation/archive',
    async () => {
      await node();
      await done('POST', '/v1/nodes/edge-1/reservations', RESERVATION);
      return { path: '/v1/nodes/edge-1/reservations/archive' };
    },
  ],
  'POST /v1/nodes/{id}/volumes': [
    'created volume/data',
    async () => {
      await node();
      await done('POST', '/v1/nodes/edge-1/reservations', RESERVATION);
      return { path: '/v1/nodes/edge-1/volumes', json: VOLUME };
    },
  ],
  'DELETE /v1/nodes/{id}/volumes/{volume}': [
    'changed volume/data',
    async () => {
      await node();
      await done('POST', '/v1/nodes/edge-1/reservations', RESERVATION);
      await done('POST', '/v1/nodes/edge-1/volumes', VOLUME);
      return { path: '/v1/nodes/edge-1/volumes/data' };
    },
  ],
  'POST /v1/frameworks': [
    'created framework/',
    async () => ({ path: '/v1/frameworks', json: { name: 'painter', roles: ['default'] } }),
  ],
  'PUT /v1/frameworks/{id}': [
    'changed framework/',
    async () => ({
      path: `/v1/frameworks/${await framework()}`,
      json: { session: 1, name: 'other', roles: ['default'] },
    }),
  ],
  'DELETE /v1/frameworks/{id}': ['changed framework/', async () => ({ path: `/v1/frameworks/${await framework()}` })],
  'POST /v1/frameworks/{id}/accept': ['created task/', () => offered('accept', { offers: ['0-0-0'], ...LAUNCH })],
  'POST /v1/frameworks/{id}/kill': [
    'changed task/',
    async () => {
      const { path, json } = await offered('accept', { offers: ['0-0-0'], ...LAUNCH });
      await done('POST', path, json);
      return { path: path.replace(/accept$/, 'kill'), json: { session: 1, task: 'one' } };
    },
  ],
  'POST /v1/cluster/recover': ['changed cluster/cluster', async () => ({ path: '/v1/cluster/recover', json: {} })],
  'PUT /v1/secrets/{name}': [
    'created secret/db',
    async () => ({ path: '/v1/secrets/db?role=eng', json: { value: SECRET } }),
  ],
  'DELETE /v1/secrets/{name}': [
    'removed secret/db',
    () => after(done('PUT', '/v1/secrets/db?role=eng', { value: SECRET }), { path: '/v1/secrets/db?role=eng' }),
  ],
  'PUT /v1/policies/{name}': ['created policy/ci', async () => ({ path: '/v1/policies/ci', json: POLICY })],
  'DELETE /v1/policies/{name}': [
    'removed policy/ci',
    () => after(done('PUT', '/v1/policies/ci', POLICY), { path: '/v1/policies/ci' }),
  ],
  'POST /v1/tokens/revoke': [
    'created token/',
    async () => ({ path: '/v1/tokens/revoke', json: { subject: 'mallory', before: '2020-01-01T00:00:00Z' } }),
  ],
  'POST /v1/tokens/{id}/revoke': [
    'created token/lost',
    async () => ({ path: '/v1/tokens/lost/revoke', json: { reason: 'lost' } }),
  ],
  'POST /v1/keys/rotate': ['created signing-key/', async () => ({ path: '/v1/keys/rotate', json: {} })],
  'POST /v1/keys/{kid}/retire': [
    'changed signing-key/',
    async () => {
      const { kid } = await done<{ kid: string }>('POST', '/v1/keys/rotate', {});
      return { path: `/v1/keys/${kid}/retire`, json: { now: true, reason: 'leaked' } };
    },
  ],
  'POST /v1/tokens': [
    'issued token/',
    async () => ({
      path: '/v1/tokens',
      json: { subject: 'ci', roles: ['eng'], actions: ['job:read'], ttlSeconds: 60 },
    }),
  ],
  'POST /v1/agent/register': [
    'created node/edge-1',
    async () => ({
      path: '/v1/agent/register',
      json: { node: nodeOf('edge-1'), seen: null, tasks: [] },
      token: await berth.token({ kind: 'join', subject: 'joiner', roles: [], actions: [] }),
    }),
  ],
};

/** What changes nothing, what agents and replicas say, and what frameworks say all day long. */
const NOT_ON_RECORD: readonly string[] = [
  'POST /v1/plan',
  // It changes nothing; that it has issued a token is on record, as its own tests show.
  'POST /v1/auth/exchange',
  'POST /v1/auth/test',
  'POST /v1/agent/tasks/{id}/identity',
  // What it has sealed anew is on record, one by one.
  'POST /v1/cluster/reseal',
  'POST /v1/agent/tasks/{id}/secrets',
  'POST /v1/frameworks/{id}/maintenance',
  'POST /v1/frameworks/{id}/acknowledge',
  'POST /v1/frameworks/{id}/messages',
  'POST /v1/frameworks/{id}/reconcile',
  'POST /v1/frameworks/{id}/operations/acknowledge',
  'POST /v1/frameworks/{id}/operations/reconcile',
  'POST /v1/frameworks/{id}/decline',
  'POST /v1/frameworks/{id}/revive',
  'POST /v1/frameworks/{id}/suppress',
  'POST /v1/peer/frameworks/{id}/asked',
  'POST /v1/peer/frameworks/{id}/told',
  'POST /v1/agent/heartbeat',
  'POST /v1/agent/statuses',
  'POST /v1/agent/messages',
  'POST /v1/agent/streams/{id}',
  'POST /v1/peer/streams/{id}',
];

async function records(): Promise<AuditView[]> {
  const { items } = (await (await berth.send('GET', '/v1/audit?limit=1000')).json()) as { items: AuditView[] };
  return items;
}

async function operations(): Promise<string[]> {
  const { paths } = (await (await berth.send('GET', '/openapi.json')).json()) as { paths: Record<string, object> };
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).flatMap((method) => (method === 'get' ? [] : [`${method.toUpperCase()} ${path}`])),
  );
}

describe('an endpoint that changes something', () => {
  it('has a sample here, or is said to leave no record', async () => {
    expect((await operations()).sort()).toEqual([...Object.keys(SAMPLES), ...NOT_ON_RECORD].sort());
  });

  it.each(Object.keys(SAMPLES))('%s leaves one record', async (operation) => {
    const [told, arrange] = present(SAMPLES[operation], operation);
    const { path, json, token = berth.admin } = await arrange();
    const before = await records();
    const headers = { 'Idempotency-Key': 'once' };
    const [method = ''] = operation.split(' ');
    const ask = () => berth.send(method, path, { ...(json === undefined ? {} : { json }), token, headers });
    const response = await ask();
    const body = await response.text();
    expect({ status: response.status, body, ok: response.ok }).toMatchObject({ ok: true });
    await caughtUp(berth.replica.ctx);
    const [record, ...others] = (await records()).filter(({ id }) => !before.some((known) => known.id === id));
    expect(others).toEqual([]);
    const objects = record?.objects.map(({ change, kind, id }) => `${change} ${kind}/${id}`).join(', ');
    expect(objects).toContain(told);
    expect(record).toMatchObject({
      operation,
      outcome: 'done',
      count: 1,
      requestId: response.headers.get('berth-request-id'),
    });
    expect(JSON.stringify(await records())).not.toContain(SECRET);
    // Each time something begins anew, or nothing may be remembered of what was sent.
    if (['POST /v1/agent/register', 'PUT /v1/secrets/{name}'].includes(operation)) return;
    await ask();
    // Where there is no key, a repetition may be refused, and changes nothing either.
    expect((await records()).filter(({ outcome }) => outcome === 'done')).toHaveLength(before.length + 1);
  });

  it('leaves none where everything is as it was asked for', async () => {
    await done('PUT', '/v1/jobs/web', WEB);
    const before = await records();
    await done('PUT', '/v1/jobs/web', WEB);
    await done('PUT', '/v1/settings', {});
    expect(await records()).toEqual(before);
  });

  it('leaves none for what frameworks say all day long', async () => {
    const { path } = await offered('decline', {});
    const before = await records();
    await done('POST', path, { session: 1, offers: ['0-0-0'], refuseSeconds: 5 });
    for (const what of ['suppress', 'revive']) await done('POST', path.replace(/decline$/, what), { session: 1 });
    expect(await records()).toEqual(before);
  });
});
