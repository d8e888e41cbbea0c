/** Services over REST: what is wanted, by whom, and what is refused. The pass that carries it out isn't needed for that. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { registerNode } from '../../../control-plane/services/agents.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import type { Deployment } from '../../../shared/domain/deployment.ts';
import type { Job } from '../../../shared/domain/job.ts';
import type { Task } from '../../../shared/domain/task.ts';
import type { DeploymentView } from '../../../shared/protocol/deployments.ts';
import type { JobView, Page, PlanView, Problem } from '../../../shared/protocol/views.ts';
import { present } from '../../../shared/util/assert.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { aTask } from '../../support/builders.ts';
import { caughtUp, JOINER, nodeOf } from '../../support/replica.ts';

let berth: TestApi;

beforeEach(async () => {
  berth = await startApi();
});
afterEach(() => berth.stop());

const WEB = { name: 'web', kind: 'service', groups: [{ image: 'busybox:1.36', count: 5 }] };
const canary = (image: string) => ({ ...WEB, update: { strategy: 'canary' }, groups: [{ image, count: 5 }] });

async function call<T>(method: string, path: string, json?: unknown, status = 200): Promise<T> {
  const response = await berth.send(method, path, json === undefined ? {} : { json });
  const body = (await response.json()) as T;
  expect({ status: response.status, body }).toMatchObject({ status });
  await caughtUp(berth.replica.ctx);
  return body;
}

const submit = (spec: object = WEB) => call<JobView>('POST', '/v1/jobs', spec, 201);
const put = (spec: object, query = '') => call<JobView>('PUT', `/v1/jobs/web${query}`, spec);
const change = (what: string, body: object = {}) => call<JobView>('POST', `/v1/jobs/web/${what}`, body);
const refused = (path: string, body: object = {}, status = 409, method = 'POST') =>
  call<Problem>(method, `/v1/jobs/web${path}`, body, status);
const deployments = async () => (await call<{ items: DeploymentView[] }>('GET', '/v1/jobs/web/deployments')).items;

function jobRecord(name = 'web'): Job {
  return present(berth.replica.ctx.mirror.snapshot.jobByKey({ role: 'default', name }), name);
}

/** What the pass would write. */
async function record(change: { job?: Partial<Job>; deployment?: Partial<Deployment>; tasks?: readonly Task[] }) {
  const { ctx } = berth.replica;
  const job = jobRecord();
  const deployment = ctx.mirror.snapshot.deployments.get(`${job.uid}-d${job.deployments}`);
  const writes = [
    ...(change.job === undefined ? [] : [putRecord('jobs', keys.job(job.spec), { ...job, ...change.job })]),
    ...(change.deployment === undefined || deployment === undefined
      ? []
      : [putRecord('deployments', keys.deployment(deployment.id), { ...deployment, ...change.deployment })]),
    ...(change.tasks ?? []).map((task) => putRecord('tasks', keys.task(task.id), task)),
  ];
  await ctx.store.transact({ compares: [], writes });
  await caughtUp(ctx);
}

/** The deployment that is under way has come to its end, with success. */
async function rolledOut() {
  const { version } = jobRecord();
  await record({ job: { goodVersion: version }, deployment: { state: 'succeeded', endedAtMs: 1, message: 'done' } });
}

async function submitted(spec: object = WEB) {
  await submit(spec);
  await rolledOut();
}

