/** What a change of a record means to people: pure translation from changes of the mirror to events. */
import type { Job, StopRequest } from '../../shared/domain/job.ts';
import type { Ledger } from '../../shared/domain/ledger.ts';
import { endsAtMs, type MaintenanceTime } from '../../shared/domain/maintenance.ts';
import type { ScalarAmounts } from '../../shared/domain/role.ts';
import { isLasting } from '../../shared/domain/service.ts';
import { DEFAULT_SETTINGS } from '../../shared/domain/settings.ts';
import type { Task } from '../../shared/domain/task.ts';
import { checksText } from '../../shared/domain/task-health.ts';
import type { EventType, EventView } from '../../shared/protocol/views.ts';
import { canonicalJson } from '../../shared/util/codec.ts';
import type { Change, ChangeOf } from '../store/snapshot.ts';
import { contestEvents, keyEvents, tokenEvents } from './credential-events.ts';
import { timeView } from './views.ts';

/** The events that a change amounts to; most changes of bookkeeping amount to none. */
export function eventsOf(change: Change): EventView[] {
  switch (change.kind) {
    case 'jobs':
      return jobEvents(change);
    case 'tasks':
      return taskEvents(change);
    case 'ledger':
      return ledgerEvents(change);
    case 'nodes':
      return nodeEvents(change);
    case 'epochs':
      return [...epochEvents(change), ...contested(change)];
    case 'cluster':
      return clusterEvents(change);
    case 'frameworks':
      return frameworkEvents(change);
    case 'roles':
      return roleEvents(change);
    case 'settings':
      return settingsEvents(change);
    case 'maintenance':
      return maintenanceEvents(change);
    case 'deployments':
      return deploymentEvents(change);
    case 'tokens':
      return tokenEvents(change).map((parts) => event({ revision: change.revision, ...parts }));
    case 'keys':
      return keyEvents(change).map((parts) => event({ revision: change.revision, ...parts }));
    case 'driver':
    case 'rounds':
    case 'alive':
    case 'versions':
    case 'replicas':
    case 'streams':
    case 'messages':
    case 'connections':
    case 'operations':
    case 'fetches':
    case 'policies':
    case 'vault':
      return [];
  }
}

function jobEvents({ before, after, revision }: ChangeOf<'jobs'>): EventView[] {
  const about = (job: Job, type: EventType, message: string, atMs: number | null) =>
    event({ revision, type, message, role: job.spec.role, job: job.spec.name, atMs });
  if (after === null) return before === null ? [] : [about(before, 'job.removed', 'its record is gone', null)];
  if (before === null || before.uid !== after.uid) {
    return [about(after, 'job.created', `submitted by ${after.createdBy}`, after.createdAtMs)];
  }
  const events: EventView[] = [];
  if (before.version !== after.version) {
    events.push(about(after, 'job.updated', versionText(before, after), after.updatedAtMs));
  }
  if (before.suspended === null && after.suspended !== null) {
    const { by, reason, atMs } = after.suspended;
    events.push(about(after, 'job.suspended', `${by} has suspended it: ${reason}`, atMs));
  }
  if (before.suspended !== null && after.suspended === null) {
    events.push(about(after, 'job.resumed', 'its tasks are wanted again', after.updatedAtMs));
  }
  if (before.stop === null && after.stop !== null) {
    const { by, reason, atMs } = after.stop;
    events.push(about(after, 'job.stopping', `${by} asked for its end: ${reason}`, atMs));
  }
  if (before.outcome === null && after.outcome !== null) {
    const { state, message, atMs } = after.outcome;
    events.push(about(after, `job.${state}`, message, atMs));
  }
  return events;
}

/** What is remembered of a job holds no groups, so what differs in them is told by its deployment. */
function versionText(before: Job, after: Job): string {
  const wanted = `version ${after.version} is wanted now`;
  const goesOn = isLasting(after.spec.kind) && canonicalJson(before.templates) === canonicalJson(after.templates);
  return goesOn ? `${wanted}; its tasks that run go on as they are` : wanted;
}

