import { describe, expect, it } from 'vitest';
import { eventsOf } from '../../../control-plane/services/event-views.ts';
import { frameworkView, holdingsOf } from '../../../control-plane/services/framework-views.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import type { Framework } from '../../../shared/domain/framework.ts';
import type { OfferFilter } from '../../../shared/domain/offer.ts';
import {
  aFramework,
  aJob,
  aLedger,
  anEntry,
  anOffer,
  type ClusterLiteral,
  clusterOf,
  someResources,
  T0,
} from '../../support/builders.ts';
import { launchedTask } from '../../support/frameworks.ts';

const MINE = 'f000000000001';
const OTHER = 'f000000000002';

function viewOf(framework: Framework, literal: ClusterLiteral = {}, nowMs = T0) {
  const cluster = clusterOf({ frameworks: [framework, aFramework({ id: OTHER })], ...literal });
  return frameworkView(cluster, framework, holdingsOf(cluster, [framework], nowMs).get(framework.id));
}

function expired(untilMs: number, change: Partial<OfferFilter> = {}): OfferFilter {
  const about = { framework: MINE, role: 'default', generation: 0, offer: '1-1-0', times: 1 };
  return { ...about, refused: someResources(), sinceMs: T0, untilMs, because: 'expired', ...change };
}

describe('what a framework holds', () => {
  it('is summed over all nodes, its own alone, with the offer that it has held for longest', () => {
    const job = aJob();
    const [mine, others] = [launchedTask(MINE, 'one', { state: 'running' }), launchedTask(OTHER, 'two')];
    const resources = { ...someResources({ ports: [] }), cpus: 1.5, memMiB: 200, diskMiB: 0 };
    const ledgers = [
      aLedger({
        entries: [anEntry(job, mine, { framework: MINE, resources }), anEntry(job, others, { framework: OTHER })],
        offers: [anOffer({ id: '1-1-1', madeAtMs: T0 + 5 }), anOffer({ id: '1-1-2', framework: OTHER, madeAtMs: T0 })],
      }),
      aLedger({ node: 'edge-2', offers: [anOffer({ id: '1-1-3', madeAtMs: T0 + 2, resources: { cpus: 2 } })] }),
    ];
    expect(viewOf(aFramework(), { ledgers, tasks: [mine, others] })).toMatchObject({
      tasks: { running: 1, staging: 0 },
      holds: { cpus: 1.5, memMiB: 200 },
      offers: { count: 2, resources: { cpus: 3, memMiB: 200 }, oldestAt: '2026-01-01T00:00:00.002Z' },
      throttled: null,
    });
    expect(viewOf(aFramework({ id: 'f000000000003' }), { ledgers })).toMatchObject({
      holds: { cpus: 0 },
      offers: { count: 0, oldestAt: null },
    });
  });

  it.each<[string, OfferFilter[], Partial<Framework>, object | null]>([
    [
      'until the last node on which it did not answer is offered again',
      [expired(T0 + 10), expired(T0 + 30)],
      {},
      { nodes: 2, until: '2026-01-01T00:00:00.030Z' },
    ],
    ['not for what it has declined', [expired(T0 + 10, { because: 'declined' })], {}, null],
    ['not for what is over', [expired(T0)], {}, null],
    ['not for what it has revived', [expired(T0 + 10)], { filterGenerations: { default: 1 } }, null],
    ['not for what another one did', [expired(T0 + 10, { framework: OTHER })], {}, null],
  ])('is throttled %s', (_name, filters, change, throttled) => {
    const ledgers = filters.map((filter, at) => aLedger({ node: `edge-${at}`, filters: [filter] }));
    expect(viewOf(aFramework(change), { ledgers }).throttled).toEqual(throttled);
  });
});

describe('the state of a framework', () => {
  it.each<[string, Partial<Framework>, ClusterLiteral, string, string]>([
    ['with a stream', {}, {}, 'connected', 'holds its stream'],
    ['without', { disconnectedSinceMs: T0 }, { disconnected: [MINE] }, 'disconnected', 'after 60 s of that'],
    [
      'that was torn down',
      { teardown: { atMs: T0, by: 'alice', reason: 'enough' } },
      { tasks: [launchedTask(MINE, 'one')] },
      'ending',
      'torn down by alice: enough; 1 of its tasks has not ended yet',
    ],
    [
      'of which nothing is left',
      { teardown: { atMs: T0, by: 'alice', reason: 'enough' } },
      { tasks: [launchedTask(MINE, 'one', { state: 'finished' })] },
      'ended',
      'torn down by alice: enough; nothing of it is left',
    ],
  ])('%s', (_name, change, literal, state, message) => {
    expect(viewOf(aFramework(change), literal)).toMatchObject({ state, message: expect.stringContaining(message) });
  });
});

describe('events of a framework', () => {
  const before = aFramework({ roles: ['eng/ml', 'ops'] });
  const seen = (from: Framework | null, to: Framework | null) =>
    eventsOf({ kind: 'frameworks', key: keys.framework(MINE), id: MINE, before: from, after: to, revision: 7 });

  it.each<[string, Framework | null, Framework | null, string[]]>([
    ['its registration', null, before, ['framework.subscribed']],
    ['its next session', before, { ...before, session: 2, disconnectedSinceMs: T0 }, ['framework.subscribed']],
    ['its silence', before, { ...before, disconnectedSinceMs: T0 }, ['framework.disconnected']],
    ['its return', { ...before, disconnectedSinceMs: T0 }, before, []],
    ['its end', before, { ...before, teardown: { atMs: T0, by: 'alice', reason: 'enough' } }, ['framework.ended']],
    ['that its record goes', before, null, []],
  ])('tell %s', (_name, from, to, types) => {
    const events = seen(from, to);
    expect(events.map(({ type }) => type)).toEqual(types);
    for (const event of events) expect(event).toMatchObject({ framework: MINE, role: 'eng/ml', revision: 7 });
  });

  it('name it where they are about one of its tasks', () => {
    const task = launchedTask(MINE, 'one');
    const change = {
      kind: 'tasks',
      key: keys.task(task.id),
      id: task.id,
      before: null,
      after: task,
      revision: 7,
    } as const;
    expect(eventsOf(change)).toMatchObject([{ type: 'task.staging', framework: MINE, task: task.id }]);
  });
});
