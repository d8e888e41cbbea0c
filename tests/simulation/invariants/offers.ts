/**
 * 2. Nothing is overcommitted, offers and reservations included; an offer becomes tasks at most once, and no role comes to hold more
 *    than its limit.
 * 4. Of a framework's tasks no two live ones have the same name.
 * 5. Whatever a framework's call commits belongs to its present session.
 * 8. What a framework is told of a task comes in order, each transition once all before it are acknowledged. An operation is on record,
 *    and told of, if it was carried out, and not otherwise.
 * 9. Offers are made to whom they may be made, of nodes that take tasks.
 */
import type { Change, Snapshot } from '../../../control-plane/store/snapshot.ts';
import type { Ledger } from '../../../shared/domain/ledger.ts';
import type { Offer } from '../../../shared/domain/offer.ts';
import type { Task } from '../../../shared/domain/task.ts';
import { parseUpdateId } from '../../../shared/domain/task-update.ts';
import type { FrameworkEvent } from '../../../shared/protocol/framework.ts';
import type { Revision } from '../truth.ts';
import { SCALARS, thousandths } from './ledgers.ts';
import { entryChanges, offerChanges, type Past } from './past.ts';
import { hasEnded } from './tasks.ts';
import { type Violation, violation } from './violation.ts';

type LedgerChange = Extract<Change, { kind: 'ledger' }>;

export function checkOffers(revision: Revision, past: Past, now: Snapshot): Violation[] {
  const ledgers = revision.changes.filter((change) => change.kind === 'ledger');
  return [
    ...ledgers.flatMap((change) => [
      ...(change.after === null ? [] : [...checkHeld(change.after), ...checkDrawn(change.after)]),
      ...checkMade(change, past, now),
      ...checkAnswer(change, revision),
    ]),
    ...checkLimits(ledgers, now),
    ...revision.changes.flatMap((change) => (change.kind === 'frameworks' ? checkFramework(change) : [])),
    ...revision.changes.flatMap((change) =>
      change.kind === 'tasks' ? checkTask(change.before, change.after, now) : [],
    ),
    ...revision.changes.flatMap((change) => (change.kind === 'operations' ? checkOperation(change, ledgers) : [])),
    ...checkSession(revision, past),
  ];
}

/** What the node was declared to have, beside the usual. */
function namesOf(ledger: Ledger): readonly string[] {
  return [...SCALARS, ...Object.keys(ledger.total.custom)];
}

/** In thousandths, without what comes from reservations. */
export function beside(holding: Pick<Offer, 'resources' | 'reserved'>, name: string): number {
  const reserved = Object.values(holding.reserved).reduce((sum, part) => sum + thousandths(part, name), 0);
  return thousandths(holding.resources, name) - reserved;
}

/** All that is held of a node for the roles that are meant, in thousandths. */
export function heldOf(ledger: Ledger, name: string, isMeant: (role: string) => boolean = () => true): number {
  const holdings = [...Object.values(ledger.entries), ...Object.values(ledger.offers)];
  const reservations = Object.values(ledger.reservations);
  return (
    holdings.reduce((sum, one) => sum + (isMeant(one.role) ? beside(one, name) : 0), 0) +
    reservations.reduce((sum, { role, scalars }) => sum + (isMeant(role) ? thousandths(scalars, name) : 0), 0)
  );
}

/** What a role and those below it hold in offers. */
export function heldByOffers({ offers }: Ledger, name: string, path: string): number {
  const own = Object.values(offers).filter(({ role }) => isBelow(role, path));
  return own.reduce((sum, offer) => sum + beside(offer, name), 0);
}

function isBelow(role: string, path: string): boolean {
  return role === path || role.startsWith(`${path}/`);
}

function checkHeld(ledger: Ledger): Violation[] {
  const { node, total } = ledger;
  return namesOf(ledger).flatMap((name) => {
    const [held, has] = [heldOf(ledger, name), thousandths(total, name)];
    if (held <= has) return [];
    return [
      violation(2, `of node ${node} ${held / 1000} ${name} are used, offered or reserved, and it has ${has / 1000}`),
    ];
  });
}

