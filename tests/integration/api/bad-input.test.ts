import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Problem } from '../../../shared/protocol/views.ts';
import { type SendOptions, startApi, type TestApi } from '../../support/api.ts';

let berth: TestApi;

beforeAll(async () => {
  berth = await startApi();
});
afterAll(() => berth.stop());

const JSON_TYPE = { 'content-type': 'application/json' };

async function problem(method: string, path: string, options: SendOptions = {}): Promise<Problem> {
  const response = await berth.send(method, path, options);
  expect(response.headers.get('content-type')).toBe('application/problem+json');
  expect(response.headers.get('berth-revision')).toMatch(/^\d+$/);
  const body = (await response.json()) as Problem;
  expect(body.status).toBe(response.status);
  expect(body.requestId).toBe(response.headers.get('berth-request-id'));
  return body;
}

function submit(json: unknown): Promise<Problem> {
  return problem('POST', '/v1/jobs', { json });
}

function submitText(body: BodyInit, headers: Record<string, string> = JSON_TYPE): Promise<Problem> {
  return problem('POST', '/v1/jobs', { body, headers });
}

const GROUP = { image: 'busybox' };

const WRONG_FIELDS: [string, unknown, string, string][] = [
  ['an unknown field', { name: 'a', groups: [{ imgae: 'busybox' }] }, '/groups/0/imgae', 'did you mean "image"?'],
  ['an unknown field far off', { name: 'a', groups: [GROUP], zzzzzz: 1 }, '/zzzzzz', 'known are name, role'],
  ['a missing field', { name: 'a', groups: [{}] }, '/groups/0/image', 'is required'],
  [
    'a wrong type',
    { name: 'a', groups: [{ ...GROUP, count: '3' }] },
    '/groups/0/count',
    'must be a number, not the text "3"',
  ],
  ['a negative number', { name: 'a', groups: [{ ...GROUP, count: -1 }] }, '/groups/0/count', 'must be at least 0'],
  [
    'a batch job of no tasks',
    { name: 'a', groups: [{ ...GROUP, count: 0 }] },
    '/groups/0/count',
    'must be at least 1 for a batch job',
  ],
  [
    'a fraction',
    { name: 'a', groups: [{ ...GROUP, count: 1.5 }] },
    '/groups/0/count',
    'must be a whole number, not 1.5',
  ],
  ['a huge number', { name: 'a', groups: [{ ...GROUP, count: 1e15 }] }, '/groups/0/count', 'must be at most 10000'],
  ['a kind of another version', { name: 'a', kind: 'periodic', groups: [GROUP] }, '/kind', 'not the text "periodic"'],
  [
    'what only services have',
    { name: 'a', update: {}, groups: [GROUP] },
    '/update',
    'is for services and system jobs; leave it out, or set the kind to "service"',
  ],
  [
    'a check of a port that is not there',
    { name: 'a', kind: 'service', groups: [{ ...GROUP, checks: [{ name: 'up', type: 'tcp', port: 'http' }] }] },
    '/groups/0/checks/0/port',
    'the group has no port "http"; it has no ports',
  ],
  [
    'a host port that is asked for twice',
    {
      name: 'a',
      kind: 'service',
      groups: [
        {
          ...GROUP,
          ports: [
            { name: 'a', hostPort: 80 },
            { name: 'b', hostPort: 80 },
          ],
        },
      ],
    },
    '/groups/0/ports/1/hostPort',
    '80 is asked for twice',
  ],
  [
    'a port of balancers that is asked for twice, by two groups',
    {
      name: 'a',
      kind: 'service',
      groups: ['one', 'two'].map((name) => ({
        ...GROUP,
        name,
        ports: [{ name: 'a', containerPort: 80, publish: { port: 8080 } }],
      })),
    },
    '/groups/1/ports/0/publish/port',
    'port 8080 is asked for twice; balancers give it to one port only',
  ],
  [
    'a virtual host that is asked for twice',
    {
      name: 'a',
      kind: 'service',
      groups: [
        {
          ...GROUP,
          ports: [
            { name: 'a', containerPort: 80, publish: { hosts: ['a.example'], path: '/api' } },
            { name: 'b', containerPort: 81, publish: { hosts: ['b.example', 'a.example'] } },
            { name: 'c', containerPort: 82, publish: { hosts: ['c.example', 'b.example'] } },
          ],
        },
      ],
    },
    '/groups/0/ports/2/publish/hosts/1',
    'b.example/ is asked for twice; balancers give it to one port only',
  ],
  [
    'a service of a million',
    { name: 'a', kind: 'service', groups: [{ ...GROUP, count: 1_000_000 }] },
    '/groups/0/count',
    'must be at most 10000',
  ],
  [
    'a deployment that has no time for what it asks for',
    { name: 'a', kind: 'service', update: { minHealthySeconds: 60, progressDeadlineSeconds: 60 }, groups: [GROUP] },
    '/update/progressDeadlineSeconds',
    'must be more than minHealthySeconds, which is 60',
  ],
  [
    'a system job that is to be tried out beside itself',
    { name: 'a', kind: 'system', update: { strategy: 'canary' }, groups: [GROUP] },
    '/update/strategy',
    'must be "rolling" or left out for a system job',
  ],
  [
    'a system job with a count',
    { name: 'a', kind: 'system', groups: [{ ...GROUP, count: 2 }] },
    '/groups/0/count',
    'each node has one task of the group',
  ],
  [
    'a dependency that is no name',
    { name: 'a', kind: 'service', dependsOn: ['a b'], groups: [GROUP] },
    '/dependsOn/0',
    'must be the name of a job, or role:name',
  ],
  ['a bad name', { name: 'A_b', groups: [GROUP] }, '/name', 'must be lower-case letters'],
  ['a path trick', { name: '../etc', groups: [GROUP] }, '/name', 'must be lower-case letters'],
  ['NUL', { name: 'a', groups: [{ ...GROUP, args: ['a\0b'] }] }, '/groups/0/args/0', 'must not contain NUL'],
  [
    'a bad name in a map',
    { name: 'a', groups: [{ ...GROUP, env: { '1A': 'x' } }] },
    '/groups/0/env/1A',
    'must be the name of a variable',
  ],
  [
    'a path in a pointer',
    { name: 'a', groups: [{ ...GROUP, env: { 'a/b~c': 'x' } }] },
    '/groups/0/env/a~1b~0c',
    'must be the name',
  ],
  ['no groups', { name: 'a', groups: [] }, '/groups', 'must have at least 1 item'],
  ['a list for an object', [], '/', 'must be an object, not a list'],
  ['null', null, '/', 'must be an object, not null'],
  ['a number', 7, '/', 'must be an object, not 7'],
  [
    'an inherited name',
    JSON.parse('{"name":"a","groups":[{"image":"b"}],"__proto__":{"x":1}}'),
    '/__proto__',
    'unknown field',
  ],
];

