/**
 * Which of a node's GPUs a task gets. The ledger counts them like any other amount; beside the number stand the devices
 * themselves, so that no two tasks are ever given the same one. A node that only states a number has none to give by name.
 */
import type { Ledger } from '../../shared/domain/ledger.ts';
import type { GpuDevice } from '../../shared/domain/node.ts';
import { invariant } from '../../shared/util/assert.ts';

/** Ids of the devices that tasks hold, also of such as the node no longer has. */
export function heldDevices(ledger: Pick<Ledger, 'entries'>): Set<string> {
  return new Set(Object.values(ledger.entries).flatMap(({ devices }) => devices));
}

export interface DeviceRequest {
  /** Of the node, in its own order. */
  readonly devices: readonly GpuDevice[];
  readonly held: ReadonlySet<string>;
  readonly count: number;
}

/**
 * Ids of the free devices that a task of `count` gets, in the node's order; none where the node doesn't name its devices. The
 * caller has seen that so many are free.
 *
 * What belongs together stays together. One device comes from the card of which least is left, so that whole cards stay free for
 * those that need more. Several are whole cards if there are enough, since a program can't join instances to one device; else
 * instances of one card; and only then of different ones.
 */
export function chooseDevices({ devices, held, count }: DeviceRequest): readonly string[] {
  if (devices.length === 0 || count === 0) return [];
  const free = devices.filter(({ id }) => !held.has(id));
  invariant(free.length >= count, `${count} devices are to be given away, and ${free.length} are free`);
  const cards = free.filter(({ parent }) => parent === null);
  const parts = [...Map.groupBy(free, ({ parent }) => parent).entries()].flatMap(([parent, some]) =>
    parent === null ? [] : [some],
  );
  const fewestFirst = parts.toSorted((a, b) => a.length - b.length);
  const wholes = count === 1 ? [...fewestFirst, cards] : [cards, ...fewestFirst];
  const enough = wholes.find((some) => some.length >= count) ?? [...cards, ...fewestFirst.toReversed().flat()];
  const chosen = new Set(enough.slice(0, count).map(({ id }) => id));
  return devices.filter(({ id }) => chosen.has(id)).map(({ id }) => id);
}
