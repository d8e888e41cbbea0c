/** A token ends while something is followed: with another one the client goes on where it was, and without one it says so. */
import { describe, expect, it } from 'vitest';
import type { LogEvent } from '../../../shared/client/logs.ts';
import { json, problem, type Reply, type ScriptedServer, scriptedServer, stream } from './scripted-server.ts';

const OVER = 'the token has expired';
const PROBLEM = { type: 'about:blank', title: 't', status: 401, code: 'unauthenticated', detail: OVER, requestId: 'r' };
/** As the control plane ends a stream whose token has ended; of a task's output the problem has a `message` as well. */
const END = `event: error\ndata: ${JSON.stringify({ ...PROBLEM, message: OVER })}\n\n`;
const REFUSED = problem(401, 'unauthenticated', { detail: OVER });
const ENDPOINTS = { revision: 5, items: [] };

const { signal } = new AbortController();

const EVENT = {
  ...{ role: null, job: null, node: null, framework: null, deployment: null, reason: null, at: null, task: 'a' },
  ...{ revision: 5, type: 'task.running', message: 'it runs' },
};
const UPDATE = { type: 'subscribed', framework: 'f', session: 1, heartbeatSeconds: 5 };
const LINE = { at: '2030-01-01T00:00:01.000000000Z', stream: 'stdout', text: 'hello' };

const sent = (type: string, data: object, id?: string) =>
  `${id === undefined ? '' : `id: ${id}\n`}event: ${type}\ndata: ${JSON.stringify(data)}\n\n`;

interface Kind {
  readonly follow: (server: ScriptedServer) => AsyncGenerator<unknown, void>;
  readonly first: string;
  /** Where the next connection takes it up, as the request says it. */
  readonly resumed: (request: { readonly url: URL; readonly headers: Headers }) => string | null;
  readonly from: string | null;
}

const after: Kind['resumed'] = ({ url }) => url.searchParams.get('after');
const KINDS: readonly (readonly [string, Kind])[] = [
  [
    'events',
    {
      follow: ({ client }) => client.events({ after: null, signal }),
      first: sent('task.running', EVENT, '5'),
      ...{ resumed: after, from: '5' },
    },
  ],
  [
    'endpoints',
    {
      follow: ({ client }) => client.endpoints.watch({}, { signal }),
      first: sent('list', ENDPOINTS, '5'),
      ...{ resumed: after, from: '5' },
    },
  ],
  [
    "a task's output",
    {
      follow: ({ client }) => client.tasks.logs('t', { follow: true, signal }),
      first: sent('log', LINE, LINE.at),
      resumed: ({ headers }) => headers.get('last-event-id'),
      from: LINE.at,
    },
  ],
  [
    "a framework's stream",
    {
      follow: ({ client }) => client.frameworks.events('f', { session: 1, signal }),
      first: sent('subscribed', UPDATE),
      ...{ resumed: ({ url }) => url.searchParams.get('session'), from: '1' },
    },
  ],
];

/** So many that came, and what the reading failed with. */
async function followed(server: ScriptedServer, { follow }: Kind, countMax: number) {
  let count = 0;
  const reading = (async () => {
    for await (const _ of follow(server)) if (++count === countMax) return;
  })();
  const failure = await server.settle(reading).catch((error: unknown) => error);
  return { count, failure };
}

const tokens = (server: ScriptedServer) => server.requests.map(({ headers }) => headers.get('authorization'));

describe('whoever follows', () => {
  it.each(KINDS)('%s goes on with a fresh token where the stream has ended', async (_what, kind) => {
    const replies: Reply[] = [stream([kind.first, END]), stream([kind.first])];
    const server = scriptedServer(replies, { freshToken: async () => 'fresh' });
    const { count, failure } = await followed(server, kind, 2);
    expect([count, failure]).toEqual([2, undefined]);
    expect(tokens(server)).toEqual(['Bearer a-token', 'Bearer fresh']);
    expect(server.requests.map(kind.resumed)[1]).toBe(kind.from);
  });

  it.each(KINDS)('%s is told why it ends where there is no other', async (_what, kind) => {
    for (const options of [{}, { freshToken: async () => null }, { freshToken: async () => 'a-token' }]) {
      const server = scriptedServer([stream([kind.first, END])], options);
      const { count, failure } = await followed(server, kind, 2);
      expect([count, server.requests.length]).toEqual([1, 1]);
      expect(failure).toMatchObject({ name: 'ApiError', code: 'unauthenticated', message: OVER });
    }
  });

  it('is told of any other end of output as before', async () => {
    const data = { code: 'conflict', message: 'the node is away', retryAfterSeconds: 5 };
    const server = scriptedServer([stream([sent('error', data)])], { freshToken: async () => 'fresh' });
    const seen: LogEvent[] = [];
    for await (const event of server.client.tasks.logs('t', { follow: true, signal })) seen.push(event);
    expect(seen).toEqual([{ kind: 'error', message: 'the node is away', isPassing: true }]);
  });
});

describe('a call', () => {
  it('that is refused for its token goes once more with a fresh one, and those after it too', async () => {
    const server = scriptedServer([REFUSED, json(ENDPOINTS), json(ENDPOINTS)], { freshToken: async () => 'fresh' });
    await server.client.endpoints.list();
    await server.client.endpoints.list();
    expect(tokens(server)).toEqual(['Bearer a-token', 'Bearer fresh', 'Bearer fresh']);
  });

  it('is refused where the fresh one is refused as well', async () => {
    const server = scriptedServer([REFUSED, REFUSED], { freshToken: async () => 'fresh' });
    await expect(server.client.endpoints.list()).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  it('asks for no other token when it is refused for what the token may do', async () => {
    const server = scriptedServer([problem(403, 'forbidden')], {
      freshToken: () => Promise.reject(new Error('asked')),
    });
    await expect(server.client.endpoints.list()).rejects.toMatchObject({ code: 'forbidden' });
  });
});