describe('a body that is not as it should be', () => {
  it.each(WRONG_FIELDS)('%s is refused in its place', async (_name, json, path, message) => {
    const { status, code, faults = [] } = await submit(json);
    expect([status, code]).toEqual([400, 'invalid-request']);
    expect(faults).toContainEqual({ path, message: expect.stringContaining(message) });
  });

  it('is refused with every fault at once', async () => {
    const { faults = [] } = await submit({ nam: 'a', priority: 101, groups: [{ image: 7, count: -1 }, GROUP, GROUP] });
    expect(faults.map((fault) => fault.path).sort()).toEqual([
      '/groups/0/count',
      '/groups/0/image',
      '/nam',
      '/name',
      '/priority',
    ]);
  });

  it('is refused together with what is wrong in the query and the headers', async () => {
    const { faults = [] } = await problem('POST', '/v1/jobs?rol=x', {
      json: { name: 'a' },
      headers: { 'Idempotency-Key': 'x'.repeat(256) },
    });
    expect(faults.map((fault) => fault.path)).toEqual(['query:rol', 'header:Idempotency-Key', '/groups']);
  });

  it.each([
    ['a bracket too many', '{"name": "a",\n "groups": [}]}', /line 2, column 13/],
    ['NaN', '{"name": NaN}', /"NaN" where a value was expected, at line 1, column 10/],
    ['an early end', '{"a": 1', /ends too early: "," or "}" was expected, at line 1, column 8/],
    ['a leading zero', '{"a": 01}', /"01" .* line 1, column 7/],
    ['single quotes', "{'a': 1}", /line 1, column 2/],
    ['a comma at the end', '{"a": [1,]}', /line 1, column 10/],
    ['a line break in a text', '{"a": "x\ny"}', /line 1, column 9/],
    ['something after the end', '{} {}', /line 1, column 4/],
    ['a word after a long text', `{"name": "a", "pad": "${'x'.repeat(500)}", oops}`, /"oops" .* line 1, column 526/],
  ])('of text that is not JSON says where: %s', async (_name, text, where) => {
    const { status, faults = [] } = await submitText(text);
    expect(status).toBe(400);
    expect(faults).toEqual([{ path: '/', message: expect.stringMatching(where) }]);
  });

  it('with numbers past all bounds is refused', async () => {
    const { faults = [] } = await submitText('{"name":"a","priority":1e999,"groups":[{"image":"a","count":-1e999}]}');
    expect(faults.map(({ path }) => path)).toEqual(['/priority', '/groups/0/count']);
  });

  it.each([
    ['nothing', '', 400, 'invalid-request'],
    ['bytes that are no text', new Uint8Array([0x22, 0xff, 0xfe, 0x22]), 400, 'invalid-request'],
    ['brackets without end', '['.repeat(500_000), 400, 'invalid-request'],
    ['brackets 500,000 deep', `${'['.repeat(500_000)}${']'.repeat(500_000)}`, 400, 'invalid-request'],
    ['objects 100,000 deep', `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`, 400, 'invalid-request'],
    ['a list of 500,000', `{"groups":[${'1,'.repeat(499_999)}1]}`, 400, 'invalid-request'],
    ['10 MB', 'x'.repeat(10_000_000), 413, 'payload-too-large'],
  ])('%s is refused', async (_name, body, status, code) => {
    expect(await submitText(body)).toMatchObject({ status, code });
  });

  it('full of faults is refused in little', async () => {
    const response = await berth.send('POST', '/v1/jobs', {
      json: { groups: Array.from({ length: 20_000 }, () => ({})) },
    });
    expect(response.status).toBe(400);
    expect((await response.text()).length).toBeLessThan(50_000);
  });

  it('that is too large is refused while it comes, when nobody said how large it is', async () => {
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 65_536;
        controller.enqueue(new Uint8Array(65_536).fill(32));
      },
    });
    expect(await submitText(body)).toMatchObject({ status: 413 });
    expect(sent).toBeLessThan(2_000_000);
  });

  it.each([
    [{ 'content-type': 'text/plain' }],
    [{ 'content-type': 'application/x-www-form-urlencoded' }],
    [{ 'content-type': 'application/json; charset=utf-16' }],
    [{ 'content-type': 'application/jsonp' }],
  ])('of another type is refused: %j', async (headers) => {
    expect(await submitText('{}', headers)).toMatchObject({ status: 415, code: 'unsupported-media-type' });
  });
});

