import { afterEach, describe, expect, it } from 'vitest';
import { RATE_DEFAULTS, type RatePolicy } from '../../../control-plane/auth/rate-limits.ts';
import { problemSchema } from '../../../shared/protocol/views.ts';
import { ManualClock } from '../../store/manual-clock.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent } from '../../support/api-agent.ts';

const SMALL = { perSecond: 1, burst: 3, lastingMax: 1 };
const RATES: RatePolicy = { ...RATE_DEFAULTS, user: SMALL, stranger: { perSecond: 1, burst: 3 } };

let berth: TestApi;
let clock: ManualClock;

async function start(rates: RatePolicy = RATES): Promise<void> {
  clock = new ManualClock();
  const clientAddress = (_request: Request, env: unknown) =>
    (env as { readonly from?: string } | undefined)?.from ?? null;
  berth = await startApi({ clock, rates, clientAddress });
}
afterEach(() => berth.stop());

/** Comes from that address, as a main would have found out. */
function from(address: string, path: string, headers: Record<string, string> = {}): Promise<Response> {
  return Promise.resolve(berth.api.fetch(new Request(`http://x${path}`, { headers }), { from: address }));
}

async function statuses(times: number, ask: () => Promise<Response>): Promise<number[]> {
  const found: number[] = [];
  for (let at = 0; at < times; at++) found.push((await ask()).status);
  return found;
}

describe('too many requests', () => {
  it('are refused at the API with 429, a problem and Retry-After, and taken again after that time', async () => {
    await start();
    expect(await statuses(4, () => berth.send('GET', '/v1/jobs'))).toEqual([200, 200, 200, 429]);
    const refused = await berth.send('POST', '/v1/jobs', { json: {} });
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(refused.headers.get('content-type')).toBe('application/problem+json');
    expect(problemSchema.parse(await refused.json())).toMatchObject({ code: 'limit-exceeded', retryAfterSeconds: 1 });
    await clock.advance(1000);
    expect((await berth.send('GET', '/v1/jobs')).status).toBe(200);
  });

  it('are counted over both doors together, and refused at the Mesos door in its words', async () => {
    await start();
    const headers = { authorization: `Bearer ${berth.admin}` };
    await statuses(2, () => berth.send('GET', '/v1/jobs'));
    expect(await statuses(2, () => from('192.0.2.1', '/state', headers))).toEqual([200, 429]);
    const refused = await from('192.0.2.1', '/master/roles', headers);
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(await refused.text()).toContain('sends more than 1 requests a second');
  });

  it('of one principal are nothing to another, nor to the agents', async () => {
    await start();
    await statuses(4, () => berth.send('GET', '/v1/jobs'));
    const other = await berth.token({ subject: 'other' });
    expect((await berth.send('GET', '/v1/jobs', { token: other })).status).toBe(200);
    const agent = await ApiAgent.register(berth);
    const beats = await statuses(50, () => agent.send('POST', '/v1/agent/heartbeat', { json: { sentAtMs: 1 } }));
    expect(new Set(beats)).toEqual(new Set([200]));
  });

  it('with bad tokens, or none, are refused by address, while who is known here gets in', async () => {
    await start();
    const headers = { authorization: `Bearer ${berth.admin}` };
    expect((await from('192.0.2.1', '/v1/jobs', headers)).status).toBe(200);
    const forged = { authorization: `Bearer ${berth.admin.slice(0, -3)}AAA` };
    const forge = () => from('192.0.2.1', '/v1/jobs', forged);
    expect(await statuses(5, forge)).toEqual([401, 401, 401, 429, 429]);
    expect((await from('192.0.2.1', '/state', forged)).status).toBe(429);
    expect((await from('192.0.2.1', '/openapi.json')).status).toBe(429);
    expect((await from('192.0.2.1', '/v1/jobs')).status).toBe(429);
    expect((await from('192.0.2.2', '/v1/jobs')).status).toBe(401);
    expect((await from('192.0.2.1', '/v1/jobs', headers)).status).toBe(200);
  });

  it('are nothing to what watches over replicas', async () => {
    await start();
    expect(new Set(await statuses(50, () => from('192.0.2.1', '/healthz')))).toEqual(new Set([200]));
    expect(new Set(await statuses(50, () => from('192.0.2.1', '/readyz')))).toEqual(new Set([200]));
  });
});

describe('streams', () => {
  it.each([
    ['/v1/events', '/v1/events'],
    ['/v1/events', '/v1/events?waitMs=1000'],
    ['/v1/endpoints/watch', '/v1/events'],
  ])('are bounded for each principal: with %s open, %s is refused until that has ended', async (first, second) => {
    await start({ ...RATES, user: { ...SMALL, burst: 100 } });
    const accept = { accept: 'text/event-stream' };
    const ending = new AbortController();
    const open = await berth.send('GET', first, { headers: accept, signal: ending.signal });
    expect(open.status).toBe(200);
    const headers = second.includes('?') ? {} : accept;
    const refused = await berth.send('GET', second, { headers });
    expect(refused.status).toBe(429);
    expect(refused.headers.get('retry-after')).toBe('5');
    await open.body?.cancel();
    const again = await berth.send('GET', '/v1/events', { headers: accept });
    expect(again.status).toBe(200);
    await again.body?.cancel();
  });
});
