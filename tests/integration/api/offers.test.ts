import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createClient } from '../../../shared/client/client.ts';
import { freeResources } from '../../../shared/domain/ledger.ts';
import type { FrameworkView, Reconciled } from '../../../shared/protocol/framework.ts';
import type { AcceptedView, AcceptInput, HeldOfferView } from '../../../shared/protocol/offers.ts';
import type { Page, Problem } from '../../../shared/protocol/views.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent } from '../../support/api-agent.ts';
import { anOffer } from '../../support/builders.ts';
import { Hand } from '../../support/frameworks.ts';
import { caughtUp } from '../../support/replica.ts';

let berth: TestApi;
let hand: Hand;
let id: string;

beforeEach(async () => {
  berth = await startApi();
  hand = new Hand(berth.replica.ctx);
  await ApiAgent.register(berth);
  id = await subscribed('painter');
});
afterEach(() => berth.stop());

async function subscribed(name: string): Promise<string> {
  const response = await berth.send('POST', '/v1/frameworks', { json: { name, roles: ['default'] } });
  await caughtUp(berth.replica.ctx);
  return ((await response.json()) as FrameworkView).id;
}

function offered(offer: string, framework = id) {
  const { resources } = anOffer({ resources: { cpus: 1, memMiB: 1024 } });
  return hand.offer(framework, { id: offer, resources });
}

function answer(call: string, json: unknown, framework = id): Promise<Response> {
  return berth.send('POST', `/v1/frameworks/${framework}/${call}`, { json });
}

async function problem(call: string, json: unknown, framework = id): Promise<Problem> {
  const response = await answer(call, json, framework);
  expect(response.headers.get('content-type')).toBe('application/problem+json');
  return (await response.json()) as Problem;
}

function described(task: string, cpus = 0.5) {
  return { task, image: 'x', resources: { cpus, memMiB: 64 } };
}

function accepting(change: object): object {
  const operations = [{ type: 'launch', tasks: [described('web')] }];
  return { session: 1, offers: ['0-0-0'], operations, ...change };
}

function launching(...tasks: unknown[]): object {
  return accepting({ operations: [{ type: 'launch', tasks }] });
}

/** Everything that the node has is free, offered or held by tasks that were launched. */
async function expectWhole(): Promise<void> {
  await caughtUp(berth.replica.ctx);
  const [ledger] = berth.replica.ctx.mirror.snapshot.ledgers.values();
  if (ledger === undefined) throw new Error('there is no ledger');
  expect(Object.keys(ledger.offers)).toEqual(['0-0-0']);
  expect(ledger.entries).toEqual({});
  expect(ledger.total.cpus - freeResources(ledger).cpus).toBe(1);
}

const TOO_MANY = Array.from({ length: 10_000 }, (_, n) => described(`t${n}`, 0.001));

const WRONG: [string, object, string, string | RegExp][] = [
  ['10,000 tasks', launching(...TOO_MANY), '/operations/0/tasks', /has 10000 items; send fewer at a time/],
  [
    '101 tasks',
    launching(...TOO_MANY.slice(0, 101)),
    '/operations/0/tasks',
    /at most 100 items: launch the others in further/,
  ],
  [
    '101 tasks in two parts',
    accepting({
      operations: [
        { type: 'launch', tasks: TOO_MANY.slice(0, 60) },
        { type: 'launch-group', tasks: TOO_MANY.slice(60, 101) },
      ],
    }),
    '/operations/1/tasks',
    /one call, which may launch 100/,
  ],
  ['a name twice', launching(described('a'), described('a')), '/operations/0/tasks/1/task', '"a" is used twice'],
  ['an offer twice', accepting({ offers: ['0-0-0', '0-0-0'] }), '/offers/1', '"0-0-0" is named twice'],
  ['no offer', accepting({ offers: [] }), '/offers', 'must have at least 1 item'],
  ['what is no offer', accepting({ offers: ['x'] }), '/offers/0', 'must be the id of an offer'],
  ['no session', { offers: ['0-0-0'] }, '/session', 'is required'],
  ['a launch of nothing', launching(), '/operations/0/tasks', 'must have at least 1 item'],
  [
    'an unknown operation',
    accepting({ operations: [{ type: 'lunch' }] }),
    '/operations/0/type',
    /must be one of "launch", /,
  ],
  ['no resources', launching({ task: 'a', image: 'x' }), '/operations/0/tasks/0/resources', 'is required'],
  [
    'no cpus',
    launching({ ...described('a'), resources: { memMiB: 64 } }),
    '/operations/0/tasks/0/resources/cpus',
    'is required',
  ],
  ['a count', launching({ ...described('a'), count: 2 }), '/operations/0/tasks/0/count', /unknown field "count"/],
  [
    'retries',
    launching({ ...described('a'), retries: { max: 1 } }),
    '/operations/0/tasks/0/retries',
    /unknown field "retries"/,
  ],
  [
    'a host port twice',
    launching({
      ...described('a'),
      ports: [
        { name: 'a', hostPort: 5 },
        { name: 'b', hostPort: 5 },
      ],
    }),
    '/operations/0/tasks/0/ports/1/hostPort',
    '5 is asked for twice',
  ],
  ['a negative time', accepting({ refuseSeconds: -1 }), '/refuseSeconds', 'must be at least 0'],
  [
    'half a GPU of a reservation',
    accepting({ operations: [{ type: 'reserve', reservation: { scalars: { gpus: 0.5 } } }] }),
    '/operations/0/reservation/scalars/gpus',
    'must be a whole number, not 0.5',
  ],
  [
    'labels that are a book',
    accepting({
      operations: [{ type: 'reserve', reservation: { scalars: { cpus: 1 }, labels: { a: 'x'.repeat(2000) } } }],
    }),
    '/operations/0/reservation/labels',
    /at most 1024 bytes/,
  ],
  [
    'annotations that are a book',
    launching({ ...described('a'), annotations: { a: 'x'.repeat(8192 - '{"a":""}'.length + 1) } }),
    '/operations/0/tasks/0/annotations',
    /at most 8192 characters/,
  ],
];

