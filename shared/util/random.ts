/**
 * Chance as the code that needs it sees it. Only mains and adapters hold a real source; the simulator hands in a seeded
 * one.
 */
export interface Random {
  /** A number in [0, 1). */
  next(): number;
  /** `length` unpredictable bytes. */
  bytes(length: number): Uint8Array;
}

/** Crockford's base 32 in lower case: no letter is mistaken for a digit, and no word is spelled. */
const ID_ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/** An id of `length` base-32 characters, 5 bits each: 16 characters never collide within one cluster. */
export function randomId(random: Random, length = 16): string {
  let id = '';
  for (const byte of random.bytes(length)) id += ID_ALPHABET.charAt(byte & 31);
  return id;
}
