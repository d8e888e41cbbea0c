/** What operators keep of an agent for a role, and the volumes that they make of that. */
import type { NodeId } from '../../../shared/domain/ids.ts';
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
  const ledger = takeInventory(ctx, principal).everyNode.get(node)?.ledger;
  if (ledger === undefined) throw new WireRefusal(400, NO_AGENT);
  const context = {
    ledger,
    subject: principal.subject,
    principals: [principal.subject, ...(userName === null ? [] : [userName])],
    source: [node, randomId(ctx.random)],
  };
  const changes = inWireWords(() =>
    prefixed(`Invalid ${operation.type} operation: `, () => operatorChanges(operation, context)),
  );
  await known(NO_AGENT, () => changeHoldings(ctx, call, node, changes));
}
