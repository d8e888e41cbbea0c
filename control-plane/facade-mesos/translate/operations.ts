/**
 * The operations of one ACCEPT as operations of Berth, in their order. What is wrong with one doesn't keep the others from being
 * carried out; nor does a task that can't be launched. Whoever carries them out may find more to be wrong: see {@link withoutFaulted}.
 */
import type { Fault } from '../../../shared/domain/errors.ts';
import { LAUNCHES_MAX, OPERATIONS_MAX } from '../../../shared/domain/offer-operation.ts';
import { addScalars, isNothing, NO_SCALARS, type Scalars } from '../../../shared/domain/resources.ts';
import type { OfferView } from '../../../shared/protocol/framework.ts';
import { present } from '../../../shared/util/assert.ts';
import type { WireOfferOperation } from '../wire/offer-operation.ts';
import type { WireExecutorInfo, WireTaskInfo } from '../wire/task-info.ts';
import { type AcceptBalance, balanceOf, type Parts, takeReserved, takeUpTo, volumeOf } from './accept-balance.ts';
import {
  type CheckedTask,
  checkedOperation,
  checkedTask,
  type NativeOperation,
  type NativeOperationInput,
} from './native-operation.ts';
import { identityKey, reservationOf } from './reservation-identity.ts';
import { planReserving } from './reserve-operations.ts';
import { amountsOf } from './resource-amounts.ts';
import type { NodeHoldings } from './resources.ts';
import { checkDefaultExecutor, notOffered, type TaskSite } from './task-checks.ts';
import { isVolume, launchedTask } from './task-info.ts';
import { translated, WireFault } from './wire-fault.ts';
import type { WireFramework } from './wire-framework.ts';

export interface AcceptToPlan {
  readonly operations: readonly WireOfferOperation[];
  /** Of one node and one role; at least one. */
  readonly offers: readonly Pick<OfferView, 'id' | 'node' | 'role' | 'reserved'>[];
  /** Of their node. */
  readonly holdings: NodeHoldings;
  readonly framework: WireFramework;
  /** Whether the framework has a task of this id on record. */
  readonly isTaken: (task: string) => boolean;
}

export interface PlannedAccept {
  /** To be carried out in this order. */
  readonly operations: readonly PlannedOperation[];
  readonly refusedTasks: readonly RefusedTask[];
  readonly refusedOperations: readonly RefusedOperation[];
}

export interface PlannedOperation {
  readonly native: NativeOperation;
  /** Which of the ACCEPT's operations it comes from; one may come to several. */
  readonly place: number;
  /** Its `id`; null: nobody wants to hear of it. */
  readonly operationId: string | null;
  /** Those that a launch is made of, in its order; else none. */
  readonly tasks: readonly WireTaskInfo[];
}

export interface RefusedTask {
  readonly task: WireTaskInfo;
  readonly state: 'TASK_ERROR' | 'TASK_DROPPED' | 'TASK_LOST';
  readonly reason: 'REASON_TASK_INVALID' | 'REASON_TASK_GROUP_INVALID' | 'REASON_INVALID_OFFERS';
  readonly message: string;
}

/** With OPERATION_ERROR, where it has an id. */
export interface RefusedOperation {
  readonly place: number;
  readonly operationId: string | null;
  readonly message: string;
}

/** What has been planned so far. */
interface Progress extends PlannedAccept {
  readonly balance: AcceptBalance;
  readonly names: ReadonlySet<string>;
}

export function planAccept(accept: AcceptToPlan): PlannedAccept {
  const begin: Progress = {
    operations: [],
    refusedTasks: [],
    refusedOperations: [],
    balance: balanceOf(accept.offers, accept.holdings, accept.framework),
    names: new Set(),
  };
  const { operations, refusedTasks, refusedOperations } = accept.operations.reduce(
    (progress, operation, place) => planOne(accept, progress, { operation, place }),
    begin,
  );
  return { operations, refusedTasks, refusedOperations };
}

