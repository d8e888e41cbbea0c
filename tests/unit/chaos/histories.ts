/** A history in which nothing is wrong, small enough to see that, and the parts to make one in which something is. */
import type { JobSummary, NodeView, TaskView } from '../../../shared/protocol/views.ts';
import type { FaultRecord, FeedEntry, FinalView, History, RequestRecord, WitnessLine } from '../../chaos/history.ts';

export const NODE = 'node-a';
const TIME = '2026-01-01T00:00:10.000Z';
const STATES = ['pending', 'staging', 'starting', 'running'] as const;

export function aRequest(change: Partial<RequestRecord> = {}): RequestRecord {
  const answer = {
    type: 'accepted',
    uid: 'uid-1',
    version: 1,
    state: 'pending',
    seenRevision: 5,
    revision: 6,
  } as const;
  return { id: 1, kind: 'submit', job: 'job-1', sentAtMs: 0, attempts: 1, answeredAtMs: 10, answer, ...change };
}

export function accepted(
  change: Partial<Extract<RequestRecord['answer'], { type: 'accepted' }>>,
): RequestRecord['answer'] {
  return { type: 'accepted', uid: 'uid-1', version: 1, state: 'running', seenRevision: 5, revision: 6, ...change };
}

export function aSummary(change: Partial<JobSummary> = {}): JobSummary {
  const counts = {
    pending: 0,
    staging: 0,
    starting: 0,
    running: 0,
    finished: 1,
    failed: 0,
    killed: 0,
    error: 0,
    lost: 0,
  };
  return {
    ...{ uid: 'uid-1', name: 'job-1', role: 'default', kind: 'batch', version: 1, priority: 50, state: 'succeeded' },
    ...{ message: '', createdAt: TIME, updatedAt: TIME, createdBy: 'client', endedAt: TIME, tasks: counts },
    ...{ healthy: null, deployment: null, ...change },
  };
}

export function aTaskView(change: Partial<TaskView> = {}): TaskView {
  const state = change.state ?? 'finished';
  const history = [...STATES, state].map((each) => ({ state: each, at: TIME, reason: 'exited' as const, message: '' }));
  return {
    ...{
      id: 'task-1',
      job: { uid: 'uid-1', name: 'job-1', version: 1 },
      framework: null,
      role: 'default',
      group: 'main',
      index: 0,
    },
    ...{ attempt: 0, state, unreachable: false, node: NODE, host: 'host', ports: {}, exitCode: 0, reason: 'exited' },
    ...{ message: '', createdAt: TIME, notBefore: null, placedAt: TIME, startedAt: TIME, endedAt: TIME, stop: null },
    ...{ run: 0, gpus: [], restarts: [], health: null, outdated: false, explanation: null, history, ...change },
  };
}

export function aNodeView(change: Partial<NodeView> = {}): NodeView {
  const nothing = { cpus: 0, memMiB: 0, diskMiB: 0, gpus: 0, custom: {}, ports: [] };
  const total = { ...nothing, cpus: 3, memMiB: 4096 };
  const consent = {
    hostNetwork: false,
    hostMounts: [],
    privileged: false,
    devices: [],
    capabilities: [],
    executors: false,
    processRuntime: false,
  };
  return {
    ...{ id: NODE, hostname: 'host', address: null, state: 'ready', eligible: true, drain: null, maintenance: null },
    ...{ unreachableSince: null, total },
    ...{ used: nothing, offered: nothing, reserved: nothing },
    ...{ free: total, attributes: {}, consent, agentVersion: '1', engine: 'docker', registeredAt: TIME },
    ...{ gpus: [], missingGpus: [], tasks: 0, ahead: null, keptAside: [], ...change },
  };
}

export function aLine(change: Partial<WitnessLine> = {}): WitnessLine {
  return { type: 'start', task: 'task-1', node: NODE, container: 'c-1', atMs: 1000, exitCode: null, ...change };
}

/** From its start to its end, or to when it was last seen. */
export function aLife(change: Partial<WitnessLine>, { from = 1000, to = 2000, isKilled = false } = {}): WitnessLine[] {
  const last = isKilled ? ({ type: 'alive' } as const) : ({ type: 'end', exitCode: 0 } as const);
  return [aLine({ ...change, atMs: from, exitCode: null }), aLine({ ...last, ...change, atMs: to })];
}

export function anEvent(state: string, revision: number, task = 'task-1'): FeedEntry {
  const type = `task.${state}` as 'task.pending';
  const nothing = { framework: null, deployment: null, reason: null, message: '', at: TIME };
  return { type: 'event', event: { revision, type, role: 'default', job: 'job-1', task, node: NODE, ...nothing } };
}

export function events(states: readonly string[], from = 10): FeedEntry[] {
  return states.map((state, at) => anEvent(state, from + at));
}

export const WHOLE_FEED: readonly FeedEntry[] = events([...STATES, 'finished']);

export function aFault(change: Partial<FaultRecord> = {}): FaultRecord {
  return { kind: 'power-cut', targets: [NODE], beganAtMs: 1000, endedAtMs: 2000, ...change };
}

export function aFinal(change: Partial<FinalView> = {}): FinalView {
  return { replica: 'replica-fresh', jobs: [aSummary()], tasks: [aTaskView()], nodes: [aNodeView()], ...change };
}

/** One job of one task that finished: with `final`, all replicas say that. */
export function aHistory({ final, ...change }: Partial<History> & { final?: Partial<FinalView> } = {}): History {
  const planned = [{ name: 'main', count: 1, exitCode: 0, retriesMax: 0 }];
  return {
    jobs: [{ name: 'job-1', versions: [planned], promises: { neverAgain: false, neverTwo: false } }],
    requests: [aRequest()],
    witness: aLife({}),
    faults: [],
    feed: WHOLE_FEED,
    samples: [{ atMs: 500, round: 1, nodes: [aNodeView()] }],
    finals: [aFinal(final), aFinal({ ...final, replica: 'replica-0' })],
    ...{ mishaps: [], leftovers: [], unrest: null, machineCpus: 3 },
    steadyZeroMs: Date.parse(TIME) - 1500,
    ...change,
  };
}
