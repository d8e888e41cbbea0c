/**
 * When nodes are to be taken out of service, as operators say it. With a window its node's ledger is put again, without offers: nothing
 * that was decided without knowing of the window is committed after it, and frameworks decide anew on offers that tell of it.
 */
import { type Fault, Refusal } from '../../shared/domain/errors.ts';
import type { NodeId } from '../../shared/domain/ids.ts';
import {
  endsAtMs,
  isOver,
  MAINTENANCE_DURATION_MS_MAX,
  type MaintenanceTime,
  type MaintenanceWindow,
} from '../../shared/domain/maintenance.ts';
import type { MaintenanceView } from '../../shared/protocol/maintenance.ts';
import type { NodeView, Page } from '../../shared/protocol/views.ts';
import { present } from '../../shared/util/assert.ts';
import { byText } from '../../shared/util/order.ts';
import { randomId } from '../../shared/util/random.ts';
import type { Principal } from '../auth/principal.ts';
import { keys } from '../store/keys.ts';
import { claimRound } from '../store/round-claim.ts';
import { packTransactions } from '../store/transact.ts';
import { maintenanceUnit, type Unit } from '../store/units.ts';
import { demand } from './access.ts';
import type { Answer, Call, PageRequest, ServiceContext } from './context.ts';
import { maintenanceView } from './maintenance-views.ts';
import { type Draft, mutate } from './mutation.ts';
import { knownNode, nodeReader } from './nodes.ts';
import { pageThrough } from './paging.ts';
import { nodeView, timeView } from './views.ts';

const WINDOW_ID_LENGTH = 16;

/** What times can be written as text: a day of the year 9999 is the last. */
const TIME_MS_MAX = Date.UTC(9999, 11, 31);

/** What is to be said of one node. */
export interface WantedWindow extends MaintenanceTime {
  readonly node: NodeId;
}

export interface ReplacedMaintenance {
  /** How many windows stand now. */
  readonly windows: number;
  /** Nodes of which something else is said than before, or nothing any more. */
  readonly changed: number;
  /** Everything was changed in one transaction, so nobody has seen a part of it. */
  readonly atOnce: boolean;
}

/** Every window, in the order of the nodes' ids. */
export function allMaintenance(ctx: ServiceContext, principal: Principal): readonly MaintenanceView[] {
  demand(principal, 'node:read', null);
  const { snapshot } = ctx.mirror;
  const nowMs = ctx.clock.now();
  return [...snapshot.maintenance.values()]
    .sort((a, b) => byText(a.node, b.node))
    .map((window) => maintenanceView(snapshot, window, { nowMs, principal }));
}

export function listMaintenance(ctx: ServiceContext, principal: Principal, page: PageRequest): Page<MaintenanceView> {
  demand(principal, 'node:read', null);
  const { snapshot } = ctx.mirror;
  const nowMs = ctx.clock.now();
  return pageThrough(snapshot.maintenance.values(), page, {
    keyOf: ({ node }) => node,
    view: (window) => maintenanceView(snapshot, window, { nowMs, principal }),
  });
}

/** Says when the node is to be taken out of service, in the place of what was said before. What was said already is left as it is. */
export async function setMaintenance(
  ctx: ServiceContext,
  call: Call,
  node: NodeId,
  time: MaintenanceTime,
): Promise<Answer<MaintenanceView>> {
  demand(call.principal, 'node:write', null);
  const id = randomId(ctx.random, WINDOW_ID_LENGTH);
  return mutate(ctx, call, (): Draft<MaintenanceView> => {
    const { snapshot } = ctx.mirror;
    const nowMs = ctx.clock.now();
    knownNode(ctx, node);
    demandComing(time, nowMs);
    const before = snapshot.maintenance.get(node);
    if (before !== undefined && isSame(before, time)) {
      return {
        status: 200,
        body: maintenanceView(snapshot, before, { nowMs, principal: call.principal }),
        compares: [],
        writes: [],
      };
    }
    const window = windowOf({ node, ...time }, { id, nowMs, by: call.principal.subject });
    return {
      status: 200,
      body: maintenanceView(snapshot, window, { nowMs, principal: call.principal }),
      ...maintenanceUnit(snapshot, node, window),
    };
  });
}

function demandComing(time: MaintenanceTime, nowMs: number): void {
  const faults = timeFaults(time);
  if (faults.length === 0 && isOver(time, nowMs)) {
    faults.push({
      path: '/durationSeconds',
      message: `would end the window at ${timeView(endsAtMs(time))}, which is past`,
    });
  }
  if (faults.length > 0) throw unusable(faults);
}

/** Takes back what was said of the node; a window that is running ends by that. */
export async function clearMaintenance(ctx: ServiceContext, call: Call, id: NodeId): Promise<Answer<NodeView>> {
  demand(call.principal, 'node:write', null);
  return mutate(ctx, call, (): Draft<NodeView> => {
    const { snapshot } = ctx.mirror;
    const { node, ledger } = knownNode(ctx, id);
    const body = nodeView(snapshot, { node, ledger }, nodeReader(ctx, call.principal), { window: null });
    if (!snapshot.maintenance.has(id)) return { status: 200, body, compares: [], writes: [] };
    return { status: 200, body, ...maintenanceUnit(snapshot, id, null) };
  });
}

/**
 * Says of all nodes at once what is planned: these windows, and no others. Those that are over already are left out, and those that
 * stand already are left as they are. One transaction if the store takes it, else as few as it takes, which the answer says; a call that
 * fails between two of them can be repeated. In rounds of its own, so that rounds don't keep changing what it changes.
 */
