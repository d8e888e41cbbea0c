/** Orders that depend neither on the machine's language nor on the order in which a map was filled. */

/** By code units, for `sort`. */
export function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
