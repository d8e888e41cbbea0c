/** What frameworks answer to their offers, as a test says it: only what matters to it. */
import { nameFor } from '../../shared/domain/ids.ts';
import type { GroupResources, GroupSpec } from '../../shared/domain/job.ts';
import type { LaunchRequest } from '../../shared/domain/offer-operation.ts';
import { aGroup } from './builders.ts';

/** A tenth of a core and 64 MiB, unless the change says otherwise. */
export function launchRequest(
  name: string,
  resources: Partial<GroupResources> = {},
  change: Partial<Omit<GroupSpec, 'resources'>> = {},
): LaunchRequest {
  const group = aGroup({ name: nameFor(name), resources: { cpus: 0.1, memMiB: 64, ...resources }, ...change });
  return {
    name,
    template: { group, priority: 50, replaceAfterSeconds: 60, stopAfterDisconnectSeconds: undefined },
    labels: { color: 'blue' },
    annotations: {},
    reserved: null,
    executor: null,
  };
}