export async function replaceMaintenance(
  ctx: ServiceContext,
  call: Call,
  windows: readonly WantedWindow[],
): Promise<Answer<ReplacedMaintenance>> {
  demand(call.principal, 'node:write', null);
  const ids = new Map(windows.map(({ node }) => [node, randomId(ctx.random, WINDOW_ID_LENGTH)]));
  const wanted: Wanted = { windows, ids, by: call.principal.subject };
  const [only = [], ...others] = inTransactions(ctx, changesTo(ctx, wanted));
  const atOnce = others.length === 0;
  const fence = () => claimRound(ctx);
  if (atOnce) return mutate(ctx, call, () => draftReplacing(ctx, wanted, only, { changed: 0, atOnce }), fence);
  let changed = 0;
  for (const nodes of [only, ...others]) {
    const part = { ...call, idempotency: null };
    changed = (await mutate(ctx, part, () => draftReplacing(ctx, wanted, nodes, { changed, atOnce }), fence)).body
      .changed;
  }
  return mutate(ctx, call, () => draftReplacing(ctx, wanted, [], { changed, atOnce }));
}

interface Wanted {
  readonly windows: readonly WantedWindow[];
  /** Of the windows that don't stand yet. */
  readonly ids: ReadonlyMap<NodeId, string>;
  readonly by: string;
}

/** The part of it that is about these nodes. */
function draftReplacing(
  ctx: ServiceContext,
  wanted: Wanted,
  nodes: readonly NodeId[],
  before: Pick<ReplacedMaintenance, 'changed' | 'atOnce'>,
): Draft<ReplacedMaintenance> {
  const changes = changesTo(ctx, wanted);
  const units = nodes.flatMap((node): Unit[] => {
    const window = changes.get(node);
    return window === undefined ? [] : [maintenanceUnit(ctx.mirror.snapshot, node, window)];
  });
  return {
    status: 200,
    body: { windows: standing(ctx, wanted).length, changed: before.changed + units.length, atOnce: before.atOnce },
    compares: units.flatMap(({ compares }) => compares),
    writes: units.flatMap(({ writes }) => writes),
  };
}

/** What has to change so that the wanted windows stand, and no others. Null: nothing is to be said of the node any more. */
function changesTo(ctx: ServiceContext, wanted: Wanted): Map<NodeId, MaintenanceWindow | null> {
  const { maintenance } = ctx.mirror.snapshot;
  demandUsable(ctx, wanted.windows);
  const changes = new Map<NodeId, MaintenanceWindow | null>();
  const kept = new Map(standing(ctx, wanted).map((window) => [window.node, window]));
  for (const node of maintenance.keys()) if (!kept.has(node)) changes.set(node, null);
  for (const [node, window] of kept) {
    const before = maintenance.get(node);
    if (before !== undefined && isSame(before, window)) continue;
    changes.set(
      node,
      windowOf(window, { id: present(wanted.ids.get(node), node), nowMs: ctx.clock.now(), by: wanted.by }),
    );
  }
  return changes;
}

function standing(ctx: ServiceContext, { windows }: Wanted): readonly WantedWindow[] {
  const nowMs = ctx.clock.now();
  return windows.filter((window) => !isOver(window, nowMs));
}

function demandUsable({ mirror: { snapshot } }: ServiceContext, windows: readonly WantedWindow[]): void {
  const seen = new Set<NodeId>();
  const faults = windows.flatMap((window, place): Fault[] => {
    const { node } = window;
    const at = `/windows/${place}`;
    const found = timeFaults(window).map(({ path, message }) => ({ path: `${at}${path}`, message }));
    if (seen.has(node)) found.push({ path: `${at}/node`, message: `"${node}" is named twice` });
    if (!snapshot.nodes.has(node)) found.push({ path: `${at}/node`, message: `there is no node "${node}"` });
    seen.add(node);
    return found;
  });
  if (faults.length > 0) throw unusable(faults);
}

/** The nodes that change, put together in few transactions. */
function inTransactions(ctx: ServiceContext, changes: ReadonlyMap<NodeId, MaintenanceWindow | null>): NodeId[][] {
  const nodes = [...changes.keys()];
  const { snapshot } = ctx.mirror;
  const units = [...changes].map(([node, window]) => maintenanceUnit(snapshot, node, window));
  const fence = { key: keys.currentRound, modRevision: 0 };
  return packTransactions(units, [fence]).map(({ units: places }) => places.flatMap((place) => nodes[place] ?? []));
}

function windowOf(
  { node, startsAtMs, durationMs }: WantedWindow,
  { id, nowMs, by }: { readonly id: string; readonly nowMs: number; readonly by: string },
): MaintenanceWindow {
  const begunAtMs = startsAtMs <= nowMs ? nowMs : null;
  return { id, node, startsAtMs, durationMs, setAtMs: nowMs, setBy: by, begunAtMs, answers: {} };
}

function isSame(a: MaintenanceTime, b: MaintenanceTime): boolean {
  return a.startsAtMs === b.startsAtMs && a.durationMs === b.durationMs;
}

function timeFaults({ startsAtMs, durationMs }: MaintenanceTime): Fault[] {
  const faults: Fault[] = [];
  if (!(startsAtMs >= 0 && startsAtMs <= TIME_MS_MAX)) {
    faults.push({ path: '/startsAt', message: 'must lie between the years 1970 and 9999' });
  }
  if (durationMs !== null && !(durationMs > 0 && durationMs <= MAINTENANCE_DURATION_MS_MAX)) {
    const message = `must be more than 0 and at most ${MAINTENANCE_DURATION_MS_MAX / 1000}, or null`;
    faults.push({ path: '/durationSeconds', message });
  }
  return faults;
}

function unusable(faults: readonly Fault[]): Refusal {
  const said = faults.map(({ path, message }) => `${path} ${message}`).join('; ');
  return new Refusal('invalid-request', `the maintenance can't be set so: ${said}; nothing was changed`, { faults });
}
