import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KEEPS_MS } from '../../../control-plane/balancer/claims.ts';
import { EMPTY_PLAN, type Plan } from '../../../control-plane/balancer/plan.ts';
import { LINGER_MS } from '../../../control-plane/balancer/services.ts';
import { SLOTS_MIN } from '../../../control-plane/balancer/slots.ts';
import type { EndpointView } from '../../../shared/protocol/endpoints.ts';
import { arbitraryEndpoints } from '../../support/arbitrary-endpoints.ts';
import { endpointOf } from '../../support/endpoints.ts';
import { planOf, usesOf } from './planned.ts';

type State = EndpointView['state'];

function inStates(...states: readonly State[]): EndpointView[] {
  return states.map((state, index) => endpointOf({ task: `t${index}`, index, state }));
}

describe('who gets requests', () => {
  it.each<[readonly State[], string[]]>([
    [
      ['ready', 'ready'],
      ['t0=use', 't1=use'],
    ],
    [
      ['ready', 'draining', 'unreachable'],
      ['t0=use', 't1=drain', 't2=drain'],
    ],
    [
      ['draining', 'unreachable'],
      ['t0=use', 't1=use'],
    ],
    [['starting', 'unhealthy', 'unready', 'held'], []],
    [['starting', 'draining'], ['t1=use']],
  ])('%j', (states, expected) => expect(usesOf(planOf({ endpoints: inStates(...states) }))).toEqual(expected));

  it('is not one of them that has become unready, and it keeps its server until it is gone', () => {
    const before = planOf({ endpoints: inStates('ready', 'ready') });
    const unready = planOf({ endpoints: inStates('ready', 'unready'), before });
    expect(usesOf(unready)).toEqual(['t0=use', 't1=off']);
    const back = planOf({ endpoints: inStates('ready', 'ready'), before: unready });
    expect(back.backends).toEqual(before.backends);
    expect(usesOf(planOf({ endpoints: inStates('ready'), before: back }))).toEqual(['t0=use']);
  });

  it('leaves out a node whose name has no address, and says so', () => {
    const endpoints = [endpointOf({ task: 't0', address: 'far' }), endpointOf({ task: 't1', address: 'near' })];
    const plan = planOf({ endpoints, addresses: new Map([['near', '10.0.0.9']]) });
    expect(usesOf(plan)).toEqual(['t1=use']);
    expect(plan.backends[0]?.slots[0]?.address).toBe('10.0.0.9');
    expect(plan.troubles).toEqual([
      {
        service: 'default/web/main/http',
        message: expect.stringContaining('has tasks on "far", which has no IP address'),
      },
    ]);
  });
});

describe('servers', () => {
  const many = (count: number, from = 0) =>
    Array.from({ length: count }, (_, index) => endpointOf({ task: `t${from + index}`, index: from + index }));

  it('are more than there are tasks, so that twice as many still fit', () => {
    const sizes = [1, 4, 5, 20].map((count) => planOf({ endpoints: many(count) }).backends[0]?.slots.length);
    expect(sizes).toEqual([SLOTS_MIN, 8, 16, 64]);
    const before = planOf({ endpoints: many(5) });
    expect(planOf({ endpoints: many(16), before }).backends[0]?.slots).toHaveLength(16);
    expect(planOf({ endpoints: many(17), before }).backends[0]?.slots).toHaveLength(64);
  });

  it('that have been free for longest are taken first', () => {
    const full = planOf({ endpoints: many(8), before: planOf({ endpoints: many(4) }) });
    const first = planOf({ endpoints: many(8).slice(1), before: full, nowMs: 10 });
    const second = planOf({ endpoints: many(8).slice(2), before: first, nowMs: 20 });
    const next = planOf({ endpoints: [...many(8).slice(2), ...many(1, 8)], before: second, nowMs: 30 });
    expect(next.backends[0]?.slots.map(({ endpoint }) => endpoint?.split('/')[0] ?? null)).toEqual([
      't8',
      null,
      't2',
      't3',
      't4',
      't5',
      't6',
      't7',
    ]);
  });
});

describe('services', () => {
  it('are still known for a while after their last endpoint', () => {
    const before = planOf({ endpoints: inStates('ready') });
    const soon = planOf({ before, nowMs: LINGER_MS });
    expect(soon.routes).toEqual(before.routes);
    expect(usesOf(soon)).toEqual([]);
    expect(planOf({ before: soon, nowMs: LINGER_MS + 1 })).toMatchObject({ routes: [], backends: [], services: [] });
  });

  it('are published as the newest version that is ready says', () => {
    const at = (version: number, state: State, port: number) =>
      endpointOf({ task: `v${version}`, version, state, publish: { mode: 'tcp', port } });
    const ports = (...endpoints: EndpointView[]) => planOf({ endpoints }).ports.map(({ port }) => port);
    expect(ports(at(1, 'ready', 1001), at(2, 'starting', 1002))).toEqual([1001]);
    expect(ports(at(1, 'draining', 1001), at(2, 'ready', 1002))).toEqual([1002]);
    expect(ports(at(1, 'starting', 1001), at(2, 'starting', 1002))).toEqual([1002]);
  });
});

