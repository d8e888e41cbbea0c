/** How a running haproxy gets from one plan to the next: by commands where only servers differ, else by a reload. Pure. */
import { weightOf } from './config.ts';
import type { Backend, Plan } from './plan.ts';
import { EMPTY_SLOT, type Slot } from './slots.ts';

/** What haproxy's socket is told to have the servers of `from` stand for what those of `to` do. Their structure is the same. */
export function commandsBetween(from: Plan, to: Plan): readonly string[] {
  const before = new Map(from.backends.map(({ name, slots }) => [name, slots]));
  return to.backends.flatMap(({ name, slots }) =>
    slots.flatMap((slot, index) => {
      const old = before.get(name)?.[index] ?? EMPTY_SLOT;
      return slotCommands(`${name}/s${index + 1}`, old, slot);
    }),
  );
}

/**
 * The weight and the address come before the server is switched on, so that none is ever given requests under an address that is no
 * longer its own.
 */
function slotCommands(server: string, old: Slot, slot: Slot): readonly string[] {
  const set = `set server ${server}`;
  if (slot.use === 'off') return old.use === 'off' ? [] : [`${set} state maint`];
  const moved = old.use === 'off' || old.address !== slot.address || old.port !== slot.port;
  if (moved) {
    return [
      ...(old.use === 'off' ? [] : [`${set} state maint`]),
      `${set} addr ${slot.address} port ${slot.port}`,
      `${set} weight ${weightOf(slot.use)}`,
      `${set} state ready`,
    ];
  }
  return old.use === slot.use ? [] : [`${set} weight ${weightOf(slot.use)}`];
}

/** The servers of `to` in the structure of `from`: as much of a plan as takes effect where haproxy can't be reloaded. */
export function withinStructure(from: Plan, to: Plan): Plan {
  const wanted = new Map(to.backends.map((backend) => [backend.name, backend]));
  return { ...from, backends: from.backends.map((backend) => within(backend, wanted.get(backend.name))) };
}

function within(from: Backend, to: Backend | undefined): Backend {
  const slots = from.slots.map((_, index) => to?.slots[index] ?? EMPTY_SLOT);
  return { ...from, slots };
}
