import { describe, expect, it } from 'vitest';
import { FrameworkFeed, RESEND } from '../../../control-plane/services/framework-feed.ts';
import type { StandingOffer } from '../../../control-plane/store/offer-index.ts';
import type { Offer } from '../../../shared/domain/offer.ts';
import { advance, type Task } from '../../../shared/domain/task.ts';
import { acknowledge } from '../../../shared/domain/task-update.ts';
import type { FrameworkEvent } from '../../../shared/protocol/framework.ts';
import { aFramework, aNode, anOffer, type ClusterLiteral, clusterOf, T0 } from '../../support/builders.ts';
import { launchedTask } from '../../support/frameworks.ts';

const ID = 'f000000000001';

interface Facts extends ClusterLiteral {
  readonly offers?: readonly Offer[];
  readonly atMs?: number;
}

function step(feed: FrameworkFeed, { offers = [], atMs = 0, ...literal }: Facts = {}) {
  const cluster = clusterOf({ frameworks: [aFramework()], nodes: [aNode()], ...literal });
  const standing = new Map(offers.map((offer): [string, StandingOffer] => [offer.id, { node: 'edge-1', offer }]));
  return feed.step({ cluster, offers: standing, nowMs: T0, monotonicMs: atMs });
}

/** What an event says, in short. */
function shortOf(event: FrameworkEvent): string {
  switch (event.type) {
    case 'offers':
      return `offers ${event.offers.map(({ id }) => id).join(' ')}`;
    case 'offer-gone':
      return `${event.because} ${event.offer}`;
    case 'update': {
      const { task, state, id, unreachable, healthy, reconciliation } = event.update;
      const health = healthy === null ? '' : ` ${healthy ? 'healthy' : 'unhealthy'}`;
      const marks = `${unreachable ? ' unreachable' : ''}${health}${reconciliation ? ' asked' : ''}`;
      return `${task} ${state} ${id === null ? '-' : id.slice(id.lastIndexOf(':') + 1)}${marks}`;
    }
    default:
      return event.type;
  }
}

function told(feed: FrameworkFeed, facts?: Facts): string[] {
  return step(feed, facts).events.map(shortOf);
}

function moved(task: Task, state: Task['state']): Task {
  return advance(task, { state, atMs: T0 + 2, reason: 'exited', message: state });
}

function withHealth(task: Task, healthy: boolean | null, run = 0): Task {
  const checks = [{ name: 'web', passing: healthy, message: `it is ${healthy}`, atMs: T0 + 9 }];
  return { ...task, health: { run, healthy, ready: true, sinceMs: T0 + 9, checks } };
}

function acknowledged(task: Task, place: number): Task {
  const outcome = acknowledge(task, place);
  expect(outcome.result).toBe('acknowledged');
  return outcome.task;
}