/** Nothing is drawn from a reservation that it doesn't have. */
function checkDrawn(ledger: Ledger): Violation[] {
  const { node, entries, offers, reservations, volumes } = ledger;
  const holdings = [...Object.values(entries), ...Object.values(offers)];
  const unknown = holdings
    .flatMap(({ reserved }) => Object.keys(reserved))
    .filter((id) => reservations[id] === undefined);
  const over = Object.values(reservations).flatMap(({ id, scalars }) =>
    namesOf(ledger).flatMap((name) => {
      const disk = Object.values(volumes).reduce(
        (sum, one) => sum + (one.reservation === id ? one.sizeMiB * 1000 : 0),
        0,
      );
      const drawn = holdings.reduce((sum, { reserved }) => {
        const part = reserved[id];
        return sum + (part === undefined ? 0 : thousandths(part, name));
      }, 0);
      const taken = drawn + (name === 'diskMiB' ? disk : 0);
      const has = thousandths(scalars, name);
      if (taken <= has) return [];
      return [
        violation(2, `of reservation ${id} of ${node} ${taken / 1000} ${name} are held, and it has ${has / 1000}`),
      ];
    }),
  );
  return [...unknown.map((id) => violation(2, `reservation ${id} is drawn from on ${node}, and isn't there`)), ...over];
}

function checkMade(change: LedgerChange, past: Past, now: Snapshot): Violation[] {
  const { after } = change;
  if (after === null) return [];
  return offerChanges(change).added.flatMap((id) => {
    const offer = after.offers[id];
    const framework = offer === undefined ? undefined : now.frameworks.get(offer.framework);
    const isWelcome = offer !== undefined && framework?.teardown === null && framework.roles.includes(offer.role);
    const isOpen = after.eligible && after.drain === null;
    return [
      ...(past.offers.has(id) ? [violation(2, `offer ${id} stands a second time, on ${after.node}`)] : []),
      ...(isWelcome
        ? []
        : [violation(9, `offer ${id} was made to ${offer?.framework}, which is gone or not of its role`)]),
      ...(isOpen ? [] : [violation(9, `offer ${id} is of ${after.node}, which takes no tasks`)]),
    ];
  });
}

/** A framework's answer makes no more of its offers than they held: what it launches goes with offers that stood until then. */
function checkAnswer(change: LedgerChange, { commit }: Revision): Violation[] {
  const framework = commit?.origin.framework;
  const { before, after } = change;
  if (framework === undefined || before === null || after === null) return [];
  const launched = entryChanges(change).added;
  const { added, removed } = offerChanges(change);
  const foreign = [
    ...launched.filter((task) => after.entries[task]?.framework !== framework.id),
    ...removed.filter((offer) => before.offers[offer]?.framework !== framework.id),
    ...added,
  ];
  const grown = namesOf(after).filter((name) => heldOf(after, name) > heldOf(before, name));
  const who = `${framework.id} in session ${framework.session}`;
  return [
    ...foreign.map((id) => violation(2, `${who} changed ${id} on ${change.id}, which isn't its own`)),
    ...(launched.length > 0 && removed.length === 0
      ? [violation(2, `${who} launched ${launched.join(', ')} on ${change.id} on an offer that was used before`)]
      : []),
    ...grown.map((name) => violation(2, `${who} made more ${name} of its offers on ${change.id} than they held`)),
  ];
}

/** A limit may be set below what is held; from then on no more comes until less is held. */
function checkLimits(changes: readonly LedgerChange[], now: Snapshot): Violation[] {
  if (changes.length === 0) return [];
  return [...now.roles.values()].flatMap(({ path, limit }) =>
    Object.entries(limit).flatMap(([name, amount]) => {
      const isWithin = (role: string) => isBelow(role, path);
      const heldBy = (ledger: Ledger | null) => (ledger === null ? 0 : heldOf(ledger, name, isWithin));
      const rise = changes.reduce((sum, { before, after }) => sum + heldBy(after) - heldBy(before), 0);
      if (rise <= 0) return [];
      const held = [...now.ledgers.values()].reduce((sum, ledger) => sum + heldBy(ledger), 0);
      if (held <= Math.round(amount * 1000)) return [];
      return [violation(2, `role ${path} came to hold ${held / 1000} ${name}, and its limit is ${amount}`)];
    }),
  );
}

