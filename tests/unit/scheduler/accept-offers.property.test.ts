import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { acceptOffers } from '../../../control-plane/scheduler/accept-offers.ts';
import type { RolePath } from '../../../shared/domain/ids.ts';
import {
  addOffers,
  endOffers,
  freeReserved,
  freeResources,
  type Ledger,
  unreservedPart,
} from '../../../shared/domain/ledger.ts';
import { removeVolume } from '../../../shared/domain/ledger-reservations.ts';
import type { Offer } from '../../../shared/domain/offer.ts';
import { filterFor } from '../../../shared/domain/offer-filters.ts';
import type { OfferOperation } from '../../../shared/domain/offer-operation.ts';
import {
  addResources,
  addScalars,
  countPorts,
  NO_SCALARS,
  type Resources,
  type Scalars,
  scalarNames,
  scalarOf,
} from '../../../shared/domain/resources.ts';
import { launchRequest } from '../../support/answers.ts';
import { aFramework, aLedger, aNode, T0 } from '../../support/builders.ts';

const ROLES = ['eng', 'eng/ml', 'ops'];
const IDS = ['a', 'b', 'constructor'];
const NODE = aNode();

const scalars = fc.record({
  cpus: fc.integer({ min: 0, max: 3 }),
  memMiB: fc.integer({ min: 0, max: 2000 }),
  diskMiB: fc.integer({ min: 0, max: 6000 }),
});
const id = fc.constantFrom(...IDS);
const task = fc.record({
  name: fc.string({ minLength: 1, maxLength: 6 }),
  scalars,
  gpus: fc.constantFrom(0, 0, 0.5),
  ports: fc.integer({ min: 0, max: 3 }),
});
const operation = fc.oneof(
  fc.record({ type: fc.constantFrom('launch', 'launch-group'), tasks: fc.array(task, { minLength: 1, maxLength: 3 }) }),
  fc.record({ type: fc.constant('reserve'), id, scalars }),
  fc.record({ type: fc.constant('unreserve'), id, scalars: fc.option(scalars) }),
  fc.record({ type: fc.constant('create'), id, reservation: id, sizeMiB: fc.integer({ min: 0, max: 3000 }) }),
  fc.record({ type: fc.constant('destroy'), id }),
);
type Wish = typeof operation extends fc.Arbitrary<infer T> ? T : never;

/** A role, how much of what is free it is offered, and what is done with it; null: it is declined. */
const step = fc.record({
  role: fc.constantFrom(...ROLES),
  share: fc.constantFrom(1, 0.5),
  operations: fc.option(fc.array(operation, { maxLength: 5 })),
});

describe('any number of offers and answers', () => {
  it('neither make nor lose resources, and give no role more than it was offered', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        let ledger: Ledger = aLedger();
        for (const [number, { role, share, operations }] of steps.entries()) {
          const offered = addOffers(ledger, [offerOf(ledger, role, { number, share })]);
          const before = usages(offered);
          ledger = operations === null ? declined(offered, number) : answered(offered, { role, number, operations });
          expect(holdings(ledger)).toEqual(holdings(aLedger()));
          for (const [of, usage] of usages(ledger)) expect(isWithin(usage, before.get(of) ?? NO_SCALARS)).toBe(true);
          for (const volume of Object.keys(ledger.volumes)) ledger = removeVolume(ledger, volume);
        }
      }),
      { numRuns: 300 },
    );
  });
});

/** A part of what is free, and all that is reserved for the role or those above it. */
function offerOf(ledger: Ledger, role: RolePath, { number, share }: { number: number; share: number }): Offer {
  const free = freeResources(ledger);
  const reserved = Object.fromEntries(
    Object.values(ledger.reservations)
      .filter((reservation) => role === reservation.role || role.startsWith(`${reservation.role}/`))
      .map((reservation) => [reservation.id, freeReserved(ledger, reservation)]),
  );
  const part = { ...free, cpus: free.cpus * share, memMiB: Math.floor(free.memMiB * share) };
  const resources = { ...Object.values(reserved).reduce<Scalars>(addScalars, part), ports: free.ports };
  return { id: `1-${number}-0`, framework: 'f000000000001', role, resources, reserved, madeAtMs: T0, expiresAtMs: T0 };
}

