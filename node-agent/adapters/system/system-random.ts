/** The machine's chance. */
import type { Random } from '../../../shared/util/random.ts';

export const systemRandom: Random = {
  next: () => Math.random(),
  bytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
};