describe('a service', () => {
  it('is submitted as a version with a deployment, in one answer', async () => {
    const job = await submit();
    expect(job).toMatchObject({
      version: 1,
      state: 'pending',
      message: expect.stringContaining('0 of 5 healthy; deployment'),
      healthy: { wanted: 5, healthy: 0, outdated: 0 },
      groups: [{ name: 'main', wanted: 5, live: 0 }],
      deployment: { id: `${job.uid}-d1`, state: 'waiting', toVersion: 1 },
      goodVersion: null,
      suspended: null,
    });
    expect(await deployments()).toMatchObject([{ id: `${job.uid}-d1`, cause: 'created', fromVersion: null }]);
    await rolledOut();
    expect(await call('GET', '/v1/jobs/web')).toMatchObject({ deployment: null, goodVersion: 1 });
  });

  it('is changed by one deployment at a time, unless it is forced', async () => {
    const { uid } = await submit();
    const problem = await refused('', { ...WEB, priority: 60 }, 409, 'PUT');
    expect(problem).toMatchObject({ code: 'conflict', detail: expect.stringMatching(`${uid}-d1.*force=true`) });
    expect(await put({ ...WEB, priority: 60 }, '?force=true')).toMatchObject({ version: 2 });
    expect(await deployments()).toMatchObject([
      { id: `${uid}-d2`, state: 'waiting', fromVersion: 1, toVersion: 2 },
      { id: `${uid}-d1`, state: 'cancelled' },
    ]);
  });

  it('lists its deployments as all are listed, the newest first, page by page', async () => {
    const { uid } = await submit();
    for (let priority = 51; priority <= 60; priority += 1) await put({ ...WEB, priority }, '?force=true');
    const numbers = Array.from({ length: 11 }, (_, at) => `${uid}-d${11 - at}`);
    for (const path of ['/v1/jobs/web/deployments', '/v1/deployments']) {
      const seen: string[] = [];
      let after = '';
      do {
        const page = await call<Page<DeploymentView>>('GET', `${path}?limit=3${after}`);
        seen.push(...page.items.map(({ id }) => id));
        after = page.next === null ? '' : `&after=${encodeURIComponent(page.next)}`;
      } while (after !== '' && seen.length < 20);
      expect(seen).toEqual(numbers);
    }
  });

  it('of which nothing changes gets no deployment, and no conflict', async () => {
    await submit();
    expect(await put(WEB)).toMatchObject({ version: 1 });
    expect(await change('scale', { count: 5 })).toMatchObject({ version: 1 });
    expect(await deployments()).toHaveLength(1);
  });

  it('keeps its kind', async () => {
    await submitted();
    const problem = await refused('', { ...WEB, kind: 'batch' }, 400, 'PUT');
    expect(problem.faults).toMatchObject([{ path: '/kind', message: expect.stringContaining('must be "service"') }]);
  });

  it('is changed by one of two at once, and the other is told', async () => {
    await submitted();
    const scale = (count: number) => berth.send('POST', '/v1/jobs/web/scale', { json: { count } });
    const answers = await Promise.all([scale(7), scale(9)]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
    await caughtUp(berth.replica.ctx);
    expect(await deployments()).toHaveLength(2);
    const stale = await berth.send('POST', '/v1/jobs/web/scale?force=true', {
      json: { count: 3 },
      headers: { 'If-Match': '"1"' },
    });
    expect(stale.status).toBe(412);
  });

  it('is scaled once for one idempotency key', async () => {
    await submitted();
    const scale = () =>
      berth.send('POST', '/v1/jobs/web/scale', { json: { by: 2 }, headers: { 'Idempotency-Key': 'more' } });
    expect([(await scale()).status, (await scale()).headers.get('idempotency-replayed')]).toEqual([200, 'true']);
    await caughtUp(berth.replica.ctx);
    expect(jobRecord().spec.groups[0]?.count).toBe(7);
  });
});

describe('scaling', () => {
  it('makes a version that keeps the templates', async () => {
    await submitted();
    expect(await change('scale', { by: -2 })).toMatchObject({ version: 2, spec: { groups: [{ count: 3 }] } });
    expect(jobRecord().templates).toEqual({ main: 1 });
    expect(await deployments()).toMatchObject([{ cause: 'scaled' }, { cause: 'created' }]);
    expect(await call('GET', '/v1/jobs/web/versions')).toMatchObject({
      items: [{ change: 'created' }, { version: 2, change: 'scaled' }],
    });
  });

  it.each([
    [{ count: 1_000_000 }, '/count', /10000/],
    [{ by: 9_999 }, '/by', /asks for 10004 tasks; a group may have 10000/],
    [{ by: -6 }, '/by', /at least -5: group "main" has 5/],
    [{}, '/count', /is required, or `by`/],
    [{ count: 1, by: 1 }, '/by', /say one of the two/],
    [{ count: 1.5 }, '/count', /a whole number/],
    [{ group: 'side', count: 1 }, '/group', /no group "side"; it has "main"/],
  ])('by %j is refused', async (body, path, message) => {
    await submitted();
    const { faults } = await refused('/scale', body, 400);
    expect(faults).toMatchObject([{ path, message: expect.stringMatching(message) }]);
  });

  it('names the group where there are several, and is not for batch and system jobs', async () => {
    const groups = [
      { name: 'a', image: 'x' },
      { name: 'b', image: 'x' },
    ];
    await submitted({ ...WEB, groups });
    expect((await refused('/scale', { count: 2 }, 400)).faults).toMatchObject([
      { path: '/group', message: 'is required: the job has "a", "b"' },
    ]);
    await submit({ name: 'once', groups: [{ image: 'x' }] });
    await submit({ name: 'each', kind: 'system', groups: [{ image: 'x' }] });
    const detail = async (name: string) =>
      (await call<Problem>('POST', `/v1/jobs/${name}/scale`, { count: 2 }, 409)).detail;
    expect(await detail('once')).toMatch(/is a batch job; only services/);
    expect(await detail('each')).toMatch(/is a system job: each node/);
  });
});

describe('restart, suspend and resume', () => {
  it('makes all tasks anew by a version of the same', async () => {
    await submitted();
    expect(await change('restart')).toMatchObject({ version: 2, deployment: { state: 'waiting' } });
    expect(jobRecord().templates).toEqual({ main: 2 });
    expect(await call('GET', '/v1/jobs/web/versions/2/changes')).toEqual({ version: 2, since: 1, changes: [] });
  });

  it('stops all for a while, once, and rolls out again', async () => {
    await submit();
    expect((await refused('/suspend')).code).toBe('conflict');
    await rolledOut();
    const suspended = await change('suspend', { reason: 'night' });
    expect(suspended).toMatchObject({
      state: 'suspended',
      message: 'suspended by admin: night',
      suspended: { by: 'admin', reason: 'night' },
      healthy: { wanted: 0 },
    });
    expect(await change('suspend', { reason: 'again' })).toMatchObject({ suspended: { reason: 'night' } });
    expect(await call('GET', '/v1/jobs?state=suspended')).toMatchObject({ items: [{ name: 'web' }] });
    expect(await change('resume')).toMatchObject({ suspended: null, version: 1, deployment: { toVersion: 1 } });
    expect(await change('resume')).toMatchObject({ suspended: null });
    expect(await deployments()).toMatchObject([{ cause: 'resumed', fromVersion: null }, { cause: 'created' }]);
  });

  it('cancels the deployment under way when it is forced, stopped or deleted', async () => {
    await submit();
    await change('suspend?force=true');
    expect(await deployments()).toMatchObject([{ state: 'cancelled', message: expect.stringContaining('suspended') }]);
    await change('resume');
    await change('stop');
    expect((await deployments()).map(({ state }) => state)).toEqual(['cancelled', 'cancelled']);
    expect((await refused('/restart')).detail).toMatch(/was stopped.*apply it again/);
    await put({ ...WEB, priority: 60 });
    await call('DELETE', '/v1/jobs/web', undefined, 202);
    expect((await deployments())[0]).toMatchObject({
      state: 'cancelled',
      message: 'cancelled: the job was deleted',
    });
    expect((await refused('/restart')).detail).toMatch(/is being removed/);
  });
});

describe('reverting', () => {
  it('goes back to the last good version, with its templates, or to the one that is named', async () => {
    await submitted();
    await record({ tasks: [aTask(jobRecord(), { state: 'running' })] });
    await put({ ...WEB, groups: [{ image: 'busybox:2', count: 5 }] });
    expect(jobRecord().templates).toEqual({ main: 2 });
    expect(await change('revert?force=true')).toMatchObject({
      version: 3,
      spec: { groups: [{ image: 'busybox:1.36' }] },
    });
    expect(jobRecord().templates).toEqual({ main: 1 });
    expect(await change('revert?force=true', { version: 2 })).toMatchObject({ version: 4 });
    // No task of version 2 was made, so nothing is lost by a number of its own.
    expect(jobRecord().templates).toEqual({ main: 4 });
    expect(await call('GET', '/v1/jobs/web/versions/4/changes?since=1')).toMatchObject({
      changes: [{ path: '/groups/0/image', before: 'busybox:1.36', after: 'busybox:2' }],
    });
  });

  it('to what runs already changes nothing, though another version wanted it first', async () => {
    await submitted();
    await put({ ...WEB, groups: [{ image: 'busybox:2', count: 5 }] });
    await rolledOut();
    await change('revert', { version: 1 });
    await rolledOut();
    expect(jobRecord()).toMatchObject({ version: 3, templates: { main: 3 } });
    await record({ tasks: [aTask(jobRecord(), { state: 'running' })] });
    expect(await change('revert', { version: 1 })).toMatchObject({ version: 3, deployment: null });
    expect(await change('revert', { version: 3 })).toMatchObject({ version: 3, deployment: null });
    await change('restart');
    // Those that have not been made anew yet are what runs, so they are gone back to.
    expect(await change('revert?force=true', { version: 3 })).toMatchObject({ version: 5 });
    expect(jobRecord().templates).toEqual({ main: 3 });
  });

  it('to what was never promoted, nor rolled out with success, tries that out', async () => {
    await submitted(canary('busybox:1'));
    await record({ tasks: [aTask(jobRecord(), { state: 'running' })] });
    await put(canary('busybox:2'));
    await record({ deployment: { startedAtMs: 1 } });
    await change('revert?force=true');
    expect((await deployments())[0]).toMatchObject({ cause: 'reverted', fromVersion: 1, toVersion: 3 });
    await rolledOut();
    await change('revert');
    await record({ deployment: { startedAtMs: 1 } });
    const [trial] = await deployments();
    expect(trial).toMatchObject({ toVersion: 4, state: 'running', fromVersion: 3 });
    expect(await call('GET', `/v1/deployments/${trial?.id}`)).toMatchObject({ cause: 'updated' });
    await record({ deployment: { promotedAtMs: 1 } });
    await rolledOut();
    await change('revert', { version: 3 });
    await record({ deployment: { startedAtMs: 1 } });
    expect((await deployments())[0]).toMatchObject({ cause: 'reverted', toVersion: 5, state: 'running' });
  });

  it('is refused where there is nothing to go back to, and says what there is', async () => {
    await submitted();
    expect((await refused('/revert')).detail).toMatch(/no earlier version on record/);
    expect((await refused('/revert', { version: 7 }, 404)).detail).toMatch(/no version 7 on record.* from 1 to 1/);
    await change('restart');
    await rolledOut();
    expect((await refused('/revert')).detail).toMatch(/no earlier version on record/);
  });
});

describe('retrying', () => {
  it('ends the wait of all tasks that have gone wrong, however many', async () => {
    await submitted();
    const failed = Array.from({ length: 70 }, (_, index) =>
      aTask(jobRecord(), { index, failures: 3, notBeforeMs: 9e12 }),
    );
    const ended = aTask(jobRecord(), { index: 99, state: 'failed', failures: 2, notBeforeMs: 1 });
    for (let at = 0; at < failed.length; at += 50) await record({ tasks: failed.slice(at, at + 50) });
    await record({ tasks: [ended] });
    await change('retry');
    const tasks = [...berth.replica.ctx.mirror.snapshot.tasks.values()].filter(({ state }) => state === 'pending');
    expect(tasks).toHaveLength(70);
    expect(tasks.filter((task) => task.notBeforeMs !== 0 || task.failures !== 0)).toEqual([]);
    expect(berth.replica.ctx.mirror.snapshot.tasks.get(ended.id)?.failures).toBe(2);
  });
});

describe('a deployment', () => {
  const steer = (id: string, what: string, body: object = {}) =>
    call<DeploymentView>('POST', `/v1/deployments/${id}/${what}`, body);
  const no = (id: string, what: string, body: object = {}) =>
    call<Problem>('POST', `/v1/deployments/${id}/${what}`, body, 409);

  /** Version 2 is tried out, and has as many new tasks that work. */
  async function triedOut(healthy: number): Promise<string> {
    await submitted(canary('busybox:1'));
    await put(canary('busybox:2'));
    const job = jobRecord();
    const old = Array.from({ length: 5 }, (_, index) => aTask({ ...job, version: 1 }, { index, state: 'running' }));
    const fresh = Array.from({ length: healthy }, (_, index) => aTask(job, { index, state: 'running' }));
    await record({ deployment: { startedAtMs: 1, message: 'tries it out' }, tasks: [...old, ...fresh] });
    return `${job.uid}-d2`;
  }

  it('shows how far it is, and waits to be promoted', async () => {
    const id = await triedOut(1);
    expect(await call('GET', `/v1/deployments/${id}`)).toMatchObject({
      state: 'awaiting-promotion',
      strategy: 'canary',
      deadline: null,
      groups: [{ group: 'main', wanted: 5, new: 1, healthy: 1, old: 5 }],
    });
    expect(await call('GET', '/v1/deployments?state=awaiting-promotion')).toMatchObject({ items: [{ id }] });
    expect(await call('GET', '/v1/deployments?state=running&job=web')).toMatchObject({ items: [] });
    expect(await call('GET', '/v1/jobs/web')).toMatchObject({
      state: 'running',
      message: `6 of 5 healthy, 5 outdated; deployment ${id} to version 2: tries it out`,
    });
    expect(await call('GET', '/v1/tasks?job=web&state=running')).toMatchObject({
      items: expect.arrayContaining([expect.objectContaining({ outdated: true, health: null })]),
    });
    expect(await steer(id, 'promote')).toMatchObject({ state: 'running', promotedBy: 'admin' });
    expect(await steer(id, 'promote')).toMatchObject({ promotedBy: 'admin' });
    expect(await call('GET', `/v1/deployments/${id}`)).toMatchObject({ deadline: expect.stringMatching(/Z$/) });
  });

  it('is promoted before all of it is healthy only by force', async () => {
    const id = await triedOut(0);
    const early = await call<DeploymentView>('GET', `/v1/deployments/${id}`);
    expect(early).toMatchObject({ state: 'running', deadline: expect.stringMatching(/Z$/) });
    expect((await no(id, 'promote')).detail).toMatch(/0 of 1 in group main.*force=true/);
    expect(await steer(id, 'promote?force=true')).toMatchObject({ promotedBy: 'admin' });
  });

  it('that has nothing to try out has nothing to promote', async () => {
    const { uid } = await submit();
    expect((await no(`${uid}-d1`, 'promote')).detail).toMatch(/nothing to promote/);
  });

  it('is paused and goes on', async () => {
    const id = await triedOut(1);
    expect(await steer(id, 'pause')).toMatchObject({ state: 'paused', pausedBy: 'admin' });
    expect(await steer(id, 'pause')).toMatchObject({ state: 'paused' });
    expect(await steer(id, 'resume')).toMatchObject({ state: 'awaiting-promotion', pausedBy: null });
  });

  it('is aborted, and taken back by another', async () => {
    const id = await triedOut(1);
    const next = `${jobRecord().uid}-d3`;
    expect(await steer(id, 'abort')).toMatchObject({
      state: 'cancelled',
      revertedBy: next,
      message: 'aborted by admin; version 3 takes it back to what version 1 wanted',
    });
    expect(await call('GET', `/v1/deployments/${next}`)).toMatchObject({
      cause: 'reverted',
      revertOf: id,
      toVersion: 3,
    });
    expect(jobRecord()).toMatchObject({ version: 3, templates: { main: 1 } });
    expect((await no(id, 'pause')).detail).toMatch(/is over: it was cancelled/);
  });

  it('is aborted and left as it is', async () => {
    const id = await triedOut(1);
    expect(await steer(id, 'abort', { revert: false })).toMatchObject({ state: 'cancelled', revertedBy: null });
    expect(jobRecord().version).toBe(2);
    await change('restart');
  });

  it.each<[string, () => Promise<unknown>]>([
    ['a restart by force', () => change('restart?force=true')],
    ['another count by force', () => change('scale?force=true', { count: 7 })],
    ['a suspension by force', () => change('suspend?force=true').then(() => change('resume'))],
    ['its abortion', () => steer(`${jobRecord().uid}-d2`, 'abort', { revert: false }).then(() => change('restart'))],
  ])('that tries something out is not promoted by %s', async (_what, act) => {
    const id = await triedOut(1);
    await act();
    const last = (await deployments())[0];
    expect(last).toMatchObject({ id: `${jobRecord().uid}-d3`, fromVersion: 1 });
    await record({ deployment: { startedAtMs: 1 } });
    expect(await steer(last?.id ?? '', 'promote?force=true')).toMatchObject({ promotedBy: 'admin' });
    expect((await no(id, 'promote')).detail).toMatch(/is over/);
  });

  it('that tried something out and was aborted says what becomes of that', async () => {
    const id = await triedOut(1);
    expect((await steer(id, 'abort', { revert: false })).message).toBe(
      'aborted by admin; version 2 was not promoted: its tasks stay beside the old ones, and the next change, or a restart, is tried out in its place',
    );
  });

  it('that began with nothing has nothing to go back to', async () => {
    const { uid } = await submit();
    expect((await no(`${uid}-d1`, 'abort')).detail).toMatch(/nothing to go back to.*revert=false/);
  });

  it('is not there for whoever may not see its job', async () => {
    const { uid } = await submit({ ...WEB, role: 'eng' });
    const token = await berth.token({ subject: 'ops', roles: ['ops'], actions: ['job:*'] });
    const see = async (method: string, path: string) => (await berth.send(method, path, { token })).status;
    expect(await see('GET', `/v1/deployments/${uid}-d1`)).toBe(404);
    expect(await see('POST', `/v1/deployments/${uid}-d1/abort`)).toBe(404);
    expect(await see('GET', '/v1/jobs/web/deployments?role=eng')).toBe(404);
    expect(await see('POST', '/v1/jobs/web/restart?role=eng')).toBe(404);
    expect(await see('GET', '/v1/jobs/web/versions/1/changes?role=eng')).toBe(404);
    expect(await (await berth.send('GET', '/v1/deployments', { token })).json()).toEqual({ items: [], next: null });
    const reader = await berth.token({ subject: 'eve', roles: ['eng'], actions: ['job:read'] });
    const asReader = async (path: string) => (await berth.send('POST', path, { token: reader })).status;
    expect(await asReader(`/v1/deployments/${uid}-d1/pause`)).toBe(403);
    expect(await asReader('/v1/jobs/web/suspend?role=eng')).toBe(403);
    expect((await berth.send('GET', `/v1/deployments/${uid}-d1`, { token: reader })).status).toBe(200);
  });

  it('has an id of its own shape', async () => {
    expect(await call('GET', '/v1/deployments/nonsense', undefined, 400)).toMatchObject({
      faults: [{ path: 'path:id', message: 'must be the id of a deployment' }],
    });
    expect(await call('GET', '/v1/deployments/abc-d1', undefined, 404)).toMatchObject({ code: 'not-found' });
  });
});

describe('dependencies', () => {
  it('may not go round in a circle, nor into roles that the caller may not read', async () => {
    await submit({ ...WEB, name: 'db', dependsOn: ['api'] });
    await submit({ ...WEB, name: 'api', dependsOn: ['web'] });
    const circle = await call<Problem>('POST', '/v1/jobs', { ...WEB, dependsOn: ['db'] }, 400);
    expect(circle.faults).toMatchObject([
      { path: '/dependsOn/0', message: expect.stringContaining('web → db → api → web') },
    ]);
    const own = await call<Problem>('POST', '/v1/plan', { ...WEB, dependsOn: ['web'] }, 400);
    expect(own.faults).toMatchObject([{ path: '/dependsOn/0', message: expect.stringContaining('the job itself') }]);
    const token = await berth.token({ subject: 'ops', roles: ['ops'], actions: ['job:*'] });
    const json = { ...WEB, role: 'ops', dependsOn: ['eng:db'] };
    expect((await berth.send('POST', '/v1/jobs', { token, json })).status).toBe(403);
    await submit(json);
    const scale = await berth.send('POST', '/v1/jobs/web/scale?role=ops&force=true', { token, json: { count: 6 } });
    expect(scale.status).toBe(200);
    const plan = await berth.send('POST', '/v1/plan', { token, json });
    expect(await plan.json()).toMatchObject({ warnings: [expect.stringMatching(/^Deployment .* is under way/)] });
    const why = await berth.send('GET', '/v1/jobs/web/explain?role=ops', { token });
    expect(await why.text()).not.toContain('exist');
  });

  it('close no circle even if both halves are written at once', async () => {
    const half = (name: string, other: string) =>
      berth.send('POST', '/v1/jobs', { json: { ...WEB, name, dependsOn: [other] } });
    const answers = await Promise.all([half('a', 'b'), half('b', 'a')]);
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 400]);
  });
});