interface Placed {
  readonly operation: WireOfferOperation;
  readonly place: number;
}

function planOne(accept: AcceptToPlan, progress: Progress, placed: Placed): Progress {
  const { operation, place } = placed;
  switch (operation.type) {
    case 'LAUNCH':
      return planLaunch(accept, progress, placed);
    case 'LAUNCH_GROUP':
      return planGroup(accept, progress, placed);
    default: {
      const source = [accept.framework.id, accept.offers.map(({ id }) => id), place];
      const { role } = siteOf(accept);
      const planned = translated(() => {
        const { natives, balance } = planReserving(progress.balance, operation, {
          framework: accept.framework,
          role,
          source,
        });
        return { natives: named(natives, operation).map(checkedOperation), balance };
      });
      if (!planned.ok) return withRefusedOperation(progress, placed, planned.message);
      const { natives, balance } = planned.value;
      if (progress.operations.length + natives.length > OPERATIONS_MAX) {
        return withRefusedOperation(progress, placed, `An ACCEPT may come to at most ${OPERATIONS_MAX} operations`);
      }
      const operationId = operation.id?.value ?? null;
      const added = natives.map((native): PlannedOperation => ({ native, place, operationId, tasks: [] }));
      return { ...progress, balance, operations: [...progress.operations, ...added] };
    }
  }
}

/** The last part carries the name: they are carried out together, so what is told of it holds for all of them. */
function named(natives: readonly NativeOperationInput[], { id }: WireOfferOperation): NativeOperationInput[] {
  return natives.map((native, index) => {
    const isLast = index === natives.length - 1;
    return isLast && id !== undefined && !('tasks' in native) ? { ...native, operation: id.value } : native;
  });
}

function withRefusedOperation(progress: Progress, { operation, place }: Placed, message: string): Progress {
  const refused: RefusedOperation = { place, operationId: operation.id?.value ?? null, message };
  return { ...progress, refusedOperations: [...progress.refusedOperations, refused] };
}

function siteOf({ offers, framework }: AcceptToPlan): TaskSite {
  const offer = present(offers[0], 'the first offer of an accept');
  return { node: offer.node, role: framework.wireRole(offer.role) };
}

/** One task with what it takes from reservations. */
interface Launch {
  readonly task: CheckedTask;
  readonly balance: AcceptBalance;
}

function planLaunch(accept: AcceptToPlan, progress: Progress, { operation, place }: Placed): Progress {
  const launched: CheckedTask[] = [];
  const infos: WireTaskInfo[] = [];
  let after = progress;
  for (const info of operation.launch?.task_infos ?? []) {
    if (isFull(progress, launched.length)) {
      after = withRefusedTasks(after, [tooMany(accept.framework, info)]);
      continue;
    }
    const planned = translated(() => planTask(accept, after, { info, operation }));
    if (planned.ok) {
      launched.push(planned.value.task);
      infos.push(info);
      after = { ...after, balance: planned.value.balance, names: new Set(after.names).add(info.task_id.value) };
    } else {
      after = withRefusedTasks(after, [
        { task: info, state: 'TASK_ERROR', reason: 'REASON_TASK_INVALID', message: planned.message },
      ]);
    }
  }
  if (launched.length === 0) return after;
  return withLaunch(after, { native: { type: 'launch', tasks: launched }, place, operationId: null, tasks: infos });
}

function withLaunch(progress: Progress, planned: PlannedOperation): Progress {
  return { ...progress, operations: [...progress.operations, planned] };
}

/** A bound of Berth's, and no fault of the task. */
function isFull({ operations }: Progress, added: number): boolean {
  const launches = operations.reduce((sum, { tasks }) => sum + tasks.length, added);
  return launches >= LAUNCHES_MAX || operations.length >= OPERATIONS_MAX;
}

