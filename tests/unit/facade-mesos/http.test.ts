import { Hono } from 'hono';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { anonymousPrincipal, type Principal } from '../../../control-plane/auth/principal.ts';
import { authenticate } from '../../../control-plane/facade-mesos/http/authenticate.ts';
import { BODY_BYTES_MAX, demandJsonAccepted, readCall } from '../../../control-plane/facade-mesos/http/json-in.ts';
import { jsonAnswer } from '../../../control-plane/facade-mesos/http/json-out.ts';
import { WireRefusal, wireRefusalOf } from '../../../control-plane/facade-mesos/http/wire-refusal.ts';
import {
  doubleSchema,
  enumSchema,
  optionalList,
  withoutNulls,
} from '../../../control-plane/facade-mesos/wire/values.ts';
import { Refusal } from '../../../shared/domain/errors.ts';
import { SILENT_LOGGER } from '../../../shared/util/log.ts';
import { ManualClock } from '../../store/manual-clock.ts';

const NAMES = { converted: 'Call protobuf', validated: 'scheduler::Call' };

const schema = z.object({
  name: z.string(),
  kind: enumSchema(['A', 'B']),
  size: doubleSchema.optional(),
  items: optionalList(z.object({ value: z.string() })),
});

function read(body: string, headers: Record<string, string> = { 'content-type': 'application/json' }) {
  const request = new Request('http://berth.test/', { method: 'POST', headers, body });
  // What the platform makes of a text without a type isn't what a client has sent.
  if (!('content-type' in headers)) request.headers.delete('content-type');
  return readCall(request, { clock: new ManualClock(), schema, names: NAMES });
}

async function refusal(promise: Promise<unknown>): Promise<[number, string]> {
  try {
    await promise;
  } catch (error) {
    const { status, message } = wireRefusalOf(error, SILENT_LOGGER);
    return [status, message];
  }
  throw new Error('nothing was refused');
}

describe('a body', () => {
  it.each([
    ['{"name":"a"}', { name: 'a', items: [] }],
    ['{"name":"a","kind":null,"items":null,"size":null}', { name: 'a', items: [] }],
    ['{"name":"a","newer":{"x":1}}', { name: 'a', items: [] }],
    ['{"name":"a","kind":"B","size":3}', { name: 'a', kind: 'B', size: 3, items: [] }],
    ['{"name":"a","kind":"NEWER","size":"2.5"}', { name: 'a', size: 2.5, items: [] }],
    ['{"name":"a","size":"Infinity"}', { name: 'a', size: Number.POSITIVE_INFINITY, items: [] }],
    ['{"name":"a","items":{"value":"x"}}', { name: 'a', items: [{ value: 'x' }] }],
    ['{"name":"a","items":[null,{"value":"x","more":null}]}', { name: 'a', items: [{ value: 'x' }] }],
  ])('%s is read', async (body, value) => expect(await read(body)).toEqual(value));

  it.each([
    ['', 'Failed to parse body into JSON: syntax error at line 1'],
    ['{\n"name":', 'Failed to parse body into JSON: syntax error at line 2'],
    ['{"name":"a"}20\n{"type":"X"}', 'Failed to parse body into JSON: syntax error at line 1'],
    ['[]', 'Failed to convert JSON into Call protobuf: Expecting a JSON object'],
    ['7', 'Failed to convert JSON into Call protobuf: Expecting a JSON object'],
    ['{}', 'Failed to convert JSON into Call protobuf: Missing required fields: name'],
    ['{"name":"a","items":[{}]}', 'Failed to convert JSON into Call protobuf: Missing required fields: items.0.value'],
    ['{"name":7}', "for field 'name'"],
    ['{"name":"a","size":"big"}', "Failed to parse 'big' as a number for field 'size'"],
    [`${'['.repeat(50_000)}${']'.repeat(50_000)}`, 'Expecting a JSON object'],
    [`{"a":${'['.repeat(50_000)}${']'.repeat(50_000)}}`, 'nested more than 64 levels deep'],
    [`{"name":"a","items":[${'0,'.repeat(100_000)}0]}`, 'more than 100000 values'],
  ])('%.60s is refused: %s', async (body, message) => {
    const [status, text] = await refusal(read(body));
    expect(status).toBe(400);
    expect(text).toContain(message);
  });

  it('is of a type that is said, and of JSON', async () => {
    expect(await refusal(read('{', {}))).toEqual([400, "Expecting 'Content-Type' to be present"]);
    for (const type of [
      'text/plain',
      'application/x-protobuf',
      'application/json; charset=utf-8',
      'application/recordio',
    ]) {
      expect((await refusal(read('{', { 'content-type': type })))[0]).toBe(415);
    }
  });

  it('is no longer than it may be', async () => {
    expect((await refusal(read(' '.repeat(BODY_BYTES_MAX + 1))))[0]).toBe(413);
  });

  it('has no null at any depth once it was read', () => {
    expect(withoutNulls({ a: null, b: [null, { c: null, d: [1, null] }], e: 0 })).toEqual({ b: [{ d: [1] }], e: 0 });
  });
});

