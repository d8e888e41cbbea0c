import { describe, expect, it } from 'vitest';
import { freeReserved, freeResources, type Ledger } from '../../../shared/domain/ledger.ts';
import {
  addReservation,
  createVolume,
  destroyVolume,
  type LedgerChange,
  removeVolume,
  reserve,
  unreserve,
} from '../../../shared/domain/ledger-reservations.ts';
import {
  LEDGER_RESERVATIONS_BYTES_MAX,
  LEDGER_RESERVATIONS_MAX,
  LEDGER_VOLUMES_MAX,
  type Volume,
} from '../../../shared/domain/reservation.ts';
import { NO_SCALARS } from '../../../shared/domain/resources.ts';
import { aLedger, anOffer, aReservation, someResources, T0 } from '../../support/builders.ts';

const scalars = (change: Partial<typeof NO_SCALARS>) => ({ ...NO_SCALARS, ...change });
const half = aReservation({ scalars: scalars({ cpus: 2, diskMiB: 1000 }) });
const aVolume = (change: Partial<Volume> = {}): Volume => {
  return { id: 'v1', reservation: 'r1', sizeMiB: 600, by: 'alice', atMs: T0, removing: false, ...change };
};
const NOBODY = new Set<string>();

function ledgerOf(change: LedgerChange): Ledger {
  if (!change.ok) throw new Error(change.why);
  return change.ledger;
}

function whyNot(change: LedgerChange): string {
  if (change.ok) throw new Error('it was changed');
  return change.why;
}

describe('reserving', () => {
  it('takes from what is free, and what is reserved is free no more', () => {
    const reserved = ledgerOf(reserve(aLedger(), half));
    expect(freeResources(reserved)).toMatchObject({ cpus: 2, diskMiB: 9000 });
    expect(freeReserved(reserved, half)).toMatchObject({ cpus: 2, diskMiB: 1000 });
  });

  it('leaves alone what is offered', () => {
    const ledger = aLedger({ offers: [anOffer({ resources: { cpus: 3 } })] });
    expect(whyNot(reserve(ledger, half))).toBe('node "edge-1" has too little of cpus left');
    expect(reserve(ledger, aReservation({ scalars: scalars({ cpus: 1 }) })).ok).toBe(true);
  });

  it.each([
    ['an id that is taken', aLedger({ reservations: [aReservation()] }), {}, 'has a reservation "r1" already'],
    ['nothing', aLedger(), { scalars: NO_SCALARS }, 'would hold nothing'],
    ['half a GPU', aLedger(), { scalars: scalars({ gpus: 0.5 }) }, 'GPUs are reserved whole'],
  ])('refuses %s', (_what, ledger, change, why) => {
    expect(whyNot(addReservation(ledger, aReservation(change)))).toContain(why);
  });

  it('has a bound for each node', () => {
    const many = Array.from({ length: LEDGER_RESERVATIONS_MAX }, (_, n) => aReservation({ id: `r${n}` }));
    const full = aLedger({ reservations: many });
    expect(whyNot(addReservation(full, aReservation({ id: 'more' })))).toContain('which is the most');
    const large = Array.from({ length: 50 }, (_, n) =>
      aReservation({ id: `l${n}`, labels: { note: 'x'.repeat(2600) } }),
    );
    const more = aReservation({ id: 'more', labels: { note: 'x'.repeat(2600) } });
    expect(whyNot(addReservation(aLedger({ reservations: large }), more))).toContain('more than 131072 bytes');
    expect(addReservation(aLedger({ reservations: large.slice(5) }), more).ok).toBe(true);
    const fewer = aLedger({ reservations: many.slice(1) });
    expect(addReservation(fewer, aReservation({ id: 'more' })).ok).toBe(true);
  });
});