describe('planning a service', () => {
  const plan = (spec: object) => call<PlanView>('POST', '/v1/plan', spec);

  it('that is new: all of it is made', async () => {
    expect(await plan(WEB)).toMatchObject({
      groups: [{ group: 'main', made: 5, replaced: 0, stopped: 0, kept: 0, why: 'the group is new' }],
      unplaced: [{ group: 'main', count: 5 }],
      warnings: [],
      changes: null,
    });
  });

  it('that stands: what is exchanged, what is only counted, and the steps with its numbers', async () => {
    await submitted();
    const job = jobRecord();
    await record({ tasks: Array.from({ length: 5 }, (_, index) => aTask(job, { index, state: 'running' })) });
    expect(await plan(WEB)).toMatchObject({
      groups: [{ made: 0, replaced: 0, stopped: 0, kept: 5 }],
      unplaced: [],
      steps: ['Nothing changes, so there is no deployment.'],
    });
    expect(await plan({ ...WEB, groups: [{ image: 'busybox:1.36', count: 7 }] })).toMatchObject({
      groups: [{ made: 2, replaced: 0, stopped: 0, kept: 5, why: 'its count changes from 5 to 7' }],
      unplaced: [{ group: 'main', count: 2 }],
    });
    expect(await plan({ ...WEB, groups: [{ image: 'busybox:1.36', count: 2 }] })).toMatchObject({
      groups: [{ made: 0, replaced: 0, stopped: 3, kept: 2 }],
      unplaced: [],
    });
    const rolled = await plan({ ...WEB, update: { minHealthy: 0.5 }, groups: [{ image: 'busybox:2', count: 5 }] });
    expect(rolled).toMatchObject({
      groups: [{ made: 5, replaced: 5, stopped: 0, kept: 0, why: 'its template changes: image' }],
      unplaced: [{ group: 'main', count: 5 }],
    });
    expect(rolled.steps[0]).toBe('Group main: at least 3 of 5 stay healthy, and at most 6 are live.');
    const tried = await plan({ ...canary('busybox:2'), groups: [{ name: 'other', image: 'busybox:2' }] });
    expect(tried.groups).toMatchObject([
      { group: 'other', made: 1, why: 'the group is new' },
      { group: 'main', stopped: 5, why: 'the job has the group no more' },
    ]);
    expect((await plan(canary('busybox:2'))).steps.slice(0, 2)).toEqual([
      'New tasks are tried out beside the old ones: 1 of main.',
      'They are promoted by `berth deployment promote`.',
    ]);
  });

  it('of one task on each node names the nodes', async () => {
    const { ctx } = berth.replica;
    for (const id of ['edge-1', 'edge-2', 'edge-3']) {
      const node = { ...nodeOf(id), attributes: { ...nodeOf(id).attributes, zone: id === 'edge-3' ? 'b' : 'a' } };
      await registerNode(ctx, JOINER, { node, seen: null, tasks: [] });
    }
    await caughtUp(ctx);
    const system = {
      name: 'web',
      kind: 'system',
      constraints: [{ attribute: 'zone', operator: '=', value: 'a' }],
      groups: [{ image: 'busybox:1' }],
    };
    const fresh = await plan(system);
    expect(fresh.groups).toMatchObject([{ made: 2, replaced: 0, kept: 0 }]);
    expect(fresh.placements.map(({ node }) => node)).toEqual(['edge-1', 'edge-2']);
    await submitted(system);
    await record({ tasks: [aTask(jobRecord(), { state: 'running', node: 'edge-2' })] });
    expect(await call('GET', '/v1/jobs/web')).toMatchObject({ healthy: { wanted: 2, healthy: 1 } });
    const same = await plan(system);
    expect(same.groups).toMatchObject([{ made: 1, replaced: 0, stopped: 0, kept: 1 }]);
    expect(same).toMatchObject({ placements: [{ node: 'edge-1' }], unplaced: [], leftOut: null });
    const moved = await plan({ ...system, groups: [{ image: 'busybox:2' }] });
    expect(moved.groups).toMatchObject([{ made: 2, replaced: 1, stopped: 0, kept: 0 }]);
  });

  it('warns of what stands in its way', async () => {
    const { uid } = await submit();
    const { warnings } = await plan({ ...WEB, priority: 60, dependsOn: ['db'] });
    expect(warnings).toEqual([
      expect.stringContaining('no job "db" in role "default"'),
      expect.stringContaining(`Deployment ${uid}-d1 to version 1 is under way`),
    ]);
  });
});