describe('a query that is not as it should be', () => {
  it.each([
    ['/v1/jobs?limit=0', 'query:limit', 'must be at least 1'],
    ['/v1/jobs?limit=1001', 'query:limit', 'must be at most 1000'],
    ['/v1/jobs?limit=abc', 'query:limit', 'must be a number, not the text "abc"'],
    ['/v1/jobs?limit=1e2', 'query:limit', 'must be a number'],
    ['/v1/jobs?limit=', 'query:limit', 'must be a number'],
    ['/v1/jobs?limit=1.5', 'query:limit', 'must be a whole number'],
    ['/v1/jobs?limit=1&limit=2', 'query:limit', 'may be given only once'],
    ['/v1/jobs?lmit=1', 'query:lmit', 'did you mean "limit"?'],
    ['/v1/jobs?state=runing', 'query:state', 'did you mean "running"?'],
    ['/v1/jobs?role=../x', 'query:role', 'must be up to 8 names'],
    ['/v1/tasks?state=alive', 'query:state', 'must be one of'],
    ['/v1/events?after=-1', 'query:after', 'must be a revision'],
    ['/v1/tasks/a-b/logs?follow=maybe', 'query:follow', 'must be true or false'],
    ['/v1/tasks/a-b/logs?since=yesterday', 'query:since', 'must be a time such as'],
    ['/v1/tasks/a-b/logs?tail=-3', 'query:tail', 'must be at least 0'],
  ])('%s', async (path, place, message) => {
    const { status, faults = [] } = await problem('GET', path);
    expect(status).toBe(400);
    expect(faults).toContainEqual({ path: place, message: expect.stringContaining(message) });
  });
});

