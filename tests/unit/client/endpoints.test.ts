import { describe, expect, it } from 'vitest';
import { newsText } from '../../../control-plane/api/routes/endpoints.ts';
import { type EndpointUpdate, withChange } from '../../../shared/client/endpoints.ts';
import type { EndpointView } from '../../../shared/protocol/endpoints.ts';
import { problem, scriptedServer, stream } from './scripted-server.ts';

const { signal } = new AbortController();
const idOf = (revision: number) => `2-${revision}`;

function anEndpoint(index: number, change: Partial<EndpointView> = {}): EndpointView {
  return {
    id: `web-${index}/http`,
    ...{ role: 'default', job: 'web', jobUid: 'uid', version: 1, group: 'main', index, task: `web-${index}` },
    ...{ node: 'edge-1', host: 'edge-1', address: '10.0.0.7', portName: 'http', port: 20_000, containerPort: null },
    ...{ protocol: 'tcp', state: 'ready', since: '2026-01-01T00:00:00.000Z', publish: null, labels: {} },
    ...change,
  };
}

async function take(updates: AsyncIterable<EndpointUpdate>, count: number): Promise<EndpointUpdate[]> {
  const taken: EndpointUpdate[] = [];
  for await (const update of updates) {
    taken.push(update);
    if (taken.length === count) break;
  }
  return taken;
}

const many = Array.from({ length: 2500 }, (_, index) => anEndpoint(index));
const listText = newsText({ type: 'list', revision: 5, items: many }, idOf);
const change = { revision: 6, put: [anEndpoint(1, { state: 'unhealthy' })], gone: ['web-0/http'] };

describe('the watch of endpoints', () => {
  it('comes in parts that readers can take, of which the last has the id, and is put together again', async () => {
    expect(listText.match(/^event: list$/gm)).toHaveLength(3);
    expect(listText.match(/^id: /gm)).toEqual(['id: ']);
    const server = scriptedServer([stream([listText, newsText({ type: 'change', ...change }, idOf)])]);
    const [list, changed] = await server.settle(take(server.client.endpoints.watch({ job: 'web' }, { signal }), 2));
    expect(list).toEqual({ type: 'list', list: { revision: 5, items: many } });
    expect(changed).toEqual({ type: 'change', change });
    expect(server.requests.map(({ url }) => url.search)).toEqual(['?job=web']);
  });

  it('takes what came in part before a connection broke as if it had not come', async () => {
    const half = listText.slice(0, listText.indexOf('id: '));
    const server = scriptedServer([stream([half], 'break'), stream([listText])]);
    const [list] = await server.settle(take(server.client.endpoints.watch({}, { signal }), 1));
    expect(list?.type === 'list' && list.list.items.length).toBe(2500);
  });

  it('goes on after the last id, also one that came without news', async () => {
    const server = scriptedServer([
      stream([listText, ': still here\nid: 2-9\n\n'], 'break'),
      stream([newsText({ type: 'change', ...change }, idOf)]),
    ]);
    await server.settle(take(server.client.endpoints.watch({}, { signal }), 2));
    expect(server.requests.map(({ url }) => url.search)).toEqual(['', '?after=2-9']);
  });

  it.each(['history-gone', 'history-changed'] as const)('begins with the list again after %s', async (code) => {
    const server = scriptedServer([stream([listText], 'break'), problem(410, code), stream([listText])]);
    const updates = await server.settle(take(server.client.endpoints.watch({}, { signal }), 2));
    expect(updates.map(({ type }) => type)).toEqual(['list', 'list']);
    expect(server.requests.map(({ url }) => url.search)).toEqual(['', '?after=2-5', '']);
  });

  it('outlives an outage of any length once it has told the list', async () => {
    const down = Array.from({ length: 200 }, () => () => Promise.reject(new TypeError('fetch failed')));
    const server = scriptedServer([
      stream([listText], 'break'),
      ...down,
      stream([newsText({ type: 'change', ...change }, idOf)]),
    ]);
    const updates = await server.settle(take(server.client.endpoints.watch({}, { signal }), 2));
    expect(updates.map(({ type }) => type)).toEqual(['list', 'change']);
    expect(server.clock.now()).toBeGreaterThan(600_000);
  });

  it('gives up like any call where it never came up', async () => {
    const down = Array.from({ length: 10 }, () => () => Promise.reject(new TypeError('fetch failed')));
    const server = scriptedServer(down);
    await expect(server.settle(take(server.client.endpoints.watch({}, { signal }), 1))).rejects.toThrow('berth.test');
  });

  it('ends with a refusal', async () => {
    const server = scriptedServer([stream([listText], 'break'), problem(403, 'forbidden')]);
    await expect(server.settle(take(server.client.endpoints.watch({}, { signal }), 2))).rejects.toMatchObject({
      code: 'forbidden',
    });
  });
});

describe('a change', () => {
  it('replaces, adds and takes away', () => {
    const list = { revision: 5, items: [anEndpoint(0), anEndpoint(1)] };
    const added = { ...change, put: [...change.put, anEndpoint(2)] };
    expect(withChange(list, added)).toEqual({
      revision: 6,
      items: [anEndpoint(1, { state: 'unhealthy' }), anEndpoint(2)],
    });
  });
});
