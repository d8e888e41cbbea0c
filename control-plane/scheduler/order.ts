/** Orders that don't depend on the machine's language, nor on the order in which a map was filled. */

/** By code units. */
export function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
