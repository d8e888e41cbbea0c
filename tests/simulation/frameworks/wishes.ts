/** What simulated frameworks ask for: who they are, how they behave, and what they make of offers. */
import type { FrameworkEvent, OfferView, SubscriptionInput } from '../../../shared/protocol/framework.ts';
import { type AcceptInput, type AcceptRequest, acceptSchema } from '../../../shared/protocol/offers.ts';
import { environmentOf, IMAGES } from '../behaviour.ts';
import type { SeededRandom } from '../seeded-random.ts';

/** Some above others, one that jobs use as well. */
export const ROLES = ['eng', 'eng/ml', 'eng/web', 'ops', 'default'] as const;

export type Deed =
  | 'launch'
  | 'launchTwice'
  | 'decline'
  | 'kill'
  | 'reconcile'
  | 'revive'
  | 'suppress'
  | 'update'
  | 'reserve'
  | 'unreserve'
  | 'blunder'
  | 'tearDown'
  | 'wait';

const NOTHING: Readonly<Record<Deed, number>> = {
  launch: 0,
  launchTwice: 0,
  decline: 0,
  kill: 0,
  reconcile: 0,
  revive: 0,
  suppress: 0,
  update: 0,
  reserve: 0,
  unreserve: 0,
  blunder: 0,
  tearDown: 0,
  wait: 0,
};

/** How often each kind of framework does what. */
export const MANNERS: Readonly<Record<string, Readonly<Record<Deed, number>>>> = {
  hoarder: { ...NOTHING, wait: 1 },
  refuser: { ...NOTHING, decline: 10, revive: 1, wait: 2 },
  greedy: { ...NOTHING, launch: 20, launchTwice: 6, revive: 3, reconcile: 1, kill: 2 },
  keeper: { ...NOTHING, launch: 6, reserve: 8, unreserve: 5, decline: 2, kill: 4, revive: 2, blunder: 1 },
  juggler: {
    launch: 12,
    launchTwice: 3,
    decline: 5,
    kill: 5,
    reconcile: 3,
    revive: 3,
    suppress: 2,
    update: 2,
    reserve: 2,
    unreserve: 2,
    blunder: 4,
    tearDown: 0.3,
    wait: 3,
  },
};

export function subscriptionOf(name: string, random: SeededRandom): SubscriptionInput {
  const roles = ROLES.filter(() => random.chance(0.35));
  return {
    name,
    roles: roles.length === 0 ? [random.pick(ROLES)] : roles,
    failoverTimeoutSeconds: random.pick([0, 5, 30, 60]),
    capabilities: random.chance(0.7) ? ['gpus'] : [],
  };
}

/** Of one node and role: those that could be accepted together. */
export function togetherOf(offers: Iterable<OfferView>, random: SeededRandom): readonly OfferView[] {
  const all = [...offers];
  if (all.length === 0) return [];
  const { node, role } = random.pick(all);
  return all.filter((offer) => offer.node === node && offer.role === role).slice(0, random.between(1, 3));
}

/** Tasks that fit into what is offered, most of the time. `newName`: no two are ever called the same. */
export function launchOf(
  offers: readonly OfferView[],
  random: SeededRandom,
  newName: () => string,
): AcceptInput['operations'] {
  const left = { cpus: sumOf(offers, 'cpus'), memMiB: sumOf(offers, 'memMiB') };
  const tasks = Array.from({ length: random.between(1, 3) }, () => {
    const isTooLarge = random.chance(0.05);
    const cpus = isTooLarge ? 100 : Math.min(random.pick([0.1, 0.5, 1, 2]), Math.max(0.1, thousandth(left.cpus)));
    const memMiB = Math.min(random.pick([64, 300, 1000]), Math.max(32, Math.floor(left.memMiB)));
    left.cpus -= cpus;
    left.memMiB -= memMiB;
    return taskOf(random, { name: newName(), cpus, memMiB });
  });
  return [{ type: random.chance(0.3) ? 'launch-group' : 'launch', tasks }];
}

function sumOf(offers: readonly OfferView[], name: 'cpus' | 'memMiB' | 'diskMiB'): number {
  return offers.reduce((sum, { resources }) => sum + resources[name], 0);
}

function thousandth(amount: number): number {
  return Math.floor(amount * 1000) / 1000;
}

function taskOf(random: SeededRandom, { name, cpus, memMiB }: { name: string; cpus: number; memMiB: number }) {
  const behaviour = {
    lifeMs: random.chance(0.2) ? null : random.between(200, 20_000),
    exitCode: random.chance(0.8) ? 0 : 3,
    failurePercent: random.pick([0, 30]),
    stopMs: random.chance(0.8) ? random.between(0, 2000) : null,
    isUnusable: random.chance(0.03),
  };
  return {
    task: name,
    image: random.chance(0.7) ? IMAGES[0] : random.pick(IMAGES),
    env: environmentOf(behaviour),
    resources: { cpus, memMiB, gpus: random.pick([0, 0, 0, 0, 1]) },
    ports: random.chance(0.2) ? [{ name: 'http' }] : [],
    killGraceSeconds: random.between(0, 4),
    replaceAfterSeconds: random.pick([0, 2, 5, 15]),
  };
}

/** Reserves something of what is offered, and makes a volume on it now and then. */
export function reserveOf(offers: readonly OfferView[], random: SeededRandom, id: string): AcceptInput['operations'] {
  const disk = Math.floor(Math.min(1000, sumOf(offers, 'diskMiB')));
  const cpus = thousandth(Math.min(random.pick([0, 0.5, 1]), Math.max(0, sumOf(offers, 'cpus'))));
  const scalars = { cpus, memMiB: 0, diskMiB: disk };
  const named = random.chance(0.5) ? { operation: `o${id}` } : {};
  const reserve = { type: 'reserve', ...named, reservation: { id, scalars } } as const;
  if (disk < 10 || random.chance(0.5)) return [reserve];
  return [reserve, { type: 'create', volume: { id: `v${id}`, reservation: id, sizeMiB: Math.floor(disk / 2) } }];
}

/** Gives back what the offers hold of a reservation; null where they hold none. */
export function unreserveOf(offers: readonly OfferView[], random: SeededRandom): AcceptInput['operations'] | null {
  const parts = offers.flatMap(({ reserved }) => reserved);
  if (parts.length === 0) return null;
  const { reservation, resources } = random.pick(parts);
  const { cpus, memMiB, diskMiB, gpus } = resources;
  const scalars = { cpus, memMiB, diskMiB, gpus };
  const unreserve = { type: 'unreserve', reservation, scalars } as const;
  return random.chance(0.3) ? [{ type: 'destroy', volume: `v${reservation}` }, unreserve] : [unreserve];
}

export function acceptOf(
  session: number,
  offers: readonly OfferView[],
  operations: AcceptInput['operations'],
  refuseSeconds: number,
): AcceptRequest {
  return acceptSchema.parse({ session, offers: offers.map(({ id }) => id), operations, refuseSeconds });
}

export type UpdateEvent = Extract<FrameworkEvent, { type: 'update' }>['update'];