describe('updates of a task', () => {
  const starting = launchedTask(ID, 'one', { state: 'starting' });
  const ended = moved(moved(starting, 'running'), 'finished');

  it('are told one at a time, in order, each once it is the oldest that is not acknowledged', () => {
    const feed = new FrameworkFeed(ID);
    expect(told(feed, { tasks: [ended] })).toEqual(['one starting 1']);
    feed.touch(ended.id);
    expect(told(feed, { tasks: [ended] })).toEqual([]);
    const second = acknowledged(ended, 1);
    feed.touch(ended.id);
    expect(told(feed, { tasks: [second] })).toEqual(['one running 2']);
    const third = acknowledged(second, 2);
    feed.touch(ended.id);
    expect(told(feed, { tasks: [third] })).toEqual(['one finished 3']);
    feed.touch(ended.id);
    expect(told(feed, { tasks: [acknowledged(third, 3)], atMs: 10 * RESEND.maxMs })).toEqual([]);
  });

  it('are not told of what is the framework`s own doing, nor of what is not its own', () => {
    const others = launchedTask('f000000000002', 'two', { state: 'running' });
    const feed = new FrameworkFeed(ID);
    feed.touch(others.id);
    expect(told(feed, { tasks: [launchedTask(ID, 'one'), others] })).toEqual([]);
  });

  it('are told again after ever longer times until they are acknowledged', () => {
    const feed = new FrameworkFeed(ID);
    const tasks = [starting];
    expect(told(feed, { tasks })).toHaveLength(1);
    const times: number[] = [];
    for (let wakeAtMs = step(feed, { tasks }).wakeAtMs; times.length < 8; ) {
      if (wakeAtMs === null) throw new Error('nothing is told again');
      expect(told(feed, { tasks, atMs: wakeAtMs - 1 })).toEqual([]);
      expect(told(feed, { tasks, atMs: wakeAtMs })).toEqual(['one starting 1']);
      times.push(wakeAtMs);
      wakeAtMs = step(feed, { tasks, atMs: wakeAtMs }).wakeAtMs;
    }
    const waits = times.map((atMs, at) => atMs - (times[at - 1] ?? 0));
    expect(waits).toEqual([10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 600_000, 600_000]);
    feed.touch(starting.id);
    expect(step(feed, { tasks: [acknowledged(starting, 1)], atMs: 1e9 })).toEqual({ events: [], wakeAtMs: null });
  });

  it('end with its record', () => {
    const feed = new FrameworkFeed(ID);
    told(feed, { tasks: [starting] });
    feed.touch(starting.id);
    expect(step(feed, { atMs: RESEND.maxMs })).toEqual({ events: [], wakeAtMs: null });
  });

  it('are all told by another stream that begins, whatever this one has told', () => {
    const first = new FrameworkFeed(ID);
    const running = acknowledged(moved(starting, 'running'), 1);
    expect(told(first, { tasks: [running] })).toEqual(['one running 2']);
    expect(told(new FrameworkFeed(ID), { tasks: [running] })).toEqual(['one running 2']);
  });

  it('say that its node has fallen silent, and is heard of again, without an acknowledgement', () => {
    const task = acknowledged(starting, 1);
    const silent = { dead: ['edge-1'], epochs: { 'edge-1': { epoch: 1, unreachableSinceMs: T0 } } };
    const feed = new FrameworkFeed(ID);
    expect(told(feed, { tasks: [task] })).toEqual([]);
    feed.touch(task.id);
    expect(told(feed, { tasks: [task], dead: ['edge-1'] })).toEqual([]);
    feed.touch(task.id);
    expect(told(feed, { tasks: [task], ...silent })).toEqual(['one starting - unreachable']);
    feed.touch(task.id);
    expect(told(feed, { tasks: [task], ...silent })).toEqual([]);
    feed.touch(task.id);
    expect(told(feed, { tasks: [task] })).toEqual(['one starting -']);
  });

  it('never say that a node is heard of again that is declared gone, before they tell the end of its tasks', () => {
    const task = acknowledged(moved(acknowledged(starting, 1), 'running'), 2);
    const dead = ['edge-1'];
    const silent = { epoch: 1, unreachableSinceMs: T0 };
    const gone = { epoch: 2, unreachableSinceMs: null, gone: { atMs: T0, by: 'anna' } };
    const feed = new FrameworkFeed(ID);
    expect(told(feed, { tasks: [task], dead, epochs: { 'edge-1': silent } })).toEqual(['one running - unreachable']);
    feed.touch(task.id);
    expect(told(feed, { tasks: [task], dead, epochs: { 'edge-1': gone } })).toEqual([]);
    feed.ask(['one']);
    expect(told(feed, { tasks: [task], dead, epochs: { 'edge-1': gone } })).toEqual([
      'one running - unreachable asked',
    ]);
    feed.touch(task.id);
    const ended = { tasks: [moved(task, 'lost')], dead, epochs: { 'edge-1': gone } };
    expect(told(feed, ended)).toEqual(['one lost 3']);
  });

  it('come in steps that are bounded, and all of them come', () => {
    const tasks = Array.from({ length: 1200 }, (_, at) => launchedTask(ID, `t${at}`, { state: 'running' }));
    const feed = new FrameworkFeed(ID);
    const steps = [1, 2, 3, 4].map(() => told(feed, { tasks }));
    expect(steps.map((events) => events.length)).toEqual([500, 500, 200, 0]);
    expect(new Set(steps.flat()).size).toBe(1200);
  });
});