describe('what more than one service asks for', () => {
  const one = (job: string) =>
    endpointOf({ job, task: job, publish: { mode: 'http', port: 1001, hosts: ['a.example'] } });
  const winners = ({ ports, routes }: Plan) => [ports[0]?.backend, routes[0]?.backend];

  it('is the first one’s by name, and then whoever’s it was', () => {
    expect(winners(planOf({ endpoints: [one('b'), one('a')] }))).toEqual([
      'default:a:main:http',
      'default:a:main:http',
    ]);
    const before = planOf({ endpoints: [one('b')] });
    const both = planOf({ endpoints: [one('b'), one('a')], before });
    expect(winners(both)).toEqual(['default:b:main:http', 'default:b:main:http']);
    expect(both.troubles.map(({ service }) => service)).toEqual(['default/a/main/http', 'default/a/main/http']);
    // One that has no endpoint any more keeps what it has for a while, and then nothing from one that has.
    const without = (nowMs: number) => winners(planOf({ endpoints: [one('a')], before: both, nowMs }))[0];
    expect(without(KEEPS_MS)).toBe(winners(both)[0]);
    expect(without(KEEPS_MS + 1)).toBe('default:a:main:http');
  });

  it('is nobody’s where the balancer itself needs it, or another process has it', () => {
    const asking = (port: number) => endpointOf({ job: `j${port}`, publish: { mode: 'tcp', port } });
    const endpoints = [asking(80), asking(7880), asking(9000)];
    const plan = planOf({ endpoints, refused: new Map([[9000, 'another process listens there']]) });
    expect(plan.ports).toEqual([]);
    expect(plan.backends).toEqual([]);
    expect(plan.troubles.map(({ message }) => message)).toEqual([
      'gets no port 7880: the balancer tells its own state there',
      'gets no port 80: virtual hosts are served there',
      'gets no port 9000: another process listens there',
    ]);
  });
});

describe('any endpoints', () => {
  it('give a plan in which nothing is claimed twice, nothing is lost unsaid, and each has one server', () => {
    fc.assert(
      fc.property(fc.array(arbitraryEndpoints, { minLength: 1, maxLength: 4 }), (lists) => {
        let before = EMPTY_PLAN;
        for (const [index, endpoints] of lists.entries()) {
          const plan = planOf({ endpoints, before, nowMs: index });
          const backends = new Set(plan.backends.map(({ name }) => name));
          expect(backends.size).toBe(plan.backends.length);
          const claims = [
            ...plan.ports.map(({ port }) => String(port)),
            ...plan.routes.map(({ host, path }) => host + path),
          ];
          expect(new Set(claims).size).toBe(claims.length);
          for (const { backend } of [...plan.ports, ...plan.routes]) expect(backends).toContain(backend);
          for (const { slots } of plan.backends) {
            const served = slots.flatMap(({ endpoint }) => endpoint ?? []);
            expect(new Set(served).size).toBe(served.length);
          }
          everyReadyEndpointIsServedOrTold(plan, endpoints);
          before = plan;
        }
      }),
    );
  });

  it('give the same plan in any order', () => {
    fc.assert(
      fc.property(arbitraryEndpoints, (endpoints) => {
        // Which of two endpoints of one version decides how it is published is not said; the order of the rest is nothing.
        const uniform = endpoints.map((each) => ({
          ...each,
          version: 1,
          publish: { mode: 'tcp' as const, port: 1001 },
        }));
        expect(planOf({ endpoints: uniform.toReversed() }).backends).toEqual(planOf({ endpoints: uniform }).backends);
      }),
    );
  });
});

function everyReadyEndpointIsServedOrTold(plan: Plan, endpoints: readonly EndpointView[]): void {
  const served = new Set(
    plan.backends.flatMap(({ slots }) => slots.filter(({ use }) => use === 'use')).map((s) => s.endpoint),
  );
  const told = new Set(plan.troubles.map(({ service }) => service));
  for (const each of endpoints) {
    const isAsked = each.state === 'ready' && each.publish !== null && each.protocol === 'tcp';
    const key = `${each.role}/${each.job}/${each.group}/${each.portName}`;
    if (isAsked) expect(served.has(each.id) || told.has(key), each.id).toBe(true);
  }
}
