/** The judge of a chaos run, shown that it finds what it is there to find, and nothing where nothing is wrong. */
import { describe, expect, it } from 'vitest';
import { checkHistory } from '../../chaos/check/check.ts';
import type { History, PlannedJob } from '../../chaos/history.ts';
import {
  accepted,
  aFault,
  aFinal,
  aHistory,
  aLife,
  aLine,
  aNodeView,
  anEvent,
  aRequest,
  aSummary,
  aTaskView,
  events,
  NODE,
  WHOLE_FEED,
} from './histories.ts';

function rules(history: History): string[] {
  return [...new Set(checkHistory(history).map(({ rule }) => rule))];
}

const MAIN = { name: 'main', count: 1, exitCode: 0, retriesMax: 0 };
const NO_PROMISES = { neverAgain: false, neverTwo: false };
const planned = (change: Partial<typeof MAIN>, promises: Partial<PlannedJob['promises']> = {}): PlannedJob[] => [
  { name: 'job-1', versions: [[{ ...MAIN, ...change }]], promises: { ...NO_PROMISES, ...promises } },
];
const killedTask = aTaskView({ state: 'failed', exitCode: 255, message: 'exited with code 255' });
const failedJob = aSummary({ state: 'failed' });
const retry = aTaskView({ id: 'task-2', attempt: 1 });
const feedOf = (state: string) => events(['pending', 'staging', 'starting', 'running', state]);
const overcommitted = aNodeView({ used: { ...aNodeView().total, cpus: 4 } });

/** Its node stopped it for want of contact, and another attempt took its place. */
const fenced = (change: Partial<Parameters<typeof aHistory>[0]> = {}): History =>
  aHistory({
    jobs: planned({ retriesMax: 1 }, { neverTwo: true }),
    faults: [aFault({ kind: 'uplink-gone' })],
    witness: [
      ...aLife({}, { isKilled: true }),
      ...aLife({ task: 'task-2', container: 'c-2' }, { from: 3000, to: 4000 }),
    ],
    feed: [
      ...feedOf('failed'),
      ...['pending', 'staging', 'starting', 'running', 'finished'].map((state, at) =>
        anEvent(state, 20 + at, 'task-2'),
      ),
    ],
    final: { tasks: [aTaskView({ state: 'failed', reason: 'disconnected', exitCode: 143 }), retry] },
    ...change,
  });

const SOUND: Record<string, History> = {
  'a job that finished': aHistory(),
  'a job that failed with its own code': aHistory({
    jobs: planned({ exitCode: 3 }),
    witness: [aLine(), aLine({ type: 'end', atMs: 2000, exitCode: 3 })],
    feed: feedOf('failed'),
    final: { jobs: [failedJob], tasks: [aTaskView({ state: 'failed', exitCode: 3 })] },
  }),
  'a task that a power cut ended, and its retry': aHistory({
    jobs: planned({ retriesMax: 1 }),
    faults: [aFault()],
    witness: [
      ...aLife({}, { isKilled: true }),
      ...aLife({ task: 'task-2', container: 'c-2' }, { from: 3000, to: 4000 }),
    ],
    feed: [
      ...feedOf('failed'),
      ...['pending', 'staging', 'starting', 'running', 'finished'].map((state, at) =>
        anEvent(state, 20 + at, 'task-2'),
      ),
    ],
    final: { tasks: [killedTask, retry] },
  }),
  'a task that its node stopped while it was cut off': fenced(),
  'a job whose stop was answered before its end': aHistory({
    requests: [aRequest(), aRequest({ id: 2, kind: 'stop', answer: accepted({}) })],
    witness: aLife({}, { isKilled: true }),
    feed: feedOf('killed'),
    final: { jobs: [aSummary({ state: 'stopped' })], tasks: [aTaskView({ state: 'killed', exitCode: 137 })] },
  }),
  'a stop that came too late': aHistory({
    requests: [aRequest(), aRequest({ id: 2, kind: 'stop', answer: accepted({ state: 'succeeded' }) })],
  }),
  'a deleted job': aHistory({
    requests: [aRequest(), aRequest({ id: 2, kind: 'delete', answer: accepted({}) })],
    final: { jobs: [] },
  }),
  'a deletion that finds its own earlier copy done': aHistory({
    requests: [aRequest(), aRequest({ id: 2, kind: 'delete', answer: { type: 'absent', uncertain: true } })],
    final: { jobs: [] },
  }),
  'a submission that nobody answered, and that came to nothing': aHistory({
    requests: [aRequest({ answer: null })],
    witness: [],
    feed: [],
    final: { jobs: [], tasks: [] },
  }),
  'a feed that was read anew in the middle of a task': aHistory({
    feed: [...WHOLE_FEED.slice(0, 2), { type: 'listed-anew', revision: 13 }, ...WHOLE_FEED.slice(4)],
  }),
  'an agent that could not begin on a full disk': aHistory({
    faults: [aFault({ kind: 'disk-full' })],
    mishaps: [{ process: NODE, atMs: 1500, what: 'it ended with exit code 2' }],
  }),
};

