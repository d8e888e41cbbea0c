/** The lives of frameworks: how they subscribe, change what they want, are looked at, and end. Their streams are in `framework-streams.ts`. */
import { type Fault, Refusal } from '../../shared/domain/errors.ts';
import { type Framework, nodesWanted } from '../../shared/domain/framework.ts';
import { type FrameworkId, type NodeId, type RolePath, roleWithin } from '../../shared/domain/ids.ts';
import { endOffers } from '../../shared/domain/ledger.ts';
import type { Offer } from '../../shared/domain/offer.ts';
import type { FrameworkView, Subscription } from '../../shared/protocol/framework.ts';
import type { Page } from '../../shared/protocol/views.ts';
import { byText } from '../../shared/util/order.ts';
import { randomId } from '../../shared/util/random.ts';
import { isCalled } from '../auth/policy.ts';
import type { Principal } from '../auth/principal.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import type { Snapshot } from '../store/snapshot.ts';
import { packTransactions } from '../store/transact.ts';
import { ledgerUnit } from '../store/units.ts';
import { demand, frameworkResource } from './access.ts';
import type { Answer, AnswerStatus, Call, PageRequest, ServiceContext } from './context.ts';
import {
  actingFramework,
  demandStanding,
  maySee,
  ownFramework,
  reachSession,
  sessionFence,
  visibleFramework,
} from './framework-access.ts';
import type { SessionOf } from './framework-calls.ts';
import { frameworkView, holdingsOf } from './framework-views.ts';
import { type Draft, mutate } from './mutation.ts';
import { pageThrough } from './paging.ts';
import { demandRoom } from './store-room.ts';

/** Frameworks that weren't torn down. Those that were go by themselves, and stand in nobody's way. */
export const FRAMEWORKS_MAX = { all: 10_000, ofPrincipal: 1000 } as const;

/** What every node can have; anything else is declared at a node's agent. */
const USUAL_SCALARS: ReadonlySet<string> = new Set(['cpus', 'memMiB', 'diskMiB', 'gpus']);

const CATCH_UP_MS = 2000;

/**
 * Nodes whose offers are taken back in one transaction, with each try: few transactions at first, though a ledger that changes
 * meanwhile holds up all others in its own; of what is left, ever fewer in each.
 */
const NODES_PER_WITHDRAWAL = [64, 16, 4, 1] as const;

/**
 * Makes a framework, or takes one over by its id: its session moves on, whoever acted in the old one is refused from then on, and
 * what it was offered is withdrawn. Throws `framework-gone` for one that was torn down, and `not-found` for an id that isn't on
 * record, unless it may be that of a new one: `orNew`.
 */
export async function subscribe(
  ctx: ServiceContext,
  call: Call,
  subscription: Subscription,
  { orNew = false }: { readonly orNew?: boolean } = {},
): Promise<Answer<FrameworkView>> {
  for (const role of subscription.roles) {
    demand(call.principal, 'framework:run', role, frameworkResource(subscription));
  }
  const { id } = subscription;
  if (id !== undefined) await reachSession(ctx, { id, session: 1 });
  const fresh = id ?? `f${randomId(ctx.random)}`;
  const isNew = () => id === undefined || (orNew && !ctx.mirror.snapshot.frameworks.has(id));
  const answer = await mutate(ctx, call, () =>
    isNew() ? draftNew(ctx, call, subscription, fresh) : draftTakeover(ctx, call, subscription, fresh),
  );
  const isTakeover = answer.body.session > 1;
  if (isTakeover && !answer.replayed) await withdrawOffers(ctx, answer, ALL_OF_IT);
  return answer;
}

function draftNew(ctx: ServiceContext, call: Call, subscription: Subscription, id: FrameworkId): Draft<FrameworkView> {
  demandPlace(ctx, call.principal);
  demandAmounts(ctx, subscription, {});
  const nowMs = ctx.clock.now();
  const framework: Framework = {
    ...wishesOf(subscription),
    id,
    principal: call.principal.subject,
    filterGenerations: {},
    session: 1,
    registeredAtMs: nowMs,
    subscribedAtMs: nowMs,
    disconnectedSinceMs: nowMs,
    teardown: null,
  };
  return draftOf(ctx, framework, 201);
}

