/** Times as the API shows them. */

export function timeView(atMs: number): string {
  return new Date(atMs).toISOString();
}

export function optionalTime(atMs: number | null): string | null {
  return atMs === null ? null : timeView(atMs);
}
