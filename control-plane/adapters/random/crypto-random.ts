/** Chance that nobody can foresee, from the platform's cryptographic source. */
import type { Random } from '../../../shared/util/random.ts';

const TWO_TO_32 = 4_294_967_296;

export class CryptoRandom implements Random {
  next(): number {
    const [word = 0] = crypto.getRandomValues(new Uint32Array(1));
    return word / TWO_TO_32;
  }

  bytes(length: number): Uint8Array {
    return crypto.getRandomValues(new Uint8Array(length));
  }
}
