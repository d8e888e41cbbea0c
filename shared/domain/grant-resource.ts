/**
 * What a grant may be narrowed to: jobs, frameworks, reservations and volumes by their names, such as `job/web` or `job/ci-*`. What
 * belongs to one of them, a task, its output, a deployment, an endpoint, goes with it.
 */

export const RESOURCE_KINDS = ['job', 'framework', 'reservation', 'volume'] as const;
export type ResourceKind = (typeof RESOURCE_KINDS)[number];

export interface GrantResource {
  readonly kind: ResourceKind;
  /** Of a job or framework its name; of a reservation or volume its id. */
  readonly name: string;
}

/** A kind, a slash, and a name, of which a last `*` stands for whatever else may follow. Always the whole name. */
const KINDS = RESOURCE_KINDS.join('|');
export const RESOURCE_PATTERN = new RegExp(String.raw`^(?:${KINDS})/(?:\*|[^\s*\p{C}][^*\p{C}]{0,254}\*?)$`, 'u');
export const RESOURCE_RULE = `one of ${RESOURCE_KINDS.map((kind) => `"${kind}/"`).join(', ')} and a name, which may end with "*", such as "job/ci-*"`;

/** Whether the pattern names the thing. */
export function namesResource(pattern: string, { kind, name }: GrantResource): boolean {
  return coversPattern(pattern, `${kind}/${name}`);
}

/** Whether everything that `wanted` names, a thing or a pattern, `granted` names as well. */
export function coversPattern(granted: string, wanted: string): boolean {
  if (granted === wanted) return true;
  return granted.endsWith('*') && wanted.startsWith(granted.slice(0, -1));
}
