/** Writers in a storm, and followers that are cut all the time. */
import type { SeededRandom } from '../../simulation/seeded-random.ts';
import type { TcpProxy } from '../tcp-proxy.ts';
import { Commits, type Tally } from './commits.ts';
import { Mirrors, type Waits } from './mirrors.ts';
import { type Far, type Place, pause, until } from './place.ts';
import { type FaultName, storm } from './storm.ts';
import { Watches } from './watches.ts';

export interface StormSize {
  readonly wires: number;
  readonly faultsPerWire: number;
  /** Absent: all of them. */
  readonly kinds?: readonly FaultName[];
}

export async function commitsInAStorm(
  place: Place,
  random: SeededRandom,
  { wires, faultsPerWire, kinds }: StormSize,
): Promise<{ violations: readonly string[]; tally: Tally }> {
  const stores = await farStores(place, wires);
  const commits = await Commits.begin(place, random.split('commits'), stores);
  const strike = ({ proxy }: Far, wire: number) => storm(proxy, random.split(`storm ${wire}`), faultsPerWire, kinds);
  await Promise.all(stores.map(strike));
  return commits.end();
}

export interface CutsSize {
  readonly followers: number;
  readonly cutsPerFollower: number;
  /** That a mirror which is cut off has to list again, for each write. */
  readonly compactChance: number;
}

export async function watchesThatAreCut(
  place: Place,
  random: SeededRandom,
  size: Omit<CutsSize, 'compactChance'>,
): Promise<{ violations: readonly string[]; events: number }> {
  const stores = await farStores(place, size.followers);
  const watches = await Watches.begin(place, random.split('watches'), stores);
  await cutAll(stores, random, size, watches);
  return watches.end();
}

export async function mirrorsThatAreCut(
  place: Place,
  random: SeededRandom,
  size: CutsSize,
): Promise<{ violations: readonly string[]; waits: Waits; resets: number }> {
  const stores = await farStores(place, size.followers);
  const mirrors = await Mirrors.begin(place, random.split('mirrors'), stores, size);
  await cutAll(stores, random, size, mirrors);
  return mirrors.end();
}

function farStores(place: Place, count: number): Promise<readonly Far[]> {
  return Promise.all(Array.from({ length: count }, () => place.far()));
}

async function cutAll(
  stores: readonly Far[],
  random: SeededRandom,
  { cutsPerFollower }: Pick<CutsSize, 'cutsPerFollower'>,
  followers: Watches | Mirrors,
): Promise<void> {
  const cutting = stores.map(({ proxy }, index) =>
    cutOften(proxy, random.split(`cuts ${index}`), {
      count: cutsPerFollower,
      progress: () => followers.progress(index),
      isOver: () => followers.isOver(index),
    }),
  );
  await Promise.all(cutting);
}

interface CutPlan {
  /** How many times a connection is cut that was alive: after the last cut, something had been seen on it. */
  readonly count: number;
  /** How much has been seen so far. */
  readonly progress: () => number;
  /** Nothing more will be seen. */
  readonly isOver: () => boolean;
}

/** Further cuts, that come before anything was seen. */
const EARLY_CHANCE = 0.3;
const EARLY_MS = [0, 25] as const;
/** The others come after so many bytes of answers, or else at once. */
const MID_STREAM_CHANCE = 0.7;
const MID_STREAM_BYTES = [1, 3000] as const;
const MID_STREAM_WITHIN_MS = 50;

async function cutOften(proxy: TcpProxy, random: SeededRandom, { count, progress, isOver }: CutPlan) {
  for (let cut = 0; cut < count && !isOver(); ) {
    if (random.chance(EARLY_CHANCE)) {
      await pause(random.between(...EARLY_MS));
      proxy.cut(random.pick(['close', 'reset']));
      continue;
    }
    const before = progress();
    await until('progress between two cuts', () => progress() > before || isOver());
    if (random.chance(MID_STREAM_CHANCE)) {
      proxy.cutAfter(random.between(...MID_STREAM_BYTES));
      await proxy.hasCut(MID_STREAM_WITHIN_MS);
    }
    proxy.cut(random.pick(['close', 'reset']));
    cut += 1;
  }
}
