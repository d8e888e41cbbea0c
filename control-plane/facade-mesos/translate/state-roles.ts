/** Roles as `/roles` shows them. Pure. */
import type { FrameworkId, RolePath } from '../../../shared/domain/ids.ts';
import { addScalars, NO_SCALARS } from '../../../shared/domain/resources.ts';
import type { ScalarAmounts } from '../../../shared/domain/role.ts';
import type { RoleView } from '../../../shared/protocol/roles.ts';
import { OWN_FRAMEWORK_ID } from './own-framework.ts';
import { resourceSummary } from './resources.ts';
import { plainWireRole } from './roles.ts';

export interface RoleUsers {
  /** Ids of the frameworks that the reader sees, as their clients know them, by Berth's. */
  readonly wireIds: ReadonlyMap<FrameworkId, string>;
  /** Roles that Berth's own jobs have tasks in. */
  readonly own: ReadonlySet<RolePath>;
}

export function stateRole(view: RoleView, { wireIds, own }: RoleUsers): object {
  const name = plainWireRole(view.path);
  const { tasks, offers, reservations } = view.held;
  const hasQuota = Object.keys(view.guarantee).length + Object.keys(view.limit).length > 0;
  return {
    name,
    weight: view.weight,
    ...(hasQuota && {
      quota: {
        role: name,
        guarantee: amountsSummary(view.guarantee),
        limit: amountsSummary(view.limit),
        consumed: resourceSummary(addScalars(tasks, reservations)),
      },
    }),
    resources: resourceSummary(addScalars(tasks, offers)),
    allocated: resourceSummary(tasks),
    offered: resourceSummary(offers),
    reserved: resourceSummary(reservations),
    frameworks: [
      ...(own.has(view.path) ? [OWN_FRAMEWORK_ID] : []),
      ...view.frameworks.flatMap((id) => wireIds.get(id) ?? []),
    ],
  };
}

/** Only what is named: the rest has no bound, or is promised nothing. */
function amountsSummary(amounts: ScalarAmounts): object {
  const { cpus = 0, gpus = 0, memMiB = 0, diskMiB = 0, ...custom } = amounts;
  const all = resourceSummary({ ...NO_SCALARS, cpus, gpus, memMiB, diskMiB, custom });
  const names = new Set(Object.keys(amounts).map((name) => WIRE_NAMES.get(name) ?? name));
  return Object.fromEntries(Object.entries(all).filter(([name]) => names.has(name)));
}

const WIRE_NAMES: ReadonlyMap<string, string> = new Map([
  ['memMiB', 'mem'],
  ['diskMiB', 'disk'],
]);