function tooMany({ capabilities }: WireFramework, task: WireTaskInfo): RefusedTask {
  const message = `Task launched with invalid offers: an ACCEPT may launch at most ${LAUNCHES_MAX} tasks; launch it on another offer`;
  const state = capabilities.has('PARTITION_AWARE') ? 'TASK_DROPPED' : 'TASK_LOST';
  return { task, state, reason: 'REASON_INVALID_OFFERS', message };
}

function withRefusedTasks(progress: Progress, refused: readonly RefusedTask[]): Progress {
  return { ...progress, refusedTasks: [...progress.refusedTasks, ...refused] };
}

/** All or none, as one operation. What is asked for the executor is left in the offers: nothing runs as it. */
function planGroup(accept: AcceptToPlan, progress: Progress, { operation, place }: Placed): Progress {
  const { executor, task_group: group } = operation.launch_group ?? {};
  const infos = group?.tasks ?? [];
  if (infos.length === 0) return progress;
  if (isFull(progress, infos.length - 1)) {
    return withRefusedTasks(
      progress,
      infos.map((task) => tooMany(accept.framework, task)),
    );
  }
  const planned = translated(() => {
    let after = progress;
    const tasks = infos.map((info) => {
      const launch = groupTask(accept, after, { info, operation, executor });
      after = { ...after, balance: launch.balance, names: new Set(after.names).add(info.task_id.value) };
      return launch.task;
    });
    if (executor !== undefined) checkDefaultExecutor(executor);
    return { tasks, after };
  });
  if (planned.ok) {
    const native = { type: 'launch-group' as const, tasks: planned.value.tasks };
    return withLaunch(planned.value.after, { native, place, operationId: null, tasks: infos });
  }
  const refused = infos.map(
    (task): RefusedTask => ({
      task,
      state: 'TASK_ERROR',
      reason: 'REASON_TASK_GROUP_INVALID',
      message: planned.message,
    }),
  );
  return withRefusedTasks(progress, refused);
}

interface TaskToPlan {
  readonly info: WireTaskInfo;
  readonly operation: WireOfferOperation;
  readonly executor?: WireExecutorInfo | undefined;
}

function groupTask(accept: AcceptToPlan, progress: Progress, wish: TaskToPlan): Launch {
  const planned = translated(() => planTask(accept, progress, wish));
  if (planned.ok) return planned.value;
  throw new WireFault(`Task '${wish.info.task_id.value}' is invalid: ${planned.message}`);
}

function planTask(
  accept: AcceptToPlan,
  { balance, names }: Progress,
  { info, operation, executor }: TaskToPlan,
): Launch {
  const name = info.task_id.value;
  if (operation.id !== undefined)
    throw new WireFault(`The 'id' field must not be set for ${operation.type} operations`);
  if (names.has(name) || accept.isTaken(name)) throw new WireFault(`Task has duplicate ID: ${name}`);
  const task = launchedTask(info, {
    site: siteOf(accept),
    framework: accept.framework,
    volumeOf: (resource) => volumeOf(balance, resource),
    ...(executor !== undefined && { executor }),
  });
  const { parts, balance: left } = reservedParts(balance, info);
  return { task: checkedTask({ ...task, reserved: writable(parts) }), balance: left };
}

/** What the task says it takes from reservations, and what it takes without saying so from those that are for everybody. */
function reservedParts(
  balance: AcceptBalance,
  { resources }: WireTaskInfo,
): { readonly parts: Parts; readonly balance: AcceptBalance } {
  const plain = resources.filter((resource) => !isVolume(resource));
  let left = balance;
  let parts: Parts = {};
  for (const [key, own] of Map.groupBy(plain, keyOf)) {
    const { scalars, ports } = amountsOf(own);
    const taken = key === null ? takeUpTo(left, key, scalars) : takeReserved(left, key, scalars);
    if (taken === null || (key !== null && ports.length > 0)) {
      throw notOffered(own, 'what the offers hold of that reservation');
    }
    left = taken.balance;
    parts = sumOf(parts, taken.parts);
  }
  return { parts, balance: left };
}