const BROKEN: readonly [rule: string, what: string, history: History][] = [
  ['no accepted job is lost', 'it is not on record', aHistory({ final: { jobs: [] } })],
  [
    'no accepted job is lost',
    'a client was told that it is not there',
    aHistory({ requests: [aRequest(), aRequest({ kind: 'read', answer: { type: 'absent', uncertain: true } })] }),
  ],
  [
    'no accepted job is lost',
    'a deletion finds nothing at the first time',
    aHistory({
      requests: [aRequest(), aRequest({ kind: 'delete', answer: { type: 'absent', uncertain: false } })],
      final: { jobs: [] },
    }),
  ],
  [
    'nothing sound is refused',
    'a repeated submission is taken for another',
    aHistory({
      requests: [aRequest(), aRequest({ kind: 'read', answer: { type: 'refused', status: 409, detail: '' } })],
    }),
  ],
  [
    'one key makes one job',
    'two uids for one submission',
    aHistory({ requests: [aRequest(), aRequest({ kind: 'read', answer: accepted({ uid: 'uid-2' }) })] }),
  ],
  [
    'no view goes back in time',
    'an answer from the past',
    aHistory({ requests: [aRequest({ answer: accepted({ seenRevision: 9, revision: 8 }) })] }),
  ],
  [
    'what was deleted is gone',
    'it is on record again',
    aHistory({ requests: [aRequest(), aRequest({ kind: 'delete', answer: accepted({}) })] }),
  ],
  [
    'no answered stop is undone',
    'it succeeded after its stop',
    aHistory({ requests: [aRequest(), aRequest({ kind: 'stop', answer: accepted({ state: 'running' }) })] }),
  ],
  [
    'a task ends as it was meant to, or as a fault explains',
    'a node stops what may run on while it is cut off',
    fenced({ jobs: planned({ retriesMax: 1 }) }),
  ],
  [
    'a task ends as it was meant to, or as a fault explains',
    'a node stops something for want of contact although nothing went wrong',
    fenced({ faults: [] }),
  ],
  ['nobody stops unasked', 'it was stopped by nobody', aHistory({ final: { jobs: [aSummary({ state: 'stopped' })] } })],
  [
    'no answered change is undone',
    'it is at the version before',
    aHistory({ requests: [aRequest(), aRequest({ kind: 'change', answer: accepted({ version: 2 }) })] }),
  ],
  ['every job ends', 'it still runs', aHistory({ final: { jobs: [aSummary({ state: 'running', endedAt: null })] } })],
  [
    'every task ends',
    'a task still runs',
    aHistory({
      feed: WHOLE_FEED.slice(0, 4),
      final: { tasks: [aTaskView({ state: 'running', exitCode: null, history: aTaskView().history.slice(0, 4) })] },
    }),
  ],
  ['a job ends as its tasks did', 'it failed, and its task finished', aHistory({ final: { jobs: [failedJob] } })],
  ['every task is made', 'a place without an attempt', aHistory({ jobs: planned({ count: 2 }) })],
  [
    'attempts are counted',
    'one is missing',
    aHistory({ final: { tasks: [aTaskView({ attempt: 1 })] }, jobs: planned({ retriesMax: 1 }) }),
  ],
  [
    'no more attempts than allowed',
    'a retry too many',
    aHistory({
      witness: [...aLife({}), ...aLife({ task: 'task-2', container: 'c-2' })],
      final: { tasks: [aTaskView(), retry] },
    }),
  ],
  [
    'no attempt is withheld',
    'a retry is owed',
    aHistory({
      jobs: planned({ retriesMax: 1 }),
      faults: [aFault()],
      witness: aLife({}, { isKilled: true }),
      feed: feedOf('failed'),
      final: { jobs: [failedJob], tasks: [killedTask] },
    }),
  ],
  [
    'a task ends as it was meant to, or as a fault explains',
    'nobody killed it',
    aHistory({
      witness: aLife({}, { isKilled: true }),
      feed: feedOf('failed'),
      final: { jobs: [failedJob], tasks: [killedTask] },
    }),
  ],
  [
    'a task ends as it was meant to, or as a fault explains',
    'the fault would have cost it another code',
    aHistory({
      faults: [aFault({ kind: 'container-killed' })],
      witness: aLife({}, { isKilled: true }),
      feed: feedOf('failed'),
      final: { jobs: [failedJob], tasks: [killedTask] },
    }),
  ],
  [
    'a task ends as it was meant to, or as a fault explains',
    'the fault was long before',
    aHistory({
      faults: [aFault({ beganAtMs: -200_000, endedAtMs: -100_000 })],
      witness: aLife({}, { isKilled: true }),
      feed: feedOf('failed'),
      final: { jobs: [failedJob], tasks: [killedTask] },
    }),
  ],
  [
    'a task ends as it was meant to, or as a fault explains',
    'given up though its job waits for ever',
    aHistory({
      jobs: planned({}, { neverAgain: true }),
      feed: feedOf('lost'),
      final: { jobs: [failedJob], tasks: [aTaskView({ state: 'lost', reason: 'node-lost', exitCode: null })] },
    }),
  ],
  [
    'no task runs twice',
    'a second container',
    aHistory({ witness: [...aLife({}), ...aLife({ container: 'c-2' }, { from: 3000, to: 4000 })] }),
  ],
  ['no task runs twice', 'the same container again', aHistory({ witness: [...aLife({}), aLine({ atMs: 3000 })] })],
  [
    'whatever runs is on record',
    'a task that nobody knows',
    aHistory({ witness: [...aLife({}), ...aLife({ task: 'task-9', container: 'c-9' })] }),
  ],
  ['whatever runs is on record', 'on another node', aHistory({ witness: aLife({ node: 'node-b' }) })],
  ['nothing is made up', 'no container ran for it', aHistory({ witness: [] })],
  [
    'exit codes are true',
    'another code is on record',
    aHistory({ witness: [aLine(), aLine({ type: 'end', exitCode: 7, atMs: 2000 })] }),
  ],
  [
    'no node is overcommitted',
    'four ran where three fit',
    aHistory({
      witness: ['task-1', 'task-2', 'task-3', 'task-4'].flatMap((task) => aLife({ task, container: task })),
      final: { tasks: ['task-1', 'task-2', 'task-3', 'task-4'].map((id, index) => aTaskView({ id, index })) },
      jobs: planned({ count: 4 }),
    }),
  ],
  [
    'no node is overcommitted',
    'a ledger says so',
    aHistory({ samples: [{ atMs: 1, round: 1, nodes: [overcommitted] }] }),
  ],
  [
    'never a second time',
    'two containers for one place',
    aHistory({
      jobs: planned({ retriesMax: 1 }, { neverAgain: true }),
      witness: [...aLife({}), ...aLife({ task: 'task-2', container: 'c-2' }, { from: 3000, to: 4000 })],
      final: { tasks: [aTaskView(), retry] },
    }),
  ],
  [
    'never two at a time',
    'one beside the other',
    aHistory({
      jobs: planned({ retriesMax: 1 }, { neverTwo: true }),
      witness: [...aLife({}), ...aLife({ task: 'task-2', container: 'c-2' }, { from: 1500, to: 4000 })],
      final: { tasks: [aTaskView(), retry] },
    }),
  ],
  ['each event comes once', 'one is missing', aHistory({ feed: WHOLE_FEED.filter((_, at) => at !== 2) })],
  ['each event comes once', 'one comes twice', aHistory({ feed: [...WHOLE_FEED, anEvent('finished', 20)] })],
  [
    'each event comes once',
    'one is missing after the feed was read anew',
    aHistory({ feed: [{ type: 'listed-anew', revision: 3 }, ...WHOLE_FEED.filter((_, at) => at !== 2)] }),
  ],
  [
    'events come in order',
    'a revision goes back',
    aHistory({ feed: [anEvent('pending', 20), ...WHOLE_FEED.slice(1)] }),
  ],
  ['ledgers are empty in the end', 'a place is still held', aHistory({ final: { nodes: [aNodeView({ tasks: 1 })] } })],
  [
    'all replicas agree',
    'one has an older mirror',
    aHistory({ finals: [aFinal(), aFinal({ replica: 'replica-0', jobs: [aSummary({ version: 2 })] })] }),
  ],
  [
    'nothing is left over',
    'a container still runs',
    aHistory({ leftovers: [{ node: NODE, container: 'c-1', task: 'task-1' }] }),
  ],
  [
    'no process fails by itself',
    'a replica ended',
    aHistory({ mishaps: [{ process: 'replica-0', atMs: 1500, what: 'it ended with exit code 1' }] }),
  ],
  [
    'no process fails by itself',
    'an agent ended long after its disk was full',
    aHistory({
      faults: [aFault({ kind: 'disk-full' })],
      mishaps: [{ process: NODE, atMs: 9000, what: 'it ended with exit code 1' }],
    }),
  ],
  ['the cluster comes to rest', 'it did not', aHistory({ unrest: 'a node is unreachable' })],
];

describe('a history in which nothing is wrong', () => {
  it.each(Object.entries(SOUND))('%s', (_, history) => {
    expect(checkHistory(history)).toEqual([]);
  });
});

describe('what must not be', () => {
  it.each(BROKEN)('%s: %s', (rule, _, history) => {
    expect(rules(history)).toContain(rule);
  });
});
