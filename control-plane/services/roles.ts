/**
 * What can be done with roles: look at what they hold and what they are due, and set what they may have. A role needs no creating;
 * it is there as soon as something is in it.
 */
import { type Fault, Refusal } from '../../shared/domain/errors.ts';
import { type RolePath, roleWithin } from '../../shared/domain/ids.ts';
import { type Scalars, scalarNames } from '../../shared/domain/resources.ts';
import { DEFAULT_WEIGHT, type Role, type ScalarAmounts } from '../../shared/domain/role.ts';
import {
  amountIn,
  type Excess,
  heldOver,
  overpromised,
  type Promisable,
  promisedBesideReserved,
  type RoleTable,
  type RoleTerms,
  termsFaults,
} from '../../shared/domain/role-terms.ts';
import type { RoleView } from '../../shared/protocol/roles.ts';
import type { Page } from '../../shared/protocol/views.ts';
import { canonicalJson } from '../../shared/util/codec.ts';
import type { Principal } from '../auth/principal.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import { claimRound } from '../store/round-claim.ts';
import type { Snapshot } from '../store/snapshot.ts';
import { demandOf, mayInAll, mayRead } from './access.ts';
import type { Answer, Call, PageRequest, ServiceContext } from './context.ts';
import { type Draft, type Fence, mutate } from './mutation.ts';
import { offersOver, withdrawOffers } from './offer-withdrawal.ts';
import { pageThrough } from './paging.ts';
import { amountsText, capacityOf, NO_USAGE, reservedByRole, roleUsages, settledUsage } from './role-usage.ts';
import { RoleBook } from './role-view.ts';
import { checkVersion, type Unversioned, versioned } from './set-version.ts';

export function getRole(ctx: ServiceContext, principal: Principal, path: RolePath): RoleView {
  demandRole(principal, 'role:read', path);
  const book = new RoleBook(ctx.mirror.snapshot);
  if (!book.paths.has(path)) throw new Refusal('not-found', absent(path));
  return book.view(path, versionOf(ctx.mirror.snapshot, path));
}

/** Roles that the principal may read: that one and those below it, or all. */
export function listRoles(
  ctx: ServiceContext,
  principal: Principal,
  { below }: { below: RolePath | null },
  page: PageRequest,
): Page<RoleView> {
  const { snapshot } = ctx.mirror;
  const book = new RoleBook(snapshot);
  const visible = [...book.paths].filter(
    (path) => mayRead(principal, 'role:read', path) && (below === null || roleWithin(path, below)),
  );
  return pageThrough(visible, page, {
    keyOf: (path) => path,
    view: (path) => book.view(path, versionOf(snapshot, path)),
  });
}

export interface RoleChange extends RoleTerms {
  /** Also what can't be kept as things stand. */
  readonly force: boolean;
}

export interface RoleConditions {
  /** The version that the caller has seen; anything else that stands is a `revision-mismatch`. */
  readonly ifVersion: number | null;
  /** Refuse if anything is set for the role already. */
  readonly onlyCreate: boolean;
}

/**
 * Sets all that there is to set for a role. Limits and guarantees are changed in a round of their own: no placement that was
 * planned under the old ones is committed after it, no two changes are each right only without the other, and offers that the new
 * limit has no room for are taken back first.
 */
export async function setRole(
  ctx: ServiceContext,
  call: Call,
  path: RolePath,
  { force, ...terms }: RoleChange,
  { ifVersion, onlyCreate }: RoleConditions,
): Promise<Answer<RoleView>> {
  demandRole(call.principal, 'role:write', path);
  const draft = (): Draft<Unversioned<Omit<RoleView, 'version'>>> => {
    const { snapshot } = ctx.mirror;
    const before = snapshot.roles.get(path) ?? null;
    const version = versionOf(snapshot, path);
    if (onlyCreate && before !== null) throw alreadySet(path);
    checkVersion(`role "${path}"`, version, ifVersion);
    if (before !== null && sameTerms(before, terms)) return draftOf(snapshot, { path, role: before, version });
    checkTerms(snapshot, path, terms, {
      principal: call.principal,
      after: tableWith(snapshot, [[path, terms]]),
      force,
    });
    const role: Role = { path, ...terms, updatedAtMs: ctx.clock.now(), updatedBy: call.principal.subject };
    return draftOf(snapshot, { path, role, version: null });
  };
  return versioned(await mutate(ctx, call, draft, () => roundFor(ctx, path, terms.limit)));
}

/** One transaction holds all of them, and what it takes to withdraw offers has its bounds too. */
export const ROLES_AT_ONCE_MAX = 50;

/**
 * Sets something for several roles in one step: for all of them or, where one is refused, for none. What isn't named stays as it is.
 * Judged together: what one role gives up another may be promised.
 */
