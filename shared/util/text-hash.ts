const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** FNV-1a over the code units, 32 bits: spreads neighbouring texts, and needs no library. Nothing may rest on it being hard to meet. */
export function textHash(text: string): number {
  let hash = FNV_OFFSET;
  for (let place = 0; place < text.length; place += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(place), FNV_PRIME) >>> 0;
  }
  return hash;
}