function deploymentEvents({ before, after, revision }: ChangeOf<'deployments'>): EventView[] {
  if (after === null) return [];
  const { id, role, jobName, toVersion, cause, message } = after;
  const about = (type: EventType, text: string, atMs: number | null) =>
    event({ revision, type, message: text, role, job: jobName, deployment: id, atMs });
  const events: EventView[] = [];
  if (before === null) {
    const what = `${id} is to roll out version ${toVersion}: ${cause} by ${after.createdBy}`;
    events.push(about('deployment.created', what, after.createdAtMs));
  }
  if (after.startedAtMs !== null && (before === null || before.startedAtMs === null)) {
    events.push(about('deployment.started', `${id} has begun to roll out version ${toVersion}`, after.startedAtMs));
  }
  if (after.promotedAtMs !== null && (before === null || before.promotedAtMs === null)) {
    events.push(about('deployment.promoted', `${after.promotedBy ?? 'berth'} has promoted ${id}`, after.promotedAtMs));
  }
  if (after.paused !== null && (before === null || before.paused === null)) {
    events.push(about('deployment.paused', `${after.paused.by} has paused ${id}`, after.paused.atMs));
  }
  const goesOn = before !== null && before.paused !== null && after.paused === null && after.state === 'running';
  if (goesOn) events.push(about('deployment.resumed', `${id} goes on`, after.progressAtMs));
  if (after.state !== 'running' && (before === null || before.state === 'running')) {
    events.push(about(`deployment.${after.state}`, `${id}: ${message}`, after.endedAtMs));
  }
  return events;
}

function taskEvents({ before, after, revision }: ChangeOf<'tasks'>): EventView[] {
  if (after === null) return [];
  const seen = before?.history.length ?? 0;
  const events = after.history.slice(seen).map((transition) =>
    event({
      revision,
      type: `task.${transition.state}`,
      message: transition.message,
      reason: transition.reason,
      atMs: transition.atMs,
      ...ofTask(after),
    }),
  );
  for (const { run, atMs, reason, message } of after.restarts) {
    if (run <= (before?.run ?? 0)) continue;
    events.push(event({ revision, type: 'task.restarted', message, reason, atMs, ...ofTask(after) }));
  }
  events.push(...healthEvents(before, after, revision));
  const askedNow = after.stop !== null && (before === null || before.stop === null);
  if (askedNow && after.stop !== null && after.state !== 'killed') {
    events.push(event({ revision, ...endingEvent(after.stop), ...ofTask(after) }));
  }
  return events;
}

/** What its checks have come to, where that is news: each verdict once, anew in each run. */
function healthEvents(before: Task | null, after: Task, revision: number): EventView[] {
  const { health } = after;
  if (health === null || health === before?.health) return [];
  const seen = before?.health?.run === health.run ? before.health : null;
  const about = (type: EventType, message: string) =>
    event({ revision, type, message, atMs: health.sinceMs, ...ofTask(after) });
  const events: EventView[] = [];
  if (health.healthy !== null && health.healthy !== seen?.healthy) {
    const type = health.healthy ? 'task.healthy' : 'task.unhealthy';
    events.push(about(type, checksText(health, health.healthy)));
  }
  if (health.ready !== (seen?.ready ?? false)) {
    const type = health.ready ? 'task.ready' : 'task.unready';
    events.push(about(type, health.ready ? 'it may be given something to do' : 'it is to be given nothing more to do'));
  }
  return events;
}

function endingEvent({ by, reason, atMs, displacedBy }: StopRequest): Pick<EventParts, 'type' | 'message' | 'atMs'> {
  if (displacedBy !== undefined) return { type: 'task.displaced', message: reason, atMs };
  return { type: 'task.stopping', message: `${by} asked for its end: ${reason}`, atMs };
}

function ofTask(task: Task): Required<Pick<EventParts, 'role' | 'job' | 'task' | 'node' | 'framework'>> {
  return {
    role: task.role,
    job: task.framework === null ? task.jobName : null,
    task: task.id,
    node: task.node,
    framework: task.framework?.id ?? null,
  };
}