function declined(ledger: Ledger, number: number): Ledger {
  const [offer] = Object.values(ledger.offers);
  if (offer === undefined) throw new Error('there is an offer');
  const { role, resources } = offer;
  const filter = filterFor(ledger.filters, {
    framework: aFramework(),
    role,
    offer: offer.id,
    refused: resources,
    because: 'declined',
    seconds: 5,
    nowMs: T0 + number,
  });
  return endOffers(ledger, [offer.id], filter === null ? [] : [filter]);
}

function answered(
  ledger: Ledger,
  { role, number, operations }: { role: RolePath; number: number; operations: readonly Wish[] },
): Ledger {
  const [offer] = Object.values(ledger.offers);
  if (offer === undefined) throw new Error('there is an offer');
  let named = 0;
  const accepted = acceptOffers({
    ledger,
    node: NODE,
    framework: aFramework({ roles: [role] }),
    offers: [offer],
    operations: operations.map((wish) => operationOf(wish, () => `${number}-${named++}`)),
    refuseSeconds: 0,
    mounted: new Set(),
    by: 'alice',
    nowMs: T0 + number,
  });
  // Refused as a whole, it changes nothing; the offer is given back so that the next one can be made.
  return accepted.ok ? accepted.ledger : endOffers(ledger, [offer.id]);
}

function operationOf(wish: Wish, unique: () => string): OfferOperation {
  switch (wish.type) {
    case 'launch':
    case 'launch-group':
      return { type: wish.type, tasks: wish.tasks.map((one) => taskOf(one, unique())) };
    case 'reserve':
      return { type: 'reserve', reservation: { id: wish.id, scalars: { ...NO_SCALARS, ...wish.scalars }, labels: {} } };
    case 'unreserve': {
      const part = wish.scalars === null ? null : { ...NO_SCALARS, ...wish.scalars };
      return { type: 'unreserve', reservation: wish.id, scalars: part };
    }
    case 'create':
      return { type: 'create', volume: { id: wish.id, reservation: wish.reservation, sizeMiB: wish.sizeMiB } };
    case 'destroy':
      return { type: 'destroy', volume: wish.id };
    default:
      throw new Error('there are no others');
  }
}

function taskOf(
  { name, scalars: amounts, gpus, ports }: { name: string; scalars: Partial<Scalars>; gpus: number; ports: number },
  suffix: string,
) {
  const specs = Array.from({ length: ports }, (_, index) => ({ name: `p${index}`, protocol: 'tcp' as const }));
  return launchRequest(`${name} ${suffix}`, { ...amounts, gpus }, { ports: specs });
}

/** Everything that is free, reserved, held or offered, in sum: what the node has. */
function holdings(ledger: Ledger) {
  const held = [...Object.values(ledger.entries), ...Object.values(ledger.offers)].map(unreservedPart);
  const reserved = Object.values(ledger.reservations).map(({ scalars: amounts }) => ({ ...amounts, ports: [] }));
  const sum = [...held, ...reserved].reduce<Resources>(addResources, freeResources(ledger));
  for (const reservation of Object.values(ledger.reservations)) {
    const rest = freeReserved(ledger, reservation);
    expect(scalarNames(rest).every((name) => scalarOf(rest, name) >= 0)).toBe(true);
  }
  const ports = held.reduce(
    (count, { ports: ranges }) => count + countPorts(ranges),
    countPorts(freeResources(ledger).ports),
  );
  return { ...sum, ports };
}

/** What each role is charged: its reservations, and the unreserved part of its tasks and offers; with those below it. */
function usages(ledger: Ledger): Map<RolePath, Scalars> {
  const usage = new Map<RolePath, Scalars>(ROLES.map((role) => [role, NO_SCALARS]));
  const charge = (role: RolePath, amounts: Scalars) => {
    for (const of of ROLES) {
      if (role === of || role.startsWith(`${of}/`)) usage.set(of, addScalars(usage.get(of) ?? NO_SCALARS, amounts));
    }
  };
  for (const { role, scalars: amounts } of Object.values(ledger.reservations)) charge(role, amounts);
  for (const held of [...Object.values(ledger.entries), ...Object.values(ledger.offers)])
    charge(held.role, unreservedPart(held));
  return usage;
}

function isWithin(usage: Scalars, most: Scalars): boolean {
  return scalarNames(usage).every((name) => scalarOf(usage, name) <= scalarOf(most, name));
}