/** Until its stream is open it counts as disconnected, from now on: it gets its whole time for that. */
function draftTakeover(
  ctx: ServiceContext,
  call: Call,
  subscription: Subscription,
  id: FrameworkId,
): Draft<FrameworkView> {
  const before = ownFramework(ctx, call.principal, id);
  demandStanding(before);
  demandAmounts(ctx, subscription, before.minAllocatable);
  const nowMs = ctx.clock.now();
  const after: Framework = {
    ...before,
    ...wishesOf(subscription),
    session: before.session + 1,
    subscribedAtMs: nowMs,
    disconnectedSinceMs: nowMs,
  };
  return draftOf(ctx, after, 200);
}

/** What a subscription says, but for who it is. */
export type FrameworkWishes = Omit<Subscription, 'id'>;

/**
 * Replaces all that the framework said when it subscribed, in its present session. Offers in roles that it has left, or of nodes that
 * it no longer wants, are withdrawn; what it has launched goes on, in whichever role.
 */
export async function updateFramework(
  ctx: ServiceContext,
  call: Call,
  of: SessionOf,
  wishes: FrameworkWishes,
): Promise<Answer<FrameworkView>> {
  for (const role of wishes.roles) demand(call.principal, 'framework:run', role, frameworkResource(wishes));
  await reachSession(ctx, of);
  const answer = await mutate(ctx, call, () => {
    const before = actingFramework(ctx, call.principal, of);
    demandAmounts(ctx, wishes, before.minAllocatable);
    return draftOf(ctx, { ...before, ...wishes }, 200);
  });
  if (!answer.replayed) await withdrawOffers(ctx, answer, UNWANTED);
  return answer;
}

/** One principal alone can't keep all others from subscribing. */
function demandPlace(ctx: ServiceContext, principal: Principal): void {
  demandRoom(ctx);
  const standing = [...ctx.mirror.snapshot.frameworks.values()].filter(({ teardown }) => teardown === null);
  const own = standing.filter((framework) => isCalled(principal, framework.principal)).length;
  if (own >= FRAMEWORKS_MAX.ofPrincipal) {
    const why = `"${principal.subject}" has ${own} frameworks, which is the most; tear down those that are over`;
    throw new Refusal('limit-exceeded', why);
  }
  if (standing.length < FRAMEWORKS_MAX.all) return;
  const why = `there are ${standing.length} frameworks, which is the most; tear down those that are over`;
  throw new Refusal('limit-exceeded', why);
}

/**
 * An offer that holds something that no node has is never made, and its framework would wait for ever. `before`: one that comes back
 * may go on naming what it has named, though the node that had it is gone.
 */
function demandAmounts(
  { mirror }: ServiceContext,
  { minAllocatable }: FrameworkWishes,
  before: Framework['minAllocatable'],
): void {
  const known = new Set(USUAL_SCALARS);
  for (const { total } of mirror.snapshot.ledgers.values())
    for (const name of Object.keys(total.custom)) known.add(name);
  for (const amounts of Object.values(before).flat()) for (const name of Object.keys(amounts)) known.add(name);
  const faults = Object.entries(minAllocatable).flatMap(([role, alternatives]) =>
    alternatives.flatMap((amounts, index) =>
      Object.keys(amounts).flatMap((name): Fault[] => {
        if (known.has(name)) return [];
        const path = `/minAllocatable/${role.replaceAll('/', '~1')}/${index}/${name}`;
        return [{ path, message: `names what no node has; there are ${[...known].sort(byText).join(', ')}` }];
      }),
    ),
  );
  const [first] = faults;
  if (first === undefined) return;
  throw new Refusal('invalid-request', `the request is not valid: ${first.path} ${first.message}`, { faults });
}

function wishesOf({ id: _id, ...wishes }: Subscription): FrameworkWishes {
  return wishes;
}

function draftOf(ctx: ServiceContext, framework: Framework, status: AnswerStatus): Draft<FrameworkView> {
  const { snapshot } = ctx.mirror;
  const key = keys.framework(framework.id);
  return {
    status,
    body: viewNow(ctx, framework),
    compares: [{ key, modRevision: snapshot.modRevision(key) }],
    writes: [putRecord('frameworks', key, framework)],
  };
}

/** Tells whether an offer of a node to the framework is to go, as the framework stands by then. */
type Withdrawing = (snapshot: Snapshot, framework: Framework) => (node: NodeId, offer: Offer) => boolean;

const ALL_OF_IT: Withdrawing = () => () => true;

const UNWANTED: Withdrawing = ({ nodes }, framework) => {
  const wanted = new Map(framework.roles.map((role) => [role, nodesWanted(framework, role)]));
  return (node, { role }) => {
    const wants = wanted.get(role);
    return wants === undefined || !(wants?.(nodes.get(node)?.attributes ?? {}) ?? true);
  };
};