function checkTask(before: Task | null, after: Task | null, now: Snapshot): Violation[] {
  return [...checkName(before, after, now), ...checkHeard(before, after)];
}

/** Each update is acknowledged by itself, or there is one that nobody has heard of. */
function checkHeard(before: Task | null, after: Task | null): Violation[] {
  if (before === null || after === null) return [];
  const heard = after.history
    .slice(before.framework?.acknowledged ?? 0, after.framework?.acknowledged ?? 0)
    .filter(isTold);
  if (heard.length <= 1) return [];
  return [violation(8, `of ${after.id} ${heard.map(({ state }) => state).join(', ')} were acknowledged at once`)];
}

function isTold({ state }: Task['history'][number]): boolean {
  return state !== 'pending' && state !== 'staging';
}

function checkName(before: Task | null, after: Task | null, now: Snapshot): Violation[] {
  const launched = after?.framework ?? null;
  if (before !== null || after === null || launched === null) return [];
  const twins = [...now.tasksOfFramework(launched.id)].filter(
    (task) => task.id !== after.id && task.framework?.name === launched.name && !hasEnded(task),
  );
  return twins.map(({ id }) => violation(4, `${id} and ${after.id} of ${launched.id} are both named ${launched.name}`));
}

/** What a framework has left behind never comes back: an earlier session, filters that it has voided, its life once it has ended. */
function checkFramework({ id, before, after }: Extract<Change, { kind: 'frameworks' }>): Violation[] {
  if (before === null || after === null) return [];
  const voided = Object.entries(before.filterGenerations).filter(
    ([role, generation]) => (after.filterGenerations[role] ?? 0) < generation,
  );
  return [
    ...(after.session >= before.session
      ? []
      : [violation(5, `framework ${id} went from session ${before.session} back to ${after.session}`)]),
    ...(before.teardown === null || after.teardown !== null ? [] : [violation(5, `framework ${id} is no longer gone`)]),
    ...voided.map(([role]) => violation(5, `filters of ${id} for ${role} count again, which it had voided`)),
  ];
}

function checkSession({ commit, changes, number }: Revision, past: Past): Violation[] {
  const framework = commit?.origin.framework;
  if (framework === undefined || changes.length === 0) return [];
  const present = past.sessions.get(framework.id) ?? 0;
  if (framework.session === present) return [];
  const what = changes.map(({ kind, id }) => `${kind} ${id}`).join(', ');
  const call = `at revision ${number} a call of session ${framework.session} of ${framework.id} changed ${what}`;
  return [violation(5, `${call}, though its session is ${present}`)];
}

/** It is carried out in the very transaction that puts it on record. */
function checkOperation(
  { before, after }: Extract<Change, { kind: 'operations' }>,
  ledgers: readonly LedgerChange[],
): Violation[] {
  if (after === null || ledgers.some(({ id }) => id === after.node)) return [];
  const what = before === null ? 'came on record' : 'is another one';
  return [violation(8, `operation ${after.name} of ${after.framework} ${what}, and nothing was done on ${after.node}`)];
}

/** What has happened to a task between what its framework has acknowledged and what it is told now would never be told. */
export function checkTold(event: FrameworkEvent, now: Snapshot, operations: ReadonlySet<string>): Violation[] {
  if (event.type === 'operation') {
    const { id, operation } = event.operation;
    if (id === null || operations.has(id)) return [];
    return [violation(8, `${id} was told of operation ${operation}, which was never on record`)];
  }
  if (event.type !== 'update' || event.update.id === null) return [];
  const { task: name, id } = event.update;
  const { task: taskId, place } = parseUpdateId(id) ?? { task: '', place: 0 };
  const task = now.tasks.get(taskId);
  if (task === undefined) return [];
  const untold = task.history.slice(task.framework?.acknowledged ?? 0, place).filter(isTold);
  return untold.map(({ state }) =>
    violation(8, `of ${name} ${id} was told before it was acknowledged that it was ${state}`),
  );
}