describe('the health of a task', () => {
  const running = launchedTask(ID, 'one', { state: 'running' });
  const known = acknowledged(running, 1);
  const follow = (feed: FrameworkFeed, task: Task) => {
    feed.touch(task.id);
    return told(feed, { tasks: [task] });
  };

  it('is told each time that it has become another, and leaves nothing to acknowledge', () => {
    const feed = new FrameworkFeed(ID);
    expect(follow(feed, known)).toEqual([]);
    expect(follow(feed, withHealth(known, null))).toEqual([]);
    expect(follow(feed, withHealth(known, true))).toEqual(['one running - healthy']);
    expect(follow(feed, withHealth(known, true))).toEqual([]);
    expect(follow(feed, withHealth(known, false))).toEqual(['one running - unhealthy']);
    expect(follow(feed, withHealth(known, true))).toEqual(['one running - healthy']);
    expect(follow(feed, { ...withHealth(known, true), run: 1 })).toEqual(['one running -']);
    expect(step(feed, { tasks: [known], atMs: 10 * RESEND.maxMs })).toEqual({ events: [], wakeAtMs: null });
  });

  it('says why, since when, and what the checks have found', () => {
    const [event] = step(new FrameworkFeed(ID), { tasks: [withHealth(known, false)] }).events;
    const message = 'web: it is false';
    const update = { id: null, reason: 'health-changed', at: '2026-01-01T00:00:00.009Z', message };
    expect(event).toMatchObject({ type: 'update', update: { ...update, state: 'running', healthy: false } });
  });

  it('comes with what is to be acknowledged, and by itself only after that', () => {
    const feed = new FrameworkFeed(ID);
    expect(follow(feed, withHealth(running, true))).toEqual(['one running 1 healthy']);
    expect(follow(feed, withHealth(running, false))).toEqual([]);
    expect(follow(feed, withHealth(known, false))).toEqual(['one running - unhealthy']);
    const again = new FrameworkFeed(ID);
    expect(follow(again, withHealth(running, true))).toEqual(['one running 1 healthy']);
    expect(follow(again, withHealth(known, true))).toEqual([]);
  });

  it('is told anew by a stream that begins, whatever was told before', () => {
    expect(told(new FrameworkFeed(ID), { tasks: [withHealth(known, true)] })).toEqual(['one running - healthy']);
    expect(told(new FrameworkFeed(ID), { tasks: [withHealth(known, null)] })).toEqual([]);
  });

  it('is said with the end that a check has brought about, and comes with answers', () => {
    const end = { state: 'failed', atMs: T0 + 10, reason: 'unhealthy', message: 'it does not work' } as const;
    const ended = advance(withHealth(known, false), end);
    const feed = new FrameworkFeed(ID);
    expect(follow(feed, ended)).toEqual(['one failed 2 unhealthy']);
    expect(follow(feed, acknowledged(ended, 2))).toEqual([]);
    feed.ask(['one']);
    expect(told(feed, { tasks: [ended] })).toEqual(['one failed - unhealthy asked']);
  });
});

describe('offers', () => {
  const one = anOffer({ id: '1-1-1' });
  const two = anOffer({ id: '1-1-2' });

  it('are told once each, and how those end that were told', () => {
    const feed = new FrameworkFeed(ID);
    expect(told(feed, { offers: [one] })).toEqual(['offers 1-1-1']);
    feed.offersMoved();
    expect(told(feed, { offers: [one, two] })).toEqual(['offers 1-1-2']);
    feed.offersMoved();
    feed.offerGone('1-1-1', 'expired');
    feed.offerGone('1-9-9', 'withdrawn');
    expect(told(feed, { offers: [two] })).toEqual(['expired 1-1-1']);
    feed.offersMoved();
    expect(told(feed)).toEqual([]);
    feed.offerGone('1-1-2', 'withdrawn');
    expect(told(feed)).toEqual([]);
  });

  it('that came and went before they were told are not told at all', () => {
    const feed = new FrameworkFeed(ID);
    feed.offerGone('1-1-1', 'withdrawn');
    expect(told(feed)).toEqual([]);
  });

  it('come at most 200 in one event', () => {
    const offers = Array.from({ length: 450 }, (_, at) => anOffer({ id: `1-1-${at}` }));
    const { events } = step(new FrameworkFeed(ID), { offers });
    expect(events.map((event) => (event.type === 'offers' ? event.offers.length : 0))).toEqual([200, 200, 50]);
  });
});

describe('a question', () => {
  const running = acknowledged(launchedTask(ID, 'one', { state: 'running' }), 1);
  const ended = acknowledged(launchedTask(ID, 'two', { state: 'finished' }), 1);
  const tasks = [running, ended];

  it('is answered for each task that is named, known or not', () => {
    const feed = new FrameworkFeed(ID);
    expect(told(feed, { tasks })).toEqual([]);
    feed.ask(['one', 'two', 'three']);
    const answers = ['one running - asked', 'two finished - asked', 'three unknown - asked'];
    expect(told(feed, { tasks })).toEqual(answers);
    expect(told(feed, { tasks })).toEqual([]);
  });

  it('that names none is answered for all that have not ended', () => {
    const feed = new FrameworkFeed(ID);
    feed.ask(null);
    expect(told(feed, { tasks })).toEqual(['one running - asked']);
  });

  it('is refused where too many wait for their answer', () => {
    const feed = new FrameworkFeed(ID);
    const names = (from: number) => Array.from({ length: 10_000 }, (_, at) => `t${from + at}`);
    expect([0, 10_000, 20_000].map((from) => feed.ask(names(from)))).toEqual([true, true, false]);
  });
});
