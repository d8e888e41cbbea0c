/**
 * Tokens that have been verified, until they expire: checking a signature costs a hundred times what a lookup does. Kept
 * under their hashes, so that no token lies in memory for longer than its request.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { hexEncode, utf8Encode } from '../../shared/util/codec.ts';

/** Beyond this the one that was used longest ago goes. */
const TOKENS_MAX = 10_000;

export class TokenCache<T extends { readonly expiresAtMs: number }> {
  /** In the order of their last use. */
  readonly #entries = new Map<string, T>();
  readonly #tokensMax: number;

  constructor(tokensMax = TOKENS_MAX) {
    this.#tokensMax = tokensMax;
  }

  /** Null when it isn't known or its time ended at or before `nowMs`. */
  get(token: string, nowMs: number): T | null {
    const key = keyOf(token);
    const entry = this.#entries.get(key);
    if (entry === undefined) return null;
    this.#entries.delete(key);
    if (entry.expiresAtMs <= nowMs) return null;
    this.#entries.set(key, entry);
    return entry;
  }

  set(token: string, entry: T): void {
    this.#entries.set(keyOf(token), entry);
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > this.#tokensMax && oldest !== undefined) this.#entries.delete(oldest);
  }
}

function keyOf(token: string): string {
  return hexEncode(sha256(utf8Encode(token)));
}
