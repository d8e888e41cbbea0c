/**
 * Many small changes in few transactions. A plan is a list of units, each of which must happen as a whole or not at all;
 * together they share fences. One transaction per unit would cost a round trip each; batching is what makes rounds fast.
 */
import { invariant } from '../../shared/util/assert.ts';
import {
  type Compare,
  TRANSACTION_BYTES_MAX,
  TRANSACTION_COMPARES_MAX,
  TRANSACTION_WRITES_MAX,
  type Write,
} from './contract.ts';
import { compareBytes, writeBytes } from './limits.ts';

/** Happens as a whole or not at all. */
export interface AtomicUnit {
  readonly compares: readonly Compare[];
  readonly writes: readonly Write[];
}

export interface PackedTransaction {
  /** The fences first, then those of the units, each key once. */
  readonly compares: readonly Compare[];
  readonly writes: readonly Write[];
  /** Positions, in the list that was packed, of the units that this transaction carries out. */
  readonly units: readonly number[];
}

/**
 * Room that {@link packTransactions} leaves for what goes along with a change: the operation's record and the stored answer, which are
 * compared as well, and the record of who did it.
 */
const COMPARES_BESIDE = 2;
const WRITES_BESIDE = 3;
const BYTES_BESIDE = 32 * 1024;

/**
 * Packs the units, in their order, into as few transactions as a first fit finds. Every transaction compares the fences.
 * A key that several units compare is compared once.
 *
 * Throws an InvariantError when two units write one key (the caller merges those), when two compare one key at different
 * revisions (they were decided from different states), or when a unit alone is more than a transaction takes: the caller has
 * asked {@link fitsTransaction}.
 */
export function packTransactions(units: readonly AtomicUnit[], fences: readonly Compare[] = []): PackedTransaction[] {
  checkUnits(units, fences);
  const bins: Bin[] = [];
  for (const [position, unit] of units.entries()) {
    const bytes = writtenBytes(unit);
    const bin = bins.find((candidate) => candidate.fits(unit, bytes)) ?? openBin(bins, unit, fences);
    bin.add(unit, { position, bytes });
  }
  return bins.map((bin) => bin.transaction());
}

/** Whether a transaction takes the unit, beside the fences and the record of an operation. */
export function fitsTransaction(unit: AtomicUnit, fences: readonly Compare[] = []): boolean {
  return new Bin(fences).fits(unit, writtenBytes(unit));
}

/** Measured once for each unit: a ledger may take half a megabyte, and many transactions are asked whether they have room. */
function writtenBytes({ writes }: AtomicUnit): number {
  return writes.reduce((total, write) => total + writeBytes(write), 0);
}

function openBin(bins: Bin[], unit: AtomicUnit, fences: readonly Compare[]): Bin {
  const bin = new Bin(fences);
  const { compares, writes } = unit;
  invariant(
    bin.fits(unit, writtenBytes(unit)),
    `a unit with ${compares.length} compares and ${writes.length} writes, first ${writes[0]?.key}, fits no transaction`,
  );
  bins.push(bin);
  return bin;
}

/** One transaction while it is being filled. */
class Bin {
  readonly #compares = new Map<string, Compare>();
  readonly #writes: Write[] = [];
  readonly #units: number[] = [];
  #bytes = BYTES_BESIDE;

  constructor(fences: readonly Compare[]) {
    for (const fence of fences) this.#compare(fence);
  }

  fits(unit: AtomicUnit, writtenBytes: number): boolean {
    if (this.#writes.length + unit.writes.length > TRANSACTION_WRITES_MAX - WRITES_BESIDE) return false;
    const added = unit.compares.filter((compare) => !this.#compares.has(compare.key));
    if (this.#compares.size + added.length > TRANSACTION_COMPARES_MAX - COMPARES_BESIDE) return false;
    const comparedBytes = added.reduce((total, compare) => total + compareBytes(compare), 0);
    return this.#bytes + comparedBytes + writtenBytes <= TRANSACTION_BYTES_MAX;
  }

  add(unit: AtomicUnit, { position, bytes }: { position: number; bytes: number }): void {
    for (const compare of unit.compares) this.#compare(compare);
    this.#writes.push(...unit.writes);
    this.#bytes += bytes;
    this.#units.push(position);
  }

  transaction(): PackedTransaction {
    return { compares: [...this.#compares.values()], writes: this.#writes, units: this.#units };
  }

  #compare(compare: Compare): void {
    if (this.#compares.has(compare.key)) return;
    this.#compares.set(compare.key, compare);
    this.#bytes += compareBytes(compare);
  }
}

function checkUnits(units: readonly AtomicUnit[], fences: readonly Compare[]): void {
  const compared = new Map<string, number>();
  const written = new Set<string>();
  for (const compare of [...fences, ...units.flatMap((unit) => unit.compares)]) {
    const other = compared.get(compare.key) ?? compare.modRevision;
    invariant(
      other === compare.modRevision,
      `key ${compare.key} is compared at revisions ${other} and ${compare.modRevision}`,
    );
    compared.set(compare.key, compare.modRevision);
  }
  for (const { key } of units.flatMap((unit) => unit.writes)) {
    invariant(!written.has(key), `key ${key} is written by two units`);
    written.add(key);
  }
}