export async function setRoles(
  ctx: ServiceContext,
  call: Call,
  changes: ReadonlyMap<RolePath, Partial<RoleTerms>>,
  { force }: Pick<RoleChange, 'force'>,
): Promise<Answer<{ readonly changed: readonly RolePath[] }>> {
  for (const path of changes.keys()) demandRole(call.principal, 'role:write', path);
  if (changes.size > ROLES_AT_ONCE_MAX) {
    const why = `${changes.size} roles can't be set at once, only ${ROLES_AT_ONCE_MAX}; set them in several steps`;
    throw new Refusal('payload-too-large', why);
  }
  const draft = (): Draft<{ readonly changed: readonly RolePath[] }> => {
    const { snapshot } = ctx.mirror;
    const wanted = [...changes].map(([path, change]) => [path, { ...termsIn(snapshot, path), ...change }] as const);
    const after = tableWith(snapshot, wanted);
    const changed = wanted.filter(([path, terms]) => !sameTerms(termsIn(snapshot, path), terms));
    for (const [path, terms] of changed) checkTerms(snapshot, path, terms, { principal: call.principal, after, force });
    const about = { updatedAtMs: ctx.clock.now(), updatedBy: call.principal.subject };
    return {
      status: 200,
      body: { changed: changed.map(([path]) => path) },
      compares: wanted.map(([path]) => ({ key: keys.role(path), modRevision: versionOf(snapshot, path) })),
      writes: changed.map(([path, terms]) => putRecord('roles', keys.role(path), { path, ...terms, ...about })),
    };
  };
  return mutate(ctx, call, draft, () => roundForAll(ctx, changes));
}

function termsIn({ roles }: Pick<Snapshot, 'roles'>, path: RolePath): RoleTerms {
  const { weight, limit, guarantee } = roles.get(path) ?? { weight: DEFAULT_WEIGHT, limit: {}, guarantee: {} };
  return { weight, limit, guarantee };
}

/** A claim, under which none of the roles holds offers that its new limit has no room for. */
async function roundForAll(ctx: ServiceContext, changes: ReadonlyMap<RolePath, Partial<RoleTerms>>): ReturnType<Fence> {
  const claim = await claimRound(ctx);
  if (claim === null) return null;
  for (const [path, { limit }] of changes) {
    if (limit === undefined) continue;
    if (!(await withdrawOffers(ctx, claim, offersOver(ctx.mirror.snapshot, path, limit)))) return null;
  }
  return claim;
}

/** Takes back all that was set for a role, in a round of its own as well. What it holds stays. */
export async function unsetRole(
  ctx: ServiceContext,
  call: Call,
  path: RolePath,
  { ifVersion }: Pick<RoleConditions, 'ifVersion'>,
): Promise<Answer<RoleView>> {
  demandRole(call.principal, 'role:write', path);
  const draft = (): Draft<Unversioned<Omit<RoleView, 'version'>>> => {
    const { snapshot } = ctx.mirror;
    const version = versionOf(snapshot, path);
    checkVersion(`role "${path}"`, version, ifVersion);
    return draftOf(snapshot, { path, role: null, version: 0 });
  };
  return versioned(await mutate(ctx, call, draft, () => claimRound(ctx)));
}

/** Nothing is written where the role is to stay as it stands. */
function draftOf(
  snapshot: Snapshot,
  { path, role, version }: { path: RolePath; role: Role | null; version: number | null },
): Draft<Unversioned<Omit<RoleView, 'version'>>> {
  const key = keys.role(path);
  const isChange = role !== (snapshot.roles.get(path) ?? null);
  const write = role === null ? ({ type: 'delete', key } as const) : putRecord('roles', key, role);
  return {
    status: 200,
    body: { view: new RoleBook(snapshot).view(path, 0, role), version },
    compares: [{ key, modRevision: snapshot.modRevision(key) }],
    writes: isChange ? [write] : [],
  };
}

/** A claim, under which the role holds no offers that the limit has no room for. */
async function roundFor(ctx: ServiceContext, path: RolePath, limit: ScalarAmounts): ReturnType<Fence> {
  const claim = await claimRound(ctx);
  if (claim === null) return null;
  const offers = offersOver(ctx.mirror.snapshot, path, limit);
  return (await withdrawOffers(ctx, claim, offers)) ? claim : null;
}

/**
 * `after`: the table as it would be. Throws `invalid-request` for what contradicts itself, and unless forced
 * `conflict` for what can't be kept as things stand.
 */
function checkTerms(
  snapshot: Snapshot,
  path: RolePath,
  terms: RoleTerms,
  { principal, after, force }: Judging & { readonly force: boolean },
): void {
  const faults = termsFaults(after, path, (level) => mayRead(principal, 'role:read', level));
  if (faults.length > 0) {
    const said = faults.map((fault) => `${fault.path} ${fault.message}`).join('; ');
    throw new Refusal('invalid-request', `what is set for role "${path}" contradicts what is set elsewhere: ${said}`, {
      faults,
    });
  }
  const objections = force ? [] : objectionsTo(snapshot, path, terms, { principal, after });
  if (objections.length === 0) return;
  const said = objections.map((fault) => `${fault.path} ${fault.message}`).join('; ');
  throw new Refusal('conflict', `role "${path}" is left as it is: ${said}; with force it is set all the same`, {
    faults: objections,
  });
}

