/**
 * 4. A task has at most one live container; a run that has ended is never started again.
 * 6. No container outlives its ledger entry while its node is connected; none is orphaned.
 */
import type { Snapshot } from '../../../control-plane/store/snapshot.ts';
import type { Machine } from '../machine.ts';
import type { SimulatedContainer } from '../simulated-engine.ts';
import type { Revision } from '../truth.ts';
import { entryChanges, type Past, type StartedContainer } from './past.ts';
import { hasEnded } from './tasks.ts';
import { type Violation, violation } from './violation.ts';

/** Asked at the moment when the container starts. */
export function checkStart(container: StartedContainer, node: string, past: Past, now: Snapshot): Violation[] {
  const { task } = container;
  const violations = [...checkRun(container, node, past), ...checkLive(container, now)];
  const placement = past.placements.get(task);
  if (placement?.node !== node) {
    violations.push(violation(6, `${task} runs on ${node}, though its place is ${placement?.node ?? 'nowhere'}`));
  }
  return violations;
}

/** A task runs again only as a further run where it was, and where its group asks for that: after a power cut, or after its end. */
function checkRun(container: StartedContainer, node: string, past: Past): Violation[] {
  const { task, id, run, life, mayRestart, restartsInPlace } = container;
  const earlier = past.starts.get(task);
  if (earlier === undefined) return [];
  const again = `${task} ran in ${earlier.container.id} on ${earlier.node}, and runs again in ${id}`;
  if (run <= earlier.container.run) return [violation(4, `${again}, as run ${run}`)];
  if (node === earlier.node && restartsInPlace) return [];
  if (node !== earlier.node || life === earlier.container.life) return [violation(4, `${again} without a power cut`)];
  return mayRestart ? [] : [violation(4, `${again}, though its group does not ask for that`)];
}

/** What the node itself has said to be over stays so. Who gave it up while the node was away may have been wrong. */
function checkLive({ task, id }: StartedContainer, now: Snapshot): Violation[] {
  const record = now.tasks.get(task);
  const reason = record?.history.at(-1)?.reason;
  if (record === undefined || !hasEnded(record) || reason === 'node-lost') return [];
  return [violation(4, `${task} starts in ${id}, though it is ${record.state} (${reason})`)];
}

/** Asked at the same moment, of all containers that there are. */
export function checkAlone(
  { task, id }: Pick<SimulatedContainer, 'task' | 'id'>,
  all: readonly Pick<SimulatedContainer, 'task' | 'id' | 'state'>[],
): Violation[] {
  const other = all.find((one) => one.task === task && one.id !== id && one.state === 'running');
  return other === undefined ? [] : [violation(4, `${task} starts in ${id} while it runs in ${other.id}`)];
}

/** A machine, as far as what it runs. */
interface Runner {
  readonly name: string;
  readonly engine: { readonly containers: readonly Pick<SimulatedContainer, 'id' | 'task' | 'state'>[] };
}

/** A place is given back only when nothing of its task runs there any more: whoever gets it next has it alone. */
export function checkFreed({ changes }: Revision, machines: readonly Runner[]): Violation[] {
  return changes.flatMap((change) => {
    if (change.kind !== 'ledger') return [];
    const { removed } = entryChanges(change);
    const containers = machines.find(({ name }) => name === change.id)?.engine.containers ?? [];
    return containers
      .filter(({ task, state }) => state === 'running' && removed.includes(task))
      .map(({ id, task }) => violation(6, `${task} lost its place on ${change.id} while it runs there in ${id}`));
  });
}

/**
 * Longer than a lost message is noticed, a backoff lasts, a long request is held, the longest grace, the pause before a
 * second SIGKILL and the longest death after it together.
 */
const OUTLIVES_MAX_MS = 110_000;

/** Since when each container runs without a place, or on borrowed time, while its agent is in a live session. */
export type Overdue = Map<string, number>;

export function checkOverdue(machine: Machine, overdue: Overdue, now: Snapshot, nowMs: number): Violation[] {
  const { agent, engine, name } = machine;
  const isConnected = agent?.inspect().isLive === true && !machine.process?.isPaused && !engine.isAway;
  const entries = now.ledgers.get(name)?.entries ?? {};
  return engine.containers.flatMap((container) => {
    const entry = entries[container.task];
    const isWanted = entry !== undefined && entry.stop === null && !entry.disowned;
    if (container.state !== 'running' || isWanted || !isConnected) {
      overdue.delete(container.id);
      return [];
    }
    const sinceMs = overdue.get(container.id) ?? nowMs;
    overdue.set(container.id, sinceMs);
    if (nowMs - sinceMs <= OUTLIVES_MAX_MS) return [];
    const why = entry === undefined ? 'without a place' : 'though it is to stop';
    return [violation(6, `${container.task} has run on ${name} ${why} since ${sinceMs / 1000} s`)];
  });
}

/** What is left to do until the node holds and runs the same; empty when it does. */
export function unsettledOnNode({ name, agent, engine }: Machine, now: Snapshot): string[] {
  const ledger = now.ledgers.get(name);
  const epoch = now.epochs.get(name);
  if (ledger === undefined || epoch === undefined) return [`${name} has never joined`];
  const running = new Set(
    engine.containers.filter((container) => container.state === 'running').map((container) => container.task),
  );
  const unsettled: string[] = [];
  if (!now.isAlive(name) || epoch.unreachableSinceMs !== null) unsettled.push(`${name} counts as unreachable`);
  for (const { task, disowned } of Object.values(ledger.entries)) {
    const { state } = now.tasks.get(task) ?? { state: 'absent' };
    if (disowned) unsettled.push(`${name} holds a place for ${task}, which was given up`);
    else if (hasEnded(now.tasks.get(task))) unsettled.push(`${name} holds a place for ${task}, which is ${state}`);
    else if (state !== 'running') unsettled.push(`${task} is ${state} on ${name}`);
    else if (!running.has(task)) unsettled.push(`${task} is on record as running on ${name}, and isn't`);
  }
  for (const task of running) {
    if (ledger.entries[task] === undefined) unsettled.push(`${task} runs on ${name} without a place`);
  }
  for (const { id, unanswered } of agent?.inspect().tasks.values() ?? []) {
    if (unanswered.length > 0) unsettled.push(`${name} has yet to tell that ${id} is ${unanswered[0]?.state}`);
  }
  return unsettled;
}
