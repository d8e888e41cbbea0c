/** Tasks that could be made to give their places to others, and which of them are alike. */
import type { RolePath, TaskId } from '../../shared/domain/ids.ts';
import type { TaskEntry } from '../../shared/domain/ledger.ts';
import type { Scalars } from '../../shared/domain/resources.ts';

export interface Holder {
  readonly task: TaskId;
  readonly role: RolePath;
  readonly priority: number;
  readonly placedAtMs: number;
  readonly entry: TaskEntry;
  /** What its role is charged for it, reservations apart. */
  readonly frees: Scalars;
}

/** Some of one role that hold, and free, the same amounts. */
export interface HolderKind {
  /** The same for those that the same is to be said of: alike, and as many. */
  readonly key: string;
  readonly one: Holder;
  readonly count: number;
}

export function kindsOf(holders: readonly Holder[]): HolderKind[] {
  const alike = Map.groupBy(holders, keyOf);
  return [...alike].flatMap(([key, [one, ...others]]) => {
    const count = 1 + others.length;
    return one === undefined ? [] : [{ key: `${count} ${key}`, one, count }];
  });
}

function keyOf({ role, frees, entry: { resources } }: Holder): string {
  return `${role} ${textOf(frees)} ${textOf(resources)}`;
}

function textOf({ cpus, memMiB, diskMiB, gpus, custom }: Scalars): string {
  const others = Object.entries(custom);
  return `${cpus} ${memMiB} ${diskMiB} ${gpus} ${others.length === 0 ? '' : JSON.stringify(others)}`;
}
