import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { freeReserved, freeResources, type Ledger } from '../../../shared/domain/ledger.ts';
import { LEDGER_RESERVATIONS_MAX, type StaticReservation } from '../../../shared/domain/reservation.ts';
import { NO_SCALARS, type Scalars } from '../../../shared/domain/resources.ts';
import { withStaticReservations } from '../../../shared/domain/static-reservations.ts';
import { aJob, aLedger, anEntry, anOffer, aReservation, aTask, T0 } from '../../support/builders.ts';

const BY = { by: 'edge-1', atMs: T0 };

function scalars(change: Partial<Scalars>): Scalars {
  return { ...NO_SCALARS, ...change };
}

function wanted(roles: Readonly<Record<string, Partial<Scalars>>>): StaticReservation[] {
  return Object.entries(roles).map(([role, change]) => ({ role, scalars: scalars(change) }));
}

function kept(ledger: Ledger): Readonly<Record<string, Scalars>> {
  return Object.fromEntries(Object.values(ledger.reservations).map(({ role, scalars: held }) => [role, held]));
}

/** A task of the role that holds so many cores of the reservation. */
function aTaskOn(reservation: string, role: string, cpus: number) {
  const job = aJob({ spec: { role } });
  const entry = anEntry(job, aTask(job, { state: 'running' }), { reserved: { [reservation]: scalars({ cpus }) } });
  return { ...entry, resources: { ...entry.resources, ...scalars({ cpus }) } };
}

describe('what an agent keeps for roles', () => {
  it('is put into the ledger, by names that say what it is', () => {
    const ledger = withStaticReservations(aLedger(), wanted({ 'eng/ml': { cpus: 2 }, 'eng-ml': { cpus: 1 } }), BY);
    expect(ledger.reservations).toEqual({
      'static-eng-ml': {
        id: 'static-eng-ml',
        role: 'eng/ml',
        scalars: scalars({ cpus: 2 }),
        source: 'static',
        ...BY,
        labels: {},
      },
      'static-eng-ml-2': expect.objectContaining({ role: 'eng-ml', scalars: scalars({ cpus: 1 }) }),
    });
    expect(freeResources(ledger).cpus).toBe(1);
  });

  it('is the same ledger when it is so already', () => {
    const ledger = withStaticReservations(aLedger(), wanted({ eng: { cpus: 2, custom: { fpga: 1 } } }), BY);
    expect(withStaticReservations(ledger, wanted({ eng: { cpus: 2, custom: { fpga: 1 } } }), { ...BY, atMs: 9 })).toBe(
      ledger,
    );
    const empty = aLedger();
    expect(withStaticReservations(empty, [], BY)).toBe(empty);
  });

  it('changes with what the agent says, under the same name, and leaves what others have reserved', () => {
    const others = aReservation({ role: 'eng' });
    const first = withStaticReservations(
      aLedger({ reservations: [others] }),
      wanted({ eng: { cpus: 1 }, ops: { cpus: 1 } }),
      BY,
    );
    const second = withStaticReservations(first, wanted({ eng: { cpus: 2 } }), BY);
    expect(second.reservations).toEqual({
      r1: others,
      'static-eng': { ...first.reservations['static-eng'], scalars: scalars({ cpus: 2 }) },
    });
  });

  it('is given in full while others still hold what it is made of, so that it fills as they end', () => {
    const full = aLedger({ entries: [{ ...aTaskOn('none', 'ops', 4), reserved: {} }] });
    const ledger = withStaticReservations(full, wanted({ eng: { cpus: 3 } }), BY);
    expect(kept(ledger)).toEqual({ eng: scalars({ cpus: 3 }) });
    expect(freeResources(ledger).cpus).toBe(-3);
  });

  it.each<[string, Parameters<typeof aLedger>[0], number]>([
    ['a task', { entries: [aTaskOn('static-eng', 'eng', 1.5)] }, 1.5],
    ['an offer', { offers: [anOffer({ role: 'eng', reserved: { 'static-eng': scalars({ cpus: 1 }) } })] }, 1],
    ['nothing', {}, 0],
  ])('stays, when it is no longer kept, as far as %s uses it', (_name, holders, left) => {
    const reservation = aReservation({
      id: 'static-eng',
      role: 'eng',
      source: 'static',
      scalars: scalars({ cpus: 2 }),
    });
    const ledger = withStaticReservations(aLedger({ ...holders, reservations: [reservation] }), [], BY);
    expect(kept(ledger)).toEqual(left === 0 ? {} : { eng: scalars({ cpus: left }) });
  });

  it('stays as far as a volume is on it', () => {
    const reservation = aReservation({
      id: 'static-eng',
      role: 'eng',
      source: 'static',
      scalars: scalars({ cpus: 2, diskMiB: 500 }),
    });
    const volume = { id: 'v1', reservation: 'static-eng', sizeMiB: 200, by: 'alice', atMs: T0, removing: false };
    const ledger = aLedger({ reservations: [reservation], volumes: { v1: volume } });
    expect(kept(withStaticReservations(ledger, wanted({ eng: { cpus: 1 } }), BY))).toEqual({
      eng: scalars({ cpus: 1, diskMiB: 200 }),
    });
  });

  it('is left out where the ledger takes no more', () => {
    const many = Array.from({ length: LEDGER_RESERVATIONS_MAX - 1 }, (_, n) => aReservation({ id: `r${n}` }));
    const ledger = withStaticReservations(
      aLedger({ reservations: many }),
      wanted({ a: { cpus: 1 }, b: { cpus: 1 } }),
      BY,
    );
    expect(Object.keys(ledger.reservations)).toHaveLength(LEDGER_RESERVATIONS_MAX);
  });

  it('never takes away what is in use, and comes to rest at once', () => {
    const amounts = fc.dictionary(
      fc.constantFrom('a', 'b', 'a/b'),
      fc.record({ cpus: fc.integer({ min: 0, max: 4 }) }),
    );
    fc.assert(
      fc.property(amounts, amounts, fc.integer({ min: 0, max: 4 }), (before, after, used) => {
        const first = withStaticReservations(aLedger(), wanted(before), BY);
        const [id = 'none'] = Object.keys(first.reservations);
        const cpus = Math.min(used, first.reservations[id]?.scalars.cpus ?? 0);
        const inUse: Ledger = { ...first, entries: { t: { ...aTaskOn(id, 'a', cpus), task: 't' } } };
        const second = withStaticReservations(inUse, wanted(after), BY);
        for (const one of Object.values(second.reservations))
          expect(freeReserved(second, one).cpus).toBeGreaterThanOrEqual(0);
        expect(second.reservations[id]?.scalars.cpus ?? 0).toBeGreaterThanOrEqual(cpus);
        expect(withStaticReservations(second, wanted(after), BY)).toBe(second);
        const freed = withStaticReservations({ ...second, entries: {} }, wanted(after), BY);
        const due = wanted(after).filter((one) => one.scalars.cpus > 0);
        expect(kept(freed)).toEqual(Object.fromEntries(due.map((one) => [one.role, one.scalars])));
      }),
    );
  });
});
