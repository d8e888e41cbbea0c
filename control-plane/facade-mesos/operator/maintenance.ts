/** When machines are taken out of service: what is planned, what frameworks say to it, and that it begins or ends. */
import type { Principal } from '../../auth/principal.ts';
import type { Call } from '../../services/context.ts';
import { takeInventory } from '../../services/inventory.ts';
import { allMaintenance, clearMaintenance, replaceMaintenance, setMaintenance } from '../../services/maintenance.ts';
import { drainNode, undrainNode } from '../../services/nodes.ts';
import type { FacadeParts } from '../parts.ts';
import { wireFrameworkId } from '../translate/annotations.ts';
import {
  clusterStatus,
  type NodePlan,
  plannedFor,
  plansOf,
  scheduleOf,
  type WrittenSchedule,
  wantedWindows,
} from '../translate/machines.ts';
import type { WireMachine, WireSchedule } from '../wire/operator-call.ts';
import { inWireWords } from './words.ts';

function planned({ ctx }: FacadeParts, principal: Principal) {
  const windows = allMaintenance(ctx, principal);
  const { nodes, frameworks } = takeInventory(ctx, principal);
  return { nodes, frameworks, plans: plansOf(windows, nodes) };
}

export function maintenanceSchedule(parts: FacadeParts, principal: Principal): WrittenSchedule {
  return scheduleOf(planned(parts, principal).plans);
}

export function maintenanceStatus(parts: FacadeParts, principal: Principal): object {
  const { plans, frameworks } = planned(parts, principal);
  const wireIds = frameworks.map(({ framework }) => [framework.id, wireFrameworkId(framework)] as const);
  return clusterStatus(plans, new Map(wireIds));
}

/** In the place of all that was planned before. */
export async function updateSchedule(parts: FacadeParts, call: Call, schedule: WireSchedule): Promise<void> {
  const known = planned(parts, call.principal);
  const windows = inWireWords(() => wantedWindows(schedule, known));
  await replaceMaintenance(parts.ctx, call, windows);
}

/** The machines are taken down now: what runs there ends, and nothing is placed there until they are brought up again. */
export async function startMaintenance(
  parts: FacadeParts,
  call: Call,
  machines: readonly WireMachine[],
): Promise<void> {
  const { ctx } = parts;
  const about = { ...planned(parts, call.principal), mode: 'DRAINING', verb: 'brought down' } as const;
  for (const { node, window } of distinct(inWireWords(() => plannedFor(machines, about)))) {
    const startsAtMs = Math.min(Date.parse(window.startsAt), ctx.clock.now());
    await setMaintenance(ctx, call, node, { startsAtMs, durationMs: null });
    await drainNode(ctx, call, node, { deadlineSeconds: 0 });
  }
}

/** The machines are there again, and nothing is planned for them any more. */
export async function stopMaintenance(parts: FacadeParts, call: Call, machines: readonly WireMachine[]): Promise<void> {
  const { ctx } = parts;
  const about = { ...planned(parts, call.principal), mode: 'DOWN', verb: 'brought up' } as const;
  for (const { node } of distinct(inWireWords(() => plannedFor(machines, about)))) {
    await undrainNode(ctx, call, node);
    await clearMaintenance(ctx, call, node);
  }
}

/** A machine may be named by its host name and by its address. */
function distinct(plans: readonly NodePlan[]): NodePlan[] {
  return [...new Map(plans.map((plan) => [plan.node, plan])).values()];
}
