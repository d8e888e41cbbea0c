/** TEARDOWN: an operator ends a framework. */
import type { Principal } from '../../auth/principal.ts';
import { frameworkStanding } from '../../services/framework-facts.ts';
import { tearDown } from '../../services/frameworks.ts';
import { WireRefusal } from '../http/wire-refusal.ts';
import type { FacadeParts } from '../parts.ts';
import { frameworkIdOf } from '../translate/ids.ts';
import { known } from './nodes.ts';

const ABSENT = 'No framework found with specified ID';

/** One that is over already isn't found, as with Mesos, whoever has ended it. */
export async function tearDownFramework({ ctx }: FacadeParts, principal: Principal, wireId: string): Promise<void> {
  const id = frameworkIdOf(wireId);
  if (frameworkStanding(ctx, id)?.framework.teardown != null) throw new WireRefusal(400, ABSENT);
  const reason = `torn down by "${principal.subject}" as an operator`;
  await known(ABSENT, () => tearDown(ctx, { principal, idempotency: null }, id, { reason }));
}
