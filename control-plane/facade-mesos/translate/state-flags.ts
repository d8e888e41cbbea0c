/** What of Mesos's flags says how Berth is set: nothing that the native API doesn't say as well. Pure. */
import type { ScalarAmounts } from '../../../shared/domain/role.ts';
import type { Settings } from '../../../shared/domain/settings.ts';
import { ENDED_FRAMEWORKS_MAX, ENDED_TASKS_MAX, UNREACHABLE_TASKS_MAX } from './state-framework.ts';

/** All are texts. */
export function stateFlags(settings: Settings): Readonly<Record<string, string>> {
  return {
    allocator: 'hierarchical',
    authenticate_agents: 'true',
    authenticate_frameworks: 'true',
    authenticate_http_frameworks: 'true',
    authenticate_http_readonly: 'true',
    authenticate_http_readwrite: 'true',
    fair_sharing_excluded_resource_names: settings.excludedFromShares.map(wireName).join(','),
    filter_gpu_resources: String(settings.gpuNodes === 'restricted'),
    max_completed_frameworks: String(ENDED_FRAMEWORKS_MAX),
    max_completed_tasks_per_framework: String(ENDED_TASKS_MAX),
    max_unreachable_tasks_per_framework: String(UNREACHABLE_TASKS_MAX),
    min_allocatable_resources: settings.minAllocatable.map(amountsText).join('|'),
    offer_timeout: `${settings.offerTimeoutSeconds}secs`,
  };
}

function amountsText(amounts: ScalarAmounts): string {
  return Object.entries(amounts)
    .map(([name, amount]) => `${wireName(name)}:${amount}`)
    .join(';');
}

function wireName(name: string): string {
  if (name === 'memMiB') return 'mem';
  return name === 'diskMiB' ? 'disk' : name;
}