describe('what happens to a service', () => {
  it('is an event with an id to resume from', async () => {
    const after = berth.replica.ctx.mirror.revision;
    await submitted();
    await change('scale', { count: 6 });
    const job = jobRecord();
    const task = aTask(job, { state: 'running' });
    const health = { run: 0, healthy: true, ready: true, sinceMs: 5, checks: [] };
    const check = { name: 'http', passing: false, message: '503', atMs: 5 };
    await record({ deployment: { startedAtMs: 2, paused: { atMs: 3, by: 'eve' } }, tasks: [{ ...task, health }] });
    await record({ deployment: { startedAtMs: 2, paused: null, promotedAtMs: 4, promotedBy: 'eve' } });
    await record({ tasks: [{ ...task, health: { ...health, healthy: false, ready: false, checks: [check] } }] });
    await change('suspend?force=true', { reason: 'night' });
    await change('resume');
    const { items } = await call<{ items: { type: string; message: string; deployment: string | null }[] }>(
      'GET',
      `/v1/events?job=web&after=${after}&limit=100`,
    );
    expect(items.map(({ type }) => type)).toEqual([
      'job.created',
      'deployment.created',
      'deployment.succeeded',
      'job.updated',
      'deployment.created',
      'deployment.started',
      'deployment.paused',
      'task.pending',
      'task.running',
      'task.healthy',
      'task.ready',
      'deployment.promoted',
      'deployment.resumed',
      'task.unhealthy',
      'task.unready',
      'job.suspended',
      'deployment.cancelled',
      'job.resumed',
      'deployment.created',
    ]);
    const said = (wanted: string) => items.find(({ type }) => type === wanted)?.message;
    expect(said('job.updated')).toBe('version 2 is wanted now; its tasks that run go on as they are');
    expect(said('task.unhealthy')).toBe('http: 503');
    expect(items.find(({ type }) => type === 'deployment.paused')?.deployment).toBe(`${job.uid}-d2`);
  });
});
