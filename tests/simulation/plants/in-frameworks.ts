/** Bugs in how frameworks are served, planted between the services and the store, and in what a replica believes. */
import type { ServiceContext } from '../../../control-plane/services/context.ts';
import type { Transaction } from '../../../control-plane/store/contract.ts';
import type { Mirror } from '../../../control-plane/store/mirror.ts';
import { decodeRecord, putRecord } from '../../../control-plane/store/records.ts';
import type { Snapshot } from '../../../control-plane/store/snapshot.ts';
import type { JobUid } from '../../../shared/domain/ids.ts';
import type { Role } from '../../../shared/domain/role.ts';
import type { Task } from '../../../shared/domain/task.ts';
import type { Origin } from '../faulty-store.ts';
import { heldByOffers } from '../invariants/offers.ts';
import { kindOf, withoutCompares, writesTo } from './in-store.ts';

export function withoutAnswerCompares(transaction: Transaction): Transaction {
  if (!writesTo(transaction, 'ledger')) return transaction;
  return withoutCompares(transaction, ({ key }) => kindOf(key) === 'ledger');
}

export function withoutHeardCompares(transaction: Transaction): Transaction {
  return isAcknowledgement(transaction) ? { ...transaction, compares: [] } : transaction;
}

export function acknowledgedAhead(transaction: Transaction): Transaction {
  if (!isAcknowledgement(transaction)) return transaction;
  const writes = transaction.writes.map((write) => {
    if (write.type === 'delete') return write;
    const task = decodeRecord('tasks', write.key, write.value);
    const framework = task.framework === null ? null : { ...task.framework, acknowledged: task.history.length };
    return putRecord('tasks', write.key, { ...task, framework });
  });
  return { ...transaction, writes };
}

function isAcknowledgement({ writes }: Transaction): boolean {
  return writes.every(({ key }) => kindOf(key) === 'tasks');
}

/** To whoever asks, the framework's session is the one that the call names. */
export function ofAnySession(ctx: ServiceContext, { id, session }: NonNullable<Origin['framework']>): ServiceContext {
  const mirror = withSnapshot(ctx.mirror, (snapshot) => {
    const framework = snapshot.frameworks.get(id);
    if (framework === undefined || framework.session <= session) return {};
    return { frameworks: new Map(snapshot.frameworks).set(id, { ...framework, session }) };
  });
  return { ...ctx, mirror };
}

/** Limits, raised by what the roles hold in offers. */
export function blindToOffers(mirror: Mirror): Mirror {
  return withSnapshot(mirror, (snapshot) => ({
    roles: new Map([...snapshot.roles].map(([path, role]) => [path, withRoomForOffers(role, snapshot)])),
  }));
}

/** No node is known to be out of service. */
export function blindToMaintenance(mirror: Mirror): Mirror {
  return withSnapshot(mirror, () => ({ maintenance: new Map() }));
}

/** Whatever runs counts as if all its checks had passed. */
export function believingInHealth(mirror: Mirror): Mirror {
  const believed = (task: Task): Task => {
    if (task.state !== 'running') return task;
    return { ...task, health: { run: task.run, healthy: true, ready: true, sinceMs: 0, checks: [] } };
  };
  return withSnapshot(mirror, (snapshot) => ({
    tasksOfJob: (uid: JobUid) => [...snapshot.tasksOfJob(uid)].map(believed),
  }));
}

function withRoomForOffers(role: Role, { ledgers }: Snapshot): Role {
  const limit = Object.entries(role.limit).map(([name, amount]) => {
    const offered = [...ledgers.values()].reduce((sum, ledger) => sum + heldByOffers(ledger, name, role.path), 0);
    return [name, amount + offered / 1000];
  });
  return { ...role, limit: Object.fromEntries(limit) };
}

/** The mirror as it is, but for some maps of its snapshot. */
function withSnapshot(mirror: Mirror, change: (snapshot: Snapshot) => Partial<Snapshot>): Mirror {
  return changedBy(mirror, (target, key) => {
    if (key !== 'snapshot') return undefined;
    const maps = change(target.snapshot);
    return changedBy(target.snapshot, (_, name) => Reflect.get(maps, name));
  });
}

/** Members that `change` has nothing for are those of the target. */
function changedBy<T extends object>(target: T, change: (target: T, key: string | symbol) => unknown): T {
  return new Proxy(target, {
    get: (_, key) => {
      const value: unknown = change(target, key) ?? Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