function keyOf(resource: WireTaskInfo['resources'][number]): string | null {
  const identity = reservationOf(resource);
  return identity === null ? null : identityKey(identity);
}

function sumOf(a: Parts, b: Parts): Parts {
  const added = Object.entries(b).map(
    ([id, part]) => [id, Object.hasOwn(a, id) ? addScalars(a[id] ?? NO_SCALARS, part) : part] as const,
  );
  return { ...a, ...Object.fromEntries(added) };
}

function writable(parts: Parts): Record<string, Scalars & { custom: Record<string, number> }> {
  const held = Object.entries(parts).filter(([, part]) => !isNothing(part));
  return Object.fromEntries(held.map(([id, part]) => [id, { ...part, custom: { ...part.custom } }]));
}

/**
 * The plan without what was found wrong with it: `faults` lead into its operations (`/operations/0/tasks/1/task`). The others can be
 * tried again; each time something goes, so that comes to an end. Null: nothing of the plan is named.
 */
export function withoutFaulted(plan: PlannedAccept, faults: readonly Fault[]): PlannedAccept | null {
  const found = faults.flatMap(({ path, message }) => {
    const [, operation, task] = /^\/operations\/(\d+)(?:\/tasks\/(\d+))?(?:\/|$)/.exec(path) ?? [];
    const index = Number(operation);
    if (operation === undefined || plan.operations[index] === undefined) return [];
    return [{ index, task: task === undefined ? null : Number(task), message }];
  });
  if (found.length === 0) return null;
  const first = new Map(found.toReversed().map(({ index }) => [plan.operations[index]?.place, index]));
  const parts = plan.operations.flatMap((planned, index) => {
    // What one operation comes to is carried out as a whole or not at all, and what is wrong with it is told once.
    if (planned.tasks.length === 0 && (first.get(planned.place) ?? index) !== index) return [];
    const own = found.filter((fault) => fault.index === index);
    return own.length === 0
      ? { operations: [planned], refusedTasks: [], refusedOperations: [] }
      : faulted(planned, own);
  });
  return {
    operations: parts.flatMap(({ operations }) => operations),
    refusedTasks: [...plan.refusedTasks, ...parts.flatMap(({ refusedTasks }) => refusedTasks)],
    refusedOperations: [...plan.refusedOperations, ...parts.flatMap(({ refusedOperations }) => refusedOperations)],
  };
}

interface FoundFault {
  readonly task: number | null;
  readonly message: string;
}

/** Of a group, one takes the others with it. */
function faulted(planned: PlannedOperation, faults: readonly FoundFault[]): PlannedAccept {
  const { native, place, operationId, tasks } = planned;
  const message = faults[0]?.message ?? '';
  if (native.type !== 'launch' && native.type !== 'launch-group') {
    return { operations: [], refusedTasks: [], refusedOperations: [{ place, operationId, message }] };
  }
  const isGroup = native.type === 'launch-group';
  const whyNot = (index: number) => faults.find(({ task }) => isGroup || task === null || task === index)?.message;
  const refusedTasks = tasks.flatMap((task, index): RefusedTask[] => {
    const why = whyNot(index);
    const reason = isGroup ? 'REASON_TASK_GROUP_INVALID' : 'REASON_TASK_INVALID';
    return why === undefined ? [] : [{ task, state: 'TASK_ERROR', reason, message: why }];
  });
  const isLeft = (_: unknown, index: number) => whyNot(index) === undefined;
  const left = native.tasks.filter(isLeft);
  const operations =
    left.length === 0 ? [] : [{ ...planned, native: { ...native, tasks: left }, tasks: tasks.filter(isLeft) }];
  return { operations, refusedTasks, refusedOperations: [] };
}