/**
 * Takes back what the framework was offered before, as far as it is to go. What this misses, since it breaks off or a ledger keeps
 * changing, stands until it expires, or is answered: either does no harm.
 */
async function withdrawOffers(
  ctx: ServiceContext,
  { body: { id, session }, revision }: Answer<FrameworkView>,
  isOver: Withdrawing,
): Promise<void> {
  await ctx.mirror.waitFor(revision, { timeoutMs: CATCH_UP_MS });
  for (const nodesMax of NODES_PER_WITHDRAWAL) {
    const framework = ctx.mirror.snapshot.frameworks.get(id);
    if (framework?.session !== session) break;
    if (await withdrawOnce(ctx, framework, { nodesMax, isOver })) break;
  }
  ctx.nudge();
}

/** False: a compare was lost, and the mirror has been given the time to see why. */
async function withdrawOnce(
  { store, mirror }: ServiceContext,
  framework: Framework,
  { nodesMax, isOver }: { readonly nodesMax: number; readonly isOver: Withdrawing },
): Promise<boolean> {
  const { snapshot } = mirror;
  const goes = isOver(snapshot, framework);
  const units = [...snapshot.ledgers.values()].flatMap((ledger) => {
    const own = Object.values(ledger.offers).filter((offer) => offer.framework === framework.id);
    const ids = own.filter((offer) => goes(ledger.node, offer)).map(({ id }) => id);
    return ids.length === 0 ? [] : (ledgerUnit(snapshot, ledger, endOffers(ledger, ids)) ?? []);
  });
  let isDone = true;
  for (let from = 0; from < units.length; from += nodesMax) {
    const some = units.slice(from, from + nodesMax);
    for (const { compares, writes } of packTransactions(some, [sessionFence(snapshot, framework.id)])) {
      const { committed, revision } = await store.transact({ compares, writes });
      if (!committed) await mirror.waitFor(revision, { timeoutMs: CATCH_UP_MS });
      isDone &&= committed;
    }
  }
  return isDone;
}

/** Ends the framework for good: its tasks end, its offers are taken back, and nobody can subscribe with its id again. */
export function tearDown(
  ctx: ServiceContext,
  call: Call,
  id: FrameworkId,
  { reason }: { reason: string },
): Promise<Answer<FrameworkView>> {
  return mutate(ctx, call, () => {
    const before = ownFramework(ctx, call.principal, id);
    if (before.teardown !== null) return { status: 202, body: viewNow(ctx, before), compares: [], writes: [] };
    const teardown = { atMs: ctx.clock.now(), by: call.principal.subject, reason };
    return draftOf(ctx, { ...before, teardown }, 202);
  });
}

export function getFramework(ctx: ServiceContext, principal: Principal, id: FrameworkId): FrameworkView {
  return shownTo(principal, viewNow(ctx, visibleFramework(ctx, principal, id)));
}

/** Frameworks that the principal may see, by id. */
export function listFrameworks(
  ctx: ServiceContext,
  principal: Principal,
  { role }: { readonly role: RolePath | null },
  page: PageRequest,
): Page<FrameworkView> {
  const { snapshot } = ctx.mirror;
  const seen = [...snapshot.frameworks.values()].filter(
    (framework) =>
      maySee(principal, framework) && (role === null || framework.roles.some((own) => roleWithin(own, role))),
  );
  const holdings = holdingsOf(snapshot, seen, ctx.clock.now());
  const view = (framework: Framework) =>
    shownTo(principal, frameworkView(snapshot, framework, holdings.get(framework.id)));
  return pageThrough(seen, page, { keyOf: ({ id }) => id, view });
}

/** Of its roles those that the principal may see it in: a framework of several roles tells none of the others' names. */
function shownTo(principal: Principal, view: FrameworkView): FrameworkView {
  const roles = view.roles.filter((role) => maySee(principal, { ...view, roles: [role] }));
  const ofSeen = <T>(byRole: Readonly<Record<RolePath, T>>) =>
    Object.fromEntries(Object.entries(byRole).filter(([role]) => roles.includes(role)));
  return {
    ...view,
    roles,
    suppressed: view.suppressed.filter((role) => roles.includes(role)),
    minAllocatable: ofSeen(view.minAllocatable),
    nodeConstraints: ofSeen(view.nodeConstraints),
  };
}

function viewNow(ctx: ServiceContext, framework: Framework): FrameworkView {
  const { snapshot } = ctx.mirror;
  return frameworkView(snapshot, framework, holdingsOf(snapshot, [framework], ctx.clock.now()).get(framework.id));
}
