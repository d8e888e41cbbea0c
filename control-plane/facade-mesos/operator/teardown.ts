/** TEARDOWN: an operator ends a framework. */
import type { Call } from '../../services/context.ts';
import { frameworkStanding } from '../../services/framework-facts.ts';
import { tearDown } from '../../services/frameworks.ts';
import { WireRefusal } from '../http/wire-refusal.ts';
import type { FacadeParts } from '../parts.ts';
import { frameworkIdOf } from '../translate/ids.ts';
import { known } from './nodes.ts';

const ABSENT = 'No framework found with specified ID';

/** One that is over already isn't found, as with Mesos, whoever has ended it. */
export async function tearDownFramework({ ctx }: FacadeParts, call: Call, wireId: string): Promise<void> {
  const id = frameworkIdOf(wireId);
  if (frameworkStanding(ctx, id)?.framework.teardown != null) throw new WireRefusal(400, ABSENT);
  const reason = `torn down by "${call.principal.subject}" as an operator`;
  await known(ABSENT, () => tearDown(ctx, call, id, { reason }));
}