describe('what a client accepts', () => {
  it.each([
    null,
    '',
    '*/*',
    'application/json',
    'text/html, application/*;q=0.1',
    'application/x-protobuf, application/json',
  ])('%j takes JSON', (accept) => expect(() => demandJsonAccepted(accept)).not.toThrow());

  it.each(['text/html', 'application/x-protobuf', 'application/json;q=0', 'application/recordio'])(
    '%j does not',
    (accept) => expect(() => demandJsonAccepted(accept)).toThrow(WireRefusal),
  );
});

describe('who calls', () => {
  const principal = { kind: 'user', subject: 'anna', tokenId: 't', grants: [], node: null } as const;
  const verifier = {
    async verify(token: string) {
      const times = { issuedAtMs: 0, expiresAtMs: 0, kid: '1' };
      if (token === 'good') return { principal, ...times };
      if (token === 'agent') return { principal: { ...principal, kind: 'node' as const }, ...times };
      if (token === 'away') throw new Refusal('unavailable', 'no keys', { retryAfterSeconds: 60 });
      throw new Refusal('unauthenticated', 'the token has expired');
    },
    watch: () => () => undefined,
  };
  const ask = (authorization: string | null, anonymous: Principal | null = null) =>
    authenticate(
      new Request('http://berth.test/', authorization === null ? {} : { headers: { authorization } }),
      { verifier, anonymous },
      'mesos-master-scheduler',
    );
  const basic = (text: string) => `Basic ${btoa(text)}`;

  it.each([
    ['Bearer good', null],
    ['bearer  good ', null],
    [basic('painter:good'), 'painter'],
    [basic(':good'), ''],
    [basic('a b:good').replace('Basic', 'basic'), 'a b'],
  ])('%s is anna', async (authorization, userName) => {
    const caller = { principal, userName, isAnonymous: false, goodUntilMs: 30_000 };
    expect(await ask(authorization)).toMatchObject(caller);
  });

  it.each([
    null,
    '',
    'Bearer',
    'Bearer bad',
    'Digest x',
    'Basic',
    'Basic !!',
    basic('good'),
    basic('good:'),
    basic('u:bad'),
  ])('%s is nobody, and is told both ways in', async (authorization) => {
    const error = await ask(authorization).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      status: 401,
      headers: [
        ['www-authenticate', 'Basic realm="mesos-master-scheduler"'],
        ['www-authenticate', 'Bearer realm="mesos-master-scheduler"'],
      ],
    });
  });

  it.each([null, basic(':')])('%s is whom an operator lets in without a token', async (authorization) => {
    const anonymous = anonymousPrincipal({ roles: ['eng'], actions: ['framework:run'] });
    expect(await ask(authorization, anonymous)).toMatchObject({
      principal: anonymous,
      isAnonymous: true,
      goodUntilMs: null,
    });
  });

  it('is nobody with a bad token, whoever is let in without one', async () => {
    const anonymous = anonymousPrincipal({ roles: ['eng'], actions: ['framework:run'] });
    expect((await refusal(ask('Bearer bad', anonymous)))[0]).toBe(401);
    expect((await refusal(ask(basic('u:bad'), anonymous)))[0]).toBe(401);
  });

  it('is no agent', async () => expect((await refusal(ask('Bearer agent')))[0]).toBe(403));

  it('may not be known for now', async () => {
    const error = wireRefusalOf(await ask('Bearer away').catch((thrown: unknown) => thrown), SILENT_LOGGER);
    expect(error).toMatchObject({ status: 503, headers: [['retry-after', '60']] });
  });
});

describe('an answer of JSON', () => {
  const app = new Hono();
  app.get('/', (c) => jsonAnswer(new URL(c.req.url), { a: 1 }));

  it('is JSON, or a call of the function that is named', async () => {
    const plain = await app.request('/');
    expect([plain.headers.get('content-type'), await plain.text()]).toEqual(['application/json', '{"a":1}']);
    const called = await app.request('/?jsonp=angular.callbacks._0');
    expect([called.headers.get('content-type'), await called.text()]).toEqual([
      'text/javascript',
      'angular.callbacks._0({"a":1});',
    ]);
  });

  it.each(['', 'alert(1)', 'a;b', `a${'b'.repeat(300)}`])('is refused for the function %j', (name) => {
    const url = new URL(`http://berth.test/?jsonp=${encodeURIComponent(name)}`);
    expect(() => jsonAnswer(url, {})).toThrow(WireRefusal);
  });
});
