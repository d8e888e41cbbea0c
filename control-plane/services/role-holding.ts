/** Since when each role holds what it is charged with, and until when it may hold what it is only offered. Pure. */
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { RolePath } from '../../shared/domain/ids.ts';
import { ancestorsOf } from '../../shared/domain/role.ts';
import { enteredAtMs } from '../../shared/domain/task.ts';

/** The earliest of each sort; null: it holds none. */
export interface HoldingTimes {
  readonly tasksSinceMs: number | null;
  readonly offersSinceMs: number | null;
  readonly reservationsSinceMs: number | null;
  /** When the last of its offers expires. */
  readonly offersUntilMs: number | null;
}

export const NO_TIMES: HoldingTimes = {
  tasksSinceMs: null,
  offersSinceMs: null,
  reservationsSinceMs: null,
  offersUntilMs: null,
};

/** By role, with what those below it hold; those that hold nothing are left out. */
export function holdingTimes(cluster: Pick<ClusterView, 'ledgers' | 'tasks'>): ReadonlyMap<RolePath, HoldingTimes> {
  const times = new Map<RolePath, HoldingTimes>();
  const note = (role: RolePath, some: Partial<HoldingTimes>) => {
    for (const path of [role, ...ancestorsOf(role)]) times.set(path, both(times.get(path) ?? NO_TIMES, some));
  };
  for (const { entries, offers, reservations } of cluster.ledgers.values()) {
    for (const { role, task: id } of Object.values(entries)) {
      const task = cluster.tasks.get(id);
      note(role, { tasksSinceMs: task === undefined ? null : enteredAtMs(task, 'staging') });
    }
    for (const { role, madeAtMs, expiresAtMs } of Object.values(offers)) {
      note(role, { offersSinceMs: madeAtMs, offersUntilMs: expiresAtMs });
    }
    for (const { role, atMs } of Object.values(reservations)) note(role, { reservationsSinceMs: atMs });
  }
  return times;
}

function both(one: HoldingTimes, other: Partial<HoldingTimes>): HoldingTimes {
  return {
    tasksSinceMs: chosen(Math.min, one.tasksSinceMs, other.tasksSinceMs),
    offersSinceMs: chosen(Math.min, one.offersSinceMs, other.offersSinceMs),
    reservationsSinceMs: chosen(Math.min, one.reservationsSinceMs, other.reservationsSinceMs),
    offersUntilMs: chosen(Math.max, one.offersUntilMs, other.offersUntilMs),
  };
}

function chosen(
  choose: (...times: number[]) => number,
  one: number | null,
  other: number | null | undefined,
): number | null {
  const known = [one, other ?? null].filter((time) => time !== null);
  return known.length === 0 ? null : choose(...known);
}