function ledgerEvents({ before, after, revision }: ChangeOf<'ledger'>): EventView[] {
  if (before === null || after === null) return [];
  const about = (type: EventType, message: string, atMs: number | null = null) =>
    event({ revision, type, message, node: after.node, atMs });
  return [...drainEvents(before, after, about), ...eligibilityEvents(before, after, about)];
}

type About = (type: EventType, message: string, atMs?: number | null) => EventView;

function drainEvents(before: Ledger, after: Ledger, about: About): EventView[] {
  if (after.drain !== null && before.drain?.deadlineMs !== after.drain.deadlineMs) {
    const { deadlineMs, by, startedAtMs } = after.drain;
    const until = deadlineMs === null ? 'what runs may finish' : `what runs is stopped at ${timeView(deadlineMs)}`;
    return [about('node.draining', `drained by ${by}; ${until}`, startedAtMs)];
  }
  return after.drain === null && before.drain !== null ? [about('node.undrained', 'takes new tasks again')] : [];
}

function eligibilityEvents(before: Ledger, after: Ledger, about: About): EventView[] {
  if (before.eligible === after.eligible) return [];
  return [
    after.eligible
      ? about('node.eligible', 'may be given new tasks')
      : about('node.ineligible', 'is given no new tasks; what runs goes on'),
  ];
}

function nodeEvents({ after, revision }: ChangeOf<'nodes'>): EventView[] {
  if (after === null) return [];
  const message = `${after.hostname} registered with agent ${after.agentVersion}`;
  return [event({ revision, type: 'node.registered', message, node: after.id, atMs: after.registeredAtMs })];
}

/** An answer of a framework is none: whoever wants to know reads the window. */
function maintenanceEvents({ before, after, revision, id }: ChangeOf<'maintenance'>): EventView[] {
  const about = (type: EventType, message: string, atMs: number | null) =>
    event({ revision, type, message, node: id, atMs });
  if (after === null) {
    if (before === null) return [];
    const message = `nothing is planned any more: the window ${spanOf(before)} is over, or was taken back`;
    return [about('node.maintenance-over', message, null)];
  }
  if (before?.id === after.id) {
    const hasBegun = before.begunAtMs === null && after.begunAtMs !== null;
    return hasBegun ? [about('node.maintenance-begun', `is out of service ${spanOf(after)}`, after.begunAtMs)] : [];
  }
  const instead = before === null ? '' : `, in the place of the window ${spanOf(before)}`;
  return [about('node.maintenance', `set by ${after.setBy}: out of service ${spanOf(after)}${instead}`, after.setAtMs)];
}

function spanOf(window: MaintenanceTime): string {
  const end = endsAtMs(window);
  const until = end === Number.POSITIVE_INFINITY ? ', for nobody knows how long' : ` until ${timeView(end)}`;
  return `from ${timeView(window.startsAtMs)}${until}`;
}

function clusterEvents({ before, after, revision }: ChangeOf<'cluster'>): EventView[] {
  if (before === null || after === null || before.incarnation === after.incarnation) return [];
  const message = `an older state of the store counts from now on, as incarnation ${after.incarnation}; all nodes join anew`;
  return [event({ revision, type: 'cluster.recovered', message, atMs: after.recoveredAtMs ?? null })];
}

function epochEvents({ before, after, revision, id }: ChangeOf<'epochs'>): EventView[] {
  if (after?.ahead !== undefined && before?.ahead === undefined) {
    const message =
      'has seen a later state than this one: it keeps what it runs and gets nothing; was the store restored?';
    return [event({ revision, type: 'node.ahead', message, node: id, atMs: null })];
  }
  if (before === null || after === null) return [];
  if (after.gone !== undefined) {
    if (before.gone !== undefined) return [];
    const message = `declared gone by ${after.gone.by}; what it ran is lost`;
    return [event({ revision, type: 'node.gone', message, node: id, atMs: after.gone.atMs })];
  }
  if (before.gone !== undefined) return [];
  if (before.unreachableSinceMs === null && after.unreachableSinceMs !== null) {
    const message = 'its heartbeats have stopped; its tasks may still run';
    return [event({ revision, type: 'node.unreachable', message, node: id, atMs: after.unreachableSinceMs })];
  }
  if (before.unreachableSinceMs !== null && after.unreachableSinceMs === null) {
    return [event({ revision, type: 'node.reachable', message: 'is heard of again', node: id, atMs: null })];
  }
  return [];
}

