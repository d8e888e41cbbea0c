/** What a transaction must keep to. Adapters check it before they send anything, so that all of them refuse the same. */
import { invariant } from '../../shared/util/assert.ts';
import { utf8Length } from '../../shared/util/codec.ts';
import {
  type Compare,
  TRANSACTION_BYTES_MAX,
  TRANSACTION_COMPARES_MAX,
  TRANSACTION_WRITES_MAX,
  type Transaction,
  type Write,
} from './contract.ts';

/** What a compare or a write takes on the wire beside its key and value: lengths, tags, numbers. Generous. */
const OVERHEAD_BYTES = 48;

/** A compare's key goes twice: to be compared, and to be read when a compare fails. */
export function compareBytes(compare: Compare): number {
  return 2 * (utf8Length(compare.key) + OVERHEAD_BYTES);
}

export function writeBytes(write: Write): number {
  return utf8Length(write.key) + OVERHEAD_BYTES + (write.type === 'put' ? utf8Length(write.value) : 0);
}

/** Throws an InvariantError when the transaction is more than a store takes, or writes a key twice. */
export function checkTransaction({ compares, writes }: Transaction): void {
  invariant(
    compares.length <= TRANSACTION_COMPARES_MAX,
    `a transaction has at most ${TRANSACTION_COMPARES_MAX} compares, not ${compares.length}`,
  );
  invariant(
    writes.length <= TRANSACTION_WRITES_MAX,
    `a transaction has at most ${TRANSACTION_WRITES_MAX} writes, not ${writes.length}`,
  );
  checkWrittenOnce(writes);
  const bytes = sum(compares.map(compareBytes)) + sum(writes.map(writeBytes));
  invariant(bytes <= TRANSACTION_BYTES_MAX, `a transaction has at most ${TRANSACTION_BYTES_MAX} bytes, not ${bytes}`);
}

function checkWrittenOnce(writes: readonly Write[]): void {
  const seen = new Set<string>();
  for (const { key } of writes) {
    invariant(!seen.has(key), `key ${key} is written twice in one transaction`);
    seen.add(key);
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
