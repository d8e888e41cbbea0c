/**
 * What the principal of a framework may do with what it was offered. `framework:run` lets it launch what is harmless, reserve what
 * it was offered, make volumes there, and undo what it has made itself. Whatever was made by others, operators or other frameworks,
 * takes the same right as over the API of reservations and volumes.
 */
import { Refusal } from '../../shared/domain/errors.ts';
import type { RolePath } from '../../shared/domain/ids.ts';
import { dangersOf } from '../../shared/domain/job.ts';
import type { Ledger } from '../../shared/domain/ledger.ts';
import type { LaunchRequest, OfferOperation } from '../../shared/domain/offer-operation.ts';
import { unreachable } from '../../shared/util/assert.ts';
import { authorize } from '../auth/policy.ts';
import type { Principal } from '../auth/principal.ts';
import { demandContact } from './contact-limit.ts';
import type { ServiceContext } from './context.ts';
import { demandLaunchedSecrets } from './job-secrets.ts';
import { demandRoom } from './store-room.ts';

/** Where the operations are carried out. */
export interface OperationSite {
  /** Of the offers. */
  readonly role: RolePath;
  /** Of their node, before the first operation. */
  readonly ledger: Ledger;
}

/** Throws `forbidden` for what takes a right that the principal doesn't have, and refuses what no framework may ask for. */
export function demandOperations(
  ctx: ServiceContext,
  principal: Principal,
  operations: readonly OfferOperation[],
  site: OperationSite,
): void {
  for (const [place, operation] of operations.entries()) {
    const path = `/operations/${place}`;
    switch (operation.type) {
      case 'launch':
      case 'launch-group':
        demandLaunches(ctx, principal, operation.tasks, { role: site.role, path });
        break;
      case 'unreserve':
        demandUnreserve(principal, operation.reservation, site, path);
        break;
      case 'destroy':
        demandDestroy(principal, operation.volume, site, path);
        break;
      case 'reserve':
      case 'create':
        break;
      default:
        unreachable(operation);
    }
  }
}

/** Tasks of a framework may do no more than its principal's jobs may. */
function demandLaunches(
  ctx: ServiceContext,
  principal: Principal,
  tasks: readonly LaunchRequest[],
  { role, path }: { readonly role: RolePath; readonly path: string },
): void {
  demandRoom(ctx);
  for (const [index, { template }] of tasks.entries()) {
    for (const danger of dangersOf(template.group)) {
      const verdict = authorize(principal, `job:${danger}`, role);
      if (verdict.allowed) continue;
      const fault = { path: `${path}/tasks/${index}`, message: verdict.why };
      throw new Refusal('forbidden', verdict.why, { faults: [fault] });
    }
    demandLaunchedSecrets(ctx.mirror.snapshot, principal, {
      group: template.group,
      role,
      path: `${path}/tasks/${index}`,
    });
    demandContact(ctx, template, `${path}/tasks/${index}`);
  }
}

/** One that isn't there yet is made by an operation before, or refused when it is carried out. */
function demandUnreserve(principal: Principal, id: string, { role, ledger }: OperationSite, path: string): void {
  const reservation = ownOf(ledger.reservations, id);
  if (reservation === undefined || reservation.role !== role) return;
  if (reservation.by === principal.subject) return;
  demandOfOthers(principal, 'reservation', { id, by: reservation.by, role, path: `${path}/reservation` });
}

function demandDestroy(principal: Principal, id: string, { role, ledger }: OperationSite, path: string): void {
  const volume = ownOf(ledger.volumes, id);
  if (volume === undefined || ownOf(ledger.reservations, volume.reservation)?.role !== role) return;
  if (volume.by === principal.subject) return;
  demandOfOthers(principal, 'volume', { id, by: volume.by, role, path: `${path}/volume` });
}

function demandOfOthers(
  principal: Principal,
  kind: 'reservation' | 'volume',
  { id, by, role, path }: { readonly id: string; readonly by: string; readonly role: RolePath; readonly path: string },
): void {
  const verdict = authorize(principal, `${kind}:write`, role);
  if (verdict.allowed) return;
  const why = `${kind} "${id}" was made by "${by}", and a framework undoes only what its own principal has made: ${verdict.why}`;
  throw new Refusal('forbidden', why, { faults: [{ path, message: `names what was made by "${by}"` }] });
}

/** Own members only: `constructor` is a valid id. */
function ownOf<T>(record: Readonly<Record<string, T>>, id: string): T | undefined {
  return Object.hasOwn(record, id) ? record[id] : undefined;
}