describe('answers over HTTP', () => {
  it.each(WRONG)('refuse %s, and the offer stands', async (_what, json, path, message) => {
    await offered('0-0-0');
    const { status, code, faults = [] } = await problem('accept', json);
    expect([status, code]).toEqual([400, 'invalid-request']);
    expect(faults[0]?.path).toBe(path);
    expect(faults[0]?.message).toMatch(message);
    await expectWhole();
  });

  it('say what to do about tasks that are more than a body may hold', async () => {
    await offered('0-0-0');
    const long = Array.from({ length: 60 }, (_, n) => ({ ...described(`t${n}`, 0.001), args: ['x'.repeat(20_000)] }));
    expect(await problem('accept', launching(...long))).toMatchObject({
      status: 413,
      code: 'payload-too-large',
      faults: [{ path: '/operations', message: expect.stringContaining('may launch 100 tasks in one call') }],
    });
    await expectWhole();
  });

  it.each([
    ['an offer that never was', accepting({ offers: ['9-9-9'] }), 404, 'not-found'],
    ['one that is gone', accepting({ offers: ['0-0-9'] }), 409, 'offer-gone'],
    ['another session', accepting({ session: 2 }), 409, 'session-moved'],
  ])('refuse %s', async (_what, json, status, code) => {
    await offered('0-0-0');
    expect(await problem('accept', json)).toMatchObject({ status, code });
    await expectWhole();
  });

  it("refuse another framework's offer as if it weren't there", async () => {
    await offered('0-0-0');
    const other = await subscribed('other');
    for (const call of ['accept', 'decline']) {
      const json = call === 'accept' ? accepting({}) : { session: 1, offers: ['0-0-0'] };
      expect(await problem(call, json, other)).toMatchObject({ status: 404, code: 'not-found' });
    }
    await expectWhole();
  });

  it('end what can not be launched as an error, be it too large or a part of a GPU', async () => {
    await offered('0-0-0');
    const half = { ...described('half'), resources: { cpus: 0.1, memMiB: 64, gpus: 0.5 } };
    const response = await answer('accept', launching(described('large', 2), half));
    expect(response.status).toBe(200);
    const { tasks, leftOver } = (await response.json()) as AcceptedView;
    expect(tasks.map(({ task, state }) => [task, state])).toEqual([
      ['large', 'error'],
      ['half', 'error'],
    ]);
    expect(leftOver?.refused.cpus).toBe(1);
  });
});

describe('annotations of a task', () => {
  it('are kept as they are, be they as large as may be, and shown with all that is said of it', async () => {
    await offered('0-0-0');
    const annotations = { 'a key of its own': '{"is": "JSON"}', rest: '' };
    annotations.rest = 'x'.repeat(8192 - JSON.stringify(annotations).length);
    expect((await answer('accept', launching({ ...described('web'), annotations }))).status).toBe(200);
    await caughtUp(berth.replica.ctx);
    const response = await answer('reconcile', { session: 1 });
    const { updates } = (await response.json()) as Reconciled;
    expect(updates.map((update) => [update.task, update.annotations])).toEqual([['web', annotations]]);
  });
});

describe('the client', () => {
  it('answers offers, and lists those that stand', async () => {
    const { token, clock, random } = { token: berth.admin, ...berth.replica.ctx };
    const fetch: typeof globalThis.fetch = async (input, init) => berth.api.request(String(input), init);
    const client = createClient({ address: 'http://berth.test', token, clock, random, fetch });
    for (const offer of ['0-0-0', '0-0-1', '0-0-2']) await offered(offer);
    expect((await client.offers.list({ framework: id })).items.map((offer) => offer.id)).toEqual([
      '0-0-0',
      '0-0-1',
      '0-0-2',
    ]);
    const request: AcceptInput = {
      session: 1,
      offers: ['0-0-0'],
      operations: [{ type: 'launch', tasks: [described('web')] }],
    };
    expect(await client.offers.accept(id, request)).toMatchObject({ tasks: [{ task: 'web', state: 'staging' }] });
    expect(await client.offers.decline(id, { session: 1, offers: ['0-0-1'] })).toMatchObject({ declined: ['0-0-1'] });
    expect(await client.offers.suppress(id, { session: 1 })).toMatchObject({ suppressed: ['default'] });
    expect(await client.offers.revive(id, { session: 1, roles: ['default'] })).toMatchObject({ suppressed: [] });
    await caughtUp(berth.replica.ctx);
    const listed = (await (await berth.send('GET', '/v1/offers')).json()) as Page<HeldOfferView>;
    expect(listed.items.map((offer) => offer.id)).toEqual(['0-0-2']);
  });
});
