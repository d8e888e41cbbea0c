/**
 * What `npm test` consists of, in the order in which it is cheapest to hear of a mistake. A part is either an npm script, which
 * counts as one test, or a Vitest project of the same name (see vitest.config.ts).
 */
export type Requirement = 'etcd' | 'haproxy' | 'engine';

export type Part = {
  readonly name: string;
  readonly what: string;
  /** Set for a part that is an npm script; absent for a Vitest project. */
  readonly script?: string;
  readonly requires: readonly Requirement[];
};

export const parts: readonly Part[] = [
  { name: 'types', what: 'both TypeScript configurations', script: 'check', requires: [] },
  { name: 'lint', what: 'formatter and linter', script: 'lint', requires: [] },
  { name: 'audit', what: 'known vulnerabilities of packages', script: 'audit', requires: [] },
  { name: 'unit', what: 'tests/unit and tests/tidy', requires: [] },
  { name: 'simulation', what: 'tests/simulation', requires: [] },
  { name: 'store', what: 'tests/store, every adapter', requires: ['etcd'] },
  {
    name: 'integration',
    what: 'tests/integration, on a real etcd, a real haproxy and a real container engine',
    requires: ['etcd', 'haproxy', 'engine'],
  },
  {
    name: 'e2e',
    what: 'tests/e2e, on a real etcd, a real haproxy and real containers',
    requires: ['etcd', 'haproxy', 'engine'],
  },
];

/** The parts that were asked for, in the usual order; all of them if none was named. */
export function selectParts(names: readonly string[]): readonly Part[] {
  const unknown = names.filter((name) => !parts.some((part) => part.name === name));
  if (unknown.length > 0) {
    const known = parts.map((part) => part.name).join(', ');
    throw new RangeError(`There is no part called ${unknown.join(', ')}; there are: ${known}.`);
  }
  return names.length === 0 ? parts : parts.filter((part) => names.includes(part.name));
}