function contested({ before, after, revision, id }: ChangeOf<'epochs'>): EventView[] {
  return contestEvents(before, after).map((parts) => event({ revision, node: id, ...parts }));
}

/** What a takeover and a first subscription have in common is that the session is a new one. */
function frameworkEvents({ before, after, revision }: ChangeOf<'frameworks'>): EventView[] {
  if (after === null) return [];
  const about = (type: EventType, message: string, atMs: number) =>
    event({ revision, type, message, role: after.roles[0] ?? 'default', framework: after.id, atMs });
  const { name, principal, session, subscribedAtMs, disconnectedSinceMs, teardown } = after;
  const events: EventView[] = [];
  if (before === null || before.session < session) {
    const how = before === null ? `registered by ${principal}` : `has subscribed anew, in session ${session}`;
    events.push(about('framework.subscribed', `${name}: ${how}`, subscribedAtMs));
  } else if (before.disconnectedSinceMs === null && disconnectedSinceMs !== null && teardown === null) {
    const message = `no replica holds its stream; after ${after.failoverTimeoutSeconds} s of that its tasks end`;
    events.push(about('framework.disconnected', message, disconnectedSinceMs));
  }
  if (teardown !== null && (before === null || before.teardown === null)) {
    events.push(about('framework.ended', `torn down by ${teardown.by}: ${teardown.reason}`, teardown.atMs));
  }
  return events;
}

function roleEvents({ before, after, revision }: ChangeOf<'roles'>): EventView[] {
  if (after === null) {
    if (before === null) return [];
    const message = 'it has the weight 1, no limit and no guarantee';
    return [event({ revision, type: 'role.unset', message, role: before.path, atMs: null })];
  }
  const { path, weight, limit, guarantee, updatedBy, updatedAtMs } = after;
  const message = `${updatedBy} has set it: weight ${weight}, limit ${amountsText(limit)}, guarantee ${amountsText(guarantee)}`;
  return [event({ revision, type: 'role.set', message, role: path, atMs: updatedAtMs })];
}

function amountsText(amounts: ScalarAmounts): string {
  const parts = Object.entries(amounts).map(([name, amount]) => `${name}=${amount}`);
  return parts.length === 0 ? 'none' : parts.join(',');
}

/** What isn't set is as it is by default. */
function settingsEvents({ before, after, revision }: ChangeOf<'settings'>): EventView[] {
  const former = new Map(
    Object.entries(before ?? DEFAULT_SETTINGS).map(([name, value]) => [name, canonicalJson(value)]),
  );
  const present = Object.entries(after ?? DEFAULT_SETTINGS);
  const changed = present.filter(([name, value]) => former.get(name) !== canonicalJson(value));
  if (changed.length === 0) return [];
  const message = changed.map(([name, value]) => `${name} is ${canonicalJson(value)}`).join(', ');
  return [event({ revision, type: 'settings.set', message, atMs: null })];
}

interface EventParts {
  readonly revision: number;
  readonly type: EventType;
  readonly message: string;
  readonly atMs: number | null;
  readonly reason?: string;
  readonly role?: string;
  readonly job?: string | null;
  readonly task?: string;
  readonly node?: string | null;
  readonly framework?: string | null;
  readonly deployment?: string;
}

function event(parts: EventParts): EventView {
  const { revision, type, message, atMs, reason, role, job, task, node, framework, deployment } = parts;
  return {
    revision,
    type,
    role: role ?? null,
    job: job ?? null,
    task: task ?? null,
    node: node ?? null,
    framework: framework ?? null,
    deployment: deployment ?? null,
    reason: reason ?? null,
    message,
    at: atMs === null ? null : timeView(atMs),
  };
}
