/**
 * Comparing what somebody shows with what only they should know. A plain comparison ends at the first difference, and whoever can measure
 * how long it took finds the secret out character by character. Hashes are compared instead: of these nobody can choose how much
 * agrees, and each of their bytes is looked at.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { utf8Encode } from './codec.ts';

export function isSameSecret(given: string, expected: string): boolean {
  const [a, b] = [sha256(utf8Encode(given)), sha256(utf8Encode(expected))];
  return a.reduce((difference, byte, at) => difference | (byte ^ (b[at] ?? 0)), 0) === 0;
}