describe('unreserving', () => {
  const ledger = aLedger({ reservations: [half] });

  it('gives all of it back', () => {
    const freed = ledgerOf(unreserve(ledger, 'r1'));
    expect(freed.reservations).toEqual({});
    expect(freeResources(freed)).toEqual(someResources());
  });

  it('gives a part of it back', () => {
    const smaller = ledgerOf(unreserve(ledger, 'r1', scalars({ cpus: 0.5 })));
    expect(smaller.reservations['r1']).toEqual({ ...half, scalars: scalars({ cpus: 1.5, diskMiB: 1000 }) });
  });

  it('ends a reservation of which nothing is left', () => {
    expect(ledgerOf(unreserve(ledger, 'r1', half.scalars)).reservations).toEqual({});
  });

  it('takes nothing from under offers and volumes', () => {
    const offered = aLedger({
      reservations: [half],
      offers: [anOffer({ resources: { cpus: 1 }, reserved: { r1: scalars({ cpus: 1 }) } })],
    });
    expect(whyNot(unreserve(offered, 'r1'))).toContain('hold cpus of reservation "r1"');
    expect(unreserve(offered, 'r1', scalars({ cpus: 1 })).ok).toBe(true);
    const withVolume = ledgerOf(createVolume(ledger, aVolume()));
    expect(whyNot(unreserve(withVolume, 'r1'))).toContain('hold diskMiB of reservation "r1"');
  });

  it.each([
    ['one that is not there', 'r2', half, 'has no reservation "r2"'],
    ["a member that every object has, which isn't one", 'constructor', half, 'has no reservation "constructor"'],
    ["the agent's own", 'r1', { ...half, source: 'static' as const }, 'changed only there'],
  ])('refuses %s', (_what, id, reservation, why) => {
    expect(whyNot(unreserve(aLedger({ reservations: [reservation] }), id))).toContain(why);
  });
});

describe('volumes', () => {
  const ledger = aLedger({ reservations: [half], assignmentGeneration: 5 });
  const made = ledgerOf(createVolume(ledger, aVolume()));

  it('take disk of their reservation, and the agent is told', () => {
    expect(freeReserved(made, half)).toMatchObject({ cpus: 2, diskMiB: 400 });
    expect(made.assignmentGeneration).toBe(6);
    expect(freeResources(made)).toEqual(freeResources(ledger));
  });

  it.each([
    ['without a reservation', ledger, { reservation: 'r2' }, 'has no reservation "r2"'],
    ['under an id that is taken', made, { sizeMiB: 1 }, 'has a volume "v1" already'],
    ['without a size', ledger, { sizeMiB: 0 }, 'would have no size'],
    ['larger than what is left', made, { id: 'v2', sizeMiB: 401 }, 'has 400 MiB of disk left, not 401'],
  ])('are not made %s', (_what, on, change, why) => {
    expect(whyNot(createVolume(on, aVolume(change)))).toContain(why);
  });

  it('have a bound for each node', () => {
    const many = Array.from({ length: LEDGER_VOLUMES_MAX }, (_, n) => aVolume({ id: `v${n}`, sizeMiB: 1 }));
    const full = { ...ledger, volumes: Object.fromEntries(many.map((volume) => [volume.id, volume])) };
    expect(whyNot(createVolume(full, aVolume({ id: 'more', sizeMiB: 1 })))).toContain('which is the most');
  });

  it('have a bound together with the reservations on what they take as records', () => {
    const labels = { note: 'x'.repeat(LEDGER_RESERVATIONS_BYTES_MAX / 2) };
    const full = ledgerOf(createVolume(ledger, aVolume({ sizeMiB: 1, labels })));
    const why = `the reservations and volumes of node "${full.node}" would take more than ${LEDGER_RESERVATIONS_BYTES_MAX} bytes`;
    expect(whyNot(createVolume(full, aVolume({ id: 'v2', sizeMiB: 1, labels })))).toBe(why);
    expect(whyNot(addReservation(full, aReservation({ id: 'r2', labels })))).toBe(why);
    expect(createVolume(full, aVolume({ id: 'v2', sizeMiB: 1 })).ok).toBe(true);
  });

  it('hold their disk until the agent has deleted them', () => {
    const ending = ledgerOf(destroyVolume(made, 'v1', NOBODY));
    expect(ending.volumes['v1']?.removing).toBe(true);
    expect(ending.assignmentGeneration).toBe(7);
    expect(freeReserved(ending, half).diskMiB).toBe(400);
    expect(ledgerOf(destroyVolume(ending, 'v1', NOBODY))).toBe(ending);
    expect(freeReserved(removeVolume(ending, 'v1'), half).diskMiB).toBe(1000);
  });

  it('are not destroyed under a task, or when there are none', () => {
    expect(whyNot(destroyVolume(made, 'v1', new Set(['v1'])))).toContain('a task on node "edge-1" has volume "v1"');
    expect(whyNot(destroyVolume(made, 'v2', NOBODY))).toContain('has no volume "v2"');
  });

  it('are not removed unasked', () => {
    expect(removeVolume(made, 'v1')).toBe(made);
    expect(removeVolume(made, 'v2')).toBe(made);
  });
});
