/**
 * In which order a project's files begin where several run at once: those that take long first, so that none of them is what all
 * the others' workers wait for at the end. Vitest would go by the size of a file, which says nothing of how long it waits.
 */
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Longest first. One that is missing here costs time and nothing else. */
export const LONG = [
  'e2e/chaos',
  'e2e/service',
  'e2e/faults',
  'e2e/cli',
  'e2e/identity',
  'e2e/processes',
  'e2e/never-two',
  'e2e/restored-etcd',
  'e2e/power-cut',
  'e2e/replica-front',
  'integration/agent/cut-off',
  'integration/agent/processes',
  'integration/agent/process',
  'integration/replicas/frameworks',
  'integration/agent/output',
  'integration/agent/process-runtime',
  'integration/outages/leases',
  'integration/agent/power-cut',
  // The two under faults not side by side: each has many calls to make in a short time.
  'store/etcd-wires',
  'store/etcd-gateway-requests',
  'store/etcd-settings',
  'store/etcd-gateway-wires',
];

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const others = await super.sort(files);
    return others.toSorted((one, other) => rank(one.moduleId) - rank(other.moduleId));
  }
}

/** The lower, the earlier; equal for all that aren't known to be long, whose order stays. */
export function rank(file: string): number {
  const at = LONG.findIndex((name) => file.endsWith(`/tests/${name}.test.ts`));
  return at === -1 ? LONG.length : at;
}
