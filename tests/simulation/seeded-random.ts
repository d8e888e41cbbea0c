/**
 * Chance that a seed decides. Every part of the world draws from a stream of its own, split off by name, so that one part
 * drawing more often doesn't change what the others see.
 */
import type { Random } from '../../shared/util/random.ts';

export class SeededRandom implements Random {
  readonly #seed: number;
  readonly #state: Uint32Array;

  constructor(seed: number) {
    this.#seed = seed >>> 0;
    this.#state = splitMix(this.#seed);
  }

  /** A stream of its own. The same name gives the same stream, however much has been drawn here. */
  split(name: string): SeededRandom {
    return new SeededRandom(mix(name, this.#seed));
  }

  next(): number {
    return this.#nextUint32() / 0x1_0000_0000;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.#nextUint32() >>> 24);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** A whole number, both ends included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  pick<T>(items: readonly T[]): T {
    const item = items[Math.floor(this.next() * items.length)];
    if (item === undefined) throw new RangeError('there is nothing to pick from');
    return item;
  }

  /** One of the names, each as likely as its weight says. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K {
    const entries = Object.entries(weights) as [K, number][];
    let left = this.next() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [name, weight] of entries) {
      left -= weight;
      if (left < 0) return name;
    }
    throw new RangeError('the weights sum up to nothing');
  }

  /** xoshiro128** (Blackman and Vigna, 2018): small, fast, and equal on every machine. */
  #nextUint32(): number {
    const s = this.#state;
    const [s0 = 0, s1 = 0, s2 = 0, s3 = 0] = s;
    const result = Math.imul(rotateLeft(Math.imul(s1, 5), 7), 9) >>> 0;
    const t2 = s2 ^ s0;
    const t3 = s3 ^ s1;
    s[1] = s1 ^ t2;
    s[0] = s0 ^ t3;
    s[2] = t2 ^ (s1 << 9);
    s[3] = rotateLeft(t3, 11);
    return result;
  }
}

/** Four words from one, none of which is likely to be zero. */
function splitMix(seed: number): Uint32Array {
  let state = seed;
  return Uint32Array.from({ length: 4 }, () => {
    state = (state + 0x9e37_79b9) | 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x85eb_ca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2_ae35);
    return (z ^ (z >>> 16)) >>> 0;
  });
}

/** FNV-1a over the name, begun with the seed. */
function mix(name: string, seed: number): number {
  let hash = 0x811c_9dc5 ^ seed;
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 0x0100_0193);
  return hash >>> 0;
}

function rotateLeft(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}