/** Of other roles whoever asks is told no more than they may read. */
interface Judging {
  readonly principal: Principal;
  /** As the table would be. */
  readonly after: RoleTable;
}

function objectionsTo(
  snapshot: Snapshot,
  path: RolePath,
  { limit, guarantee }: RoleTerms,
  { principal, after }: Judging,
): Fault[] {
  const before = snapshot.roles.get(path);
  const capacity = capacityOf(snapshot);
  const held = settledUsage(roleUsages(snapshot).get(path) ?? NO_USAGE);
  return [
    ...undeclared(capacity, { before: before?.limit ?? {}, after: limit }).map((name) =>
      noSuchScalar('limit', name, capacity),
    ),
    ...undeclared(capacity, { before: before?.guarantee ?? {}, after: guarantee }).map((name) =>
      noSuchScalar('guarantee', name, capacity),
    ),
    ...promiseFaults(snapshot, path, { principal, after, capacity }),
    ...heldOver(before?.limit ?? {}, limit, held).map(({ name, asked, there }) => ({
      path: `/limit/${name}`,
      message: `is ${asked}, and ${there} are held in tasks and reservations`,
    })),
  ];
}

function promiseFaults(
  snapshot: Snapshot,
  path: RolePath,
  { principal, after, capacity }: Judging & { readonly capacity: Scalars },
): Fault[] {
  const known = ({ name }: Excess) => scalarNames(capacity).includes(name);
  const promised = overpromised(snapshot.roles, after, capacity).filter(known);
  const reserved = reservedByRole(snapshot);
  const beside = promisedBesideReserved(snapshot.roles, after, { total: capacity, reserved }).filter(
    (excess) => known(excess) && !promised.some(({ name }) => name === excess.name),
  );
  if (!mayInAll(principal, 'role:read')) {
    const message = 'is more than what all roles are promised, and what is reserved beside, leave of the nodes';
    return [...promised, ...beside].map(({ name }) => ({ path: `/guarantee/${name}`, message }));
  }
  return [
    ...promised.map(({ name, asked, there }) => ({
      path: `/guarantee/${name}`,
      message: `brings what all roles are promised to ${asked}, and the nodes have ${there}`,
    })),
    ...beside.map(({ name, asked, there }) => ({
      path: `/guarantee/${name}`,
      message: `brings what all roles are promised, and what is reserved beyond that, to ${asked}, and the nodes have ${there}; reserved are ${reservedText(reserved, path, name)}`,
    })),
  ];
}

/** Of others only: what is reserved for the role, and those below it, counts towards its guarantee. */
function reservedText(reserved: Promisable['reserved'], path: RolePath, name: string): string {
  const others = [...reserved]
    .map(([role, amounts]) => ({ role, amount: amountIn(amounts, name) ?? 0 }))
    .filter(({ role, amount }) => amount > 0 && !roleWithin(role, path));
  return amountsText(others);
}

function tableWith({ roles }: Snapshot, changes: Iterable<readonly [RolePath, RoleTerms]>): RoleTable {
  const table = new Map<RolePath, Pick<RoleTerms, 'limit' | 'guarantee'>>(roles);
  for (const [path, terms] of changes) table.set(path, terms);
  return table;
}

/** Names that no node knows, unless they were set before. */
function undeclared(capacity: Scalars, { before, after }: { before: ScalarAmounts; after: ScalarAmounts }): string[] {
  const known = scalarNames(capacity);
  return Object.keys(after).filter((name) => !known.includes(name) && !Object.hasOwn(before, name));
}

function noSuchScalar(field: 'limit' | 'guarantee', name: string, capacity: Scalars): Fault {
  const message = `no node has a resource of this name; there are ${scalarNames(capacity).join(', ')}`;
  return { path: `/${field}/${name}`, message };
}

function sameTerms(a: RoleTerms, b: RoleTerms): boolean {
  const terms = ({ weight, limit, guarantee }: RoleTerms) => canonicalJson({ weight, limit, guarantee });
  return terms(a) === terms(b);
}

function versionOf(snapshot: Snapshot, path: RolePath): number {
  return snapshot.modRevision(keys.role(path));
}

function alreadySet(path: RolePath): Refusal {
  return new Refusal('revision-mismatch', `something is set for role "${path}" already; read it and change that`, {
    faults: [{ path: 'header:If-None-Match', message: 'something is set for the role already' }],
  });
}

function demandRole(principal: Principal, action: 'role:read' | 'role:write', role: RolePath): void {
  demandOf(principal, { read: 'role:read', action, role, resource: null, absent: absent(role) });
}

function absent(path: RolePath): string {
  return `there is no role "${path}": nothing is set for it, and nothing is in it`;
}