describe('a path that is not as it should be', () => {
  it.each([
    ['/v1/jobs/a%2fb', 400],
    ['/v1/jobs/..%2f..%2fetc%2fpasswd', 400],
    ['/v1/jobs/%00', 400],
    ['/v1/jobs/%zz', 400],
    ['/v1/jobs/%c3%28', 400],
    [`/v1/jobs/${'a'.repeat(80)}`, 400],
    ['/v1/jobs/../../etc/passwd', 404],
    ['/v1/jobs/%2e%2e/%2e%2e/etc', 404],
    ['/v1/tasks/UPPER', 400],
    ['/v1/tasks/there-is-none', 404],
    ['/v1/nodes/__proto__', 400],
    ['/v1/nodes/constructor', 404],
    ['/v1/jobs/hello/versions/0', 400],
    ['/v1/jobs/hello/versions/1e3', 400],
    ['/v1/jobs/', 404],
    ['//v1/jobs', 404],
    ['/v2/jobs', 404],
    ['/', 404],
  ])('%s answers %i', async (path, status) => {
    expect(await problem('GET', path)).toMatchObject({ status });
  });

  it.each([
    ['PATCH', '/v1/jobs', 'GET, HEAD, POST'],
    ['DELETE', '/v1/jobs', 'GET, HEAD, POST'],
    ['POST', '/v1/jobs/hello', 'GET, HEAD, PUT, DELETE'],
    ['OPTIONS', '/v1/tasks/x', 'GET, HEAD'],
    ['POST', '/docs', 'GET, HEAD'],
    ['BREW', '/v1/status', 'GET, HEAD'],
  ])('%s %s names the methods that there are', async (method, path, allow) => {
    const response = await berth.send(method, path);
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')?.split(', ').sort()).toEqual(allow.split(', ').sort());
  });
});

describe('headers that are not as they should be', () => {
  it('a revision that nobody has seen yet is waited for, then the client is told to try again', async () => {
    const over = berth.replica.ctx.mirror.revision + 1_000_000;
    const response = await berth.send('GET', '/v1/jobs', { headers: { 'Berth-Revision': String(over) } });
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('1');
  }, 10_000);

  it('a revision that is no number is refused', async () => {
    const { faults } = await problem('GET', '/v1/jobs', { headers: { 'Berth-Revision': '-1' } });
    expect(faults).toEqual([
      {
        path: 'header:Berth-Revision',
        message: 'must be as an answer gave it: a whole number, or two with "-" between them',
      },
    ]);
  });

  it('an idempotency key must be printable', async () => {
    const { faults } = await problem('POST', '/v1/jobs', {
      json: { name: 'a', groups: [GROUP] },
      headers: { 'Idempotency-Key': 'a\tb' },
    });
    expect(faults).toEqual([{ path: 'header:Idempotency-Key', message: expect.any(String) }]);
  });

  it('output is not to be had as JSON', async () => {
    const headers = { accept: 'application/json' };
    expect(await problem('GET', '/v1/tasks/a-b/logs', { headers })).toMatchObject({ status: 406 });
  });
});
