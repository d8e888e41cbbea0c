/** What operators keep of an agent for a role, and the volumes that they make of that. */
import type { NodeId, RolePath } from '../../../shared/domain/ids.ts';
import type { Ledger } from '../../../shared/domain/ledger.ts';
import { randomId } from '../../../shared/util/random.ts';
import type { Call } from '../../services/context.ts';
import { changeHoldings } from '../../services/holding-changes.ts';
import { takeInventory } from '../../services/inventory.ts';
import type { Caller } from '../http/caller.ts';
import { WireRefusal } from '../http/wire-refusal.ts';
import type { FacadeParts } from '../parts.ts';
import { type OperatorOperation, operatorChanges } from '../translate/operator-operations.ts';
import { prefixed } from '../translate/task-checks.ts';
import { known } from './nodes.ts';
import { inWireWords } from './words.ts';

const NO_AGENT = 'No agent found with specified ID';

/** All of it or nothing. */
export async function operateOn(
  { ctx }: FacadeParts,
  { call, userName }: Pick<Caller, 'userName'> & { readonly call: Call },
  node: NodeId,
  operation: OperatorOperation,
): Promise<void> {
  const { principal } = call;
  const { everyNode, maySeeReservationsOf } = takeInventory(ctx, principal);
  const whole = everyNode.get(node)?.ledger;
  if (whole === undefined) throw new WireRefusal(400, NO_AGENT);
  const context = {
    // What is reserved for roles that the caller may not read is answered as what isn't there; room it takes all the same.
    ledger: operation.type === 'RESERVE' ? whole : holdingsSeen(whole, maySeeReservationsOf),
    subject: principal.subject,
    principals: [principal.subject, ...(userName === null ? [] : [userName])],
    source: [node, randomId(ctx.random)],
  };
  const changes = inWireWords(() =>
    prefixed(`Invalid ${operation.type} operation: `, () => operatorChanges(operation, context)),
  );
  await known(NO_AGENT, () => changeHoldings(ctx, call, node, changes));
}

function holdingsSeen(ledger: Ledger, maySee: (role: RolePath) => boolean): Ledger {
  const reservations = Object.entries(ledger.reservations).filter(([, { role }]) => maySee(role));
  const seen = new Set(reservations.map(([id]) => id));
  const volumes = Object.entries(ledger.volumes).filter(([, { reservation }]) => seen.has(reservation));
  return { ...ledger, reservations: Object.fromEntries(reservations), volumes: Object.fromEntries(volumes) };
}
