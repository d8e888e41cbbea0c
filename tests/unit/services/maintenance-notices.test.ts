import { beforeEach, describe, expect, it } from 'vitest';
import { FrameworkFeed } from '../../../control-plane/services/framework-feed.ts';
import type { MaintenanceWindow } from '../../../shared/domain/maintenance.ts';
import {
  aFramework,
  aJob,
  aLedger,
  aNode,
  anEntry,
  anOffer,
  aWindow,
  type ClusterLiteral,
  clusterOf,
  T0,
} from '../../support/builders.ts';
import { launchedTask } from '../../support/frameworks.ts';

const ID = 'f000000000001';
const OTHER = 'f000000000002';
const task = launchedTask(ID, 'one');
const held = (framework = ID) => aLedger({ entries: [anEntry(aJob(), task, { framework })] });
const window = aWindow({ startsAtMs: T0 + 100, durationMs: 100 });
const answered = (askAgainAtMs: number, framework = ID): MaintenanceWindow => ({
  ...window,
  answers: { [framework]: { answer: 'declines', atMs: T0, askAgainAtMs } },
});

let feed: FrameworkFeed;
let nowMs: number;

beforeEach(() => {
  feed = new FrameworkFeed(ID);
  nowMs = T0;
});

/** What is told of maintenance next, in short. The framework has a task on the node, unless the change says otherwise. */
function told(change: ClusterLiteral = {}, offersOn: readonly string[] = []): string[] {
  const literal = { frameworks: [aFramework()], nodes: [aNode()], ledgers: [held()], tasks: [task], ...change };
  const offers = new Map(offersOn.map((node, at) => [`1-1-${at}`, { node, offer: anOffer({ id: `1-1-${at}` }) }]));
  return feed.step({ cluster: clusterOf(literal), offers, nowMs, monotonicMs: nowMs - T0 }).events.flatMap((event) => {
    if (event.type === 'maintenance') return [`${event.notice.id} ${event.notice.node}`];
    return event.type === 'maintenance-over' ? [`over ${event.notice}`] : [];
  });
}

function touched(change: ClusterLiteral = {}): string[] {
  feed.maintenance.touch('edge-1');
  return told(change);
}

const NOTICE = 'w-edge-1 edge-1';

describe('a notice', () => {
  it('is told once to who has a task on the node, and to whoever opens a stream anew', () => {
    expect(told({ maintenance: [window] })).toEqual([NOTICE]);
    expect(touched({ maintenance: [window] })).toEqual([]);
    feed = new FrameworkFeed(ID);
    expect(told({ maintenance: [window] })).toEqual([NOTICE]);
  });

  it('is told to who is only offered something there', () => {
    const ledgers = [aLedger({ offers: [anOffer()] })];
    expect(told({ maintenance: [window], ledgers, tasks: [] }, ['edge-1'])).toEqual([NOTICE]);
  });

  it('is not told to who has nothing there, until that changes', () => {
    const ledgers = [held(OTHER)];
    expect(told({ maintenance: [window], ledgers, tasks: [] })).toEqual([]);
    expect(touched({ maintenance: [window], ledgers })).toEqual([]);
    expect(touched({ maintenance: [window] })).toEqual([NOTICE]);
  });

  it('is told of a window that is set later', () => {
    expect(told()).toEqual([]);
    expect(told({ maintenance: [window] })).toEqual([]);
    expect(touched({ maintenance: [window] })).toEqual([NOTICE]);
  });

  it('is told of a window that is running, and of none that is over', () => {
    nowMs = T0 + 199;
    expect(told({ maintenance: [window] })).toEqual([NOTICE]);
    nowMs = T0 + 200;
    feed = new FrameworkFeed(ID);
    expect(told({ maintenance: [window] })).toEqual([]);
  });
});

describe('a notice that was answered', () => {
  it('is told again when the framework said, though nothing changes, and then not again', () => {
    told({ maintenance: [window] });
    const maintenance = [answered(T0 + 50)];
    expect(touched({ maintenance })).toEqual([]);
    nowMs = T0 + 49;
    expect(told({ maintenance })).toEqual([]);
    nowMs = T0 + 50;
    expect(told({ maintenance })).toEqual([NOTICE]);
    expect(touched({ maintenance })).toEqual([]);
  });

  it('is told on a new stream only then, and has it wake up for that', () => {
    const cluster = clusterOf({ nodes: [aNode()], ledgers: [held()], tasks: [task], maintenance: [answered(T0 + 50)] });
    const step = () => feed.step({ cluster, offers: new Map(), nowMs, monotonicMs: 1000 + nowMs - T0 });
    expect(step()).toEqual({ events: [], wakeAtMs: 1050 });
    nowMs = T0 + 50;
    expect(step()).toMatchObject({ events: [{ type: 'maintenance' }], wakeAtMs: null });
  });

  it('by another one is told all the same', () => {
    expect(told({ maintenance: [answered(T0 + 50, OTHER)] })).toEqual([NOTICE]);
  });
});

describe('a notice is over', () => {
  beforeEach(() => {
    told({ maintenance: [window] });
  });

  it('once, when its window is taken back, or over', () => {
    expect(touched()).toEqual(['over w-edge-1']);
    expect(touched()).toEqual([]);
  });

  it('when its window is another one by now, of which it is told in the same step', () => {
    expect(touched({ maintenance: [{ ...window, id: 'other' }] })).toEqual(['over w-edge-1', 'other edge-1']);
  });

  it('also for who has left the node since', () => {
    expect(touched({ maintenance: [window], ledgers: [aLedger()] })).toEqual([]);
    expect(touched({ ledgers: [aLedger()] })).toEqual(['over w-edge-1']);
  });
});
