/** For which framework a call is, and whether it counts: in the order in which Mesos's master looks, and in its words. */
import type { Framework } from '../../../shared/domain/framework.ts';
import { mayEverything } from '../../auth/policy.ts';
import type { Principal } from '../../auth/principal.ts';
import type { Call, ServiceContext } from '../../services/context.ts';
import { reachPresent } from '../../services/framework-access.ts';
import { type FrameworkStanding, frameworkStanding, whenConnected } from '../../services/framework-facts.ts';
import { WireRefusal } from '../http/wire-refusal.ts';
import { frameworkIdOf, streamIdOf } from '../translate/ids.ts';
import { knownFramework } from '../translate/known-framework.ts';
import type { WireFramework } from '../translate/wire-framework.ts';

export const STREAM_ID_HEADER = 'Mesos-Stream-Id';

export interface Acting {
  readonly call: Call;
  readonly framework: Framework;
  readonly known: WireFramework;
}

/**
 * The framework in its present session. Another replica may have seen more of it than this one: before a call is refused, this one
 * catches up.
 */
export async function actingFor(
  ctx: ServiceContext,
  call: Call,
  { wireId, streamId }: { readonly wireId: string; readonly streamId: string | null },
): Promise<Acting> {
  const id = frameworkIdOf(wireId);
  const about = { principal: call.principal, wireId, streamId };
  if (faultOf(frameworkStanding(ctx, id), about) !== null) await reachPresent(ctx, id);
  if (isMissed(frameworkStanding(ctx, id), streamId)) await whenConnected(ctx, id, CONNECTED_WITHIN_MS);
  const standing = frameworkStanding(ctx, id);
  const fault = faultOf(standing, about);
  if (fault !== null) throw fault;
  if (standing === null) throw new WireRefusal(400, NOT_FOUND);
  return { call, framework: standing.framework, known: knownFramework(standing.framework) };
}

/** How long a call of the present stream waits for word that the stream is open. */
const CONNECTED_WITHIN_MS = 2000;

/** It isn't on record as subscribed, though whoever calls has subscribed last. */
function isMissed(standing: FrameworkStanding | null, streamId: string | null): boolean {
  if (standing === null || standing.isConnected || standing.framework.teardown !== null) return false;
  return streamId === streamIdOf(standing.framework.id, standing.framework.session);
}

const NOT_FOUND = 'Framework cannot be found';

interface CallFacts {
  readonly principal: Principal;
  readonly wireId: string;
  readonly streamId: string | null;
}

function faultOf(standing: FrameworkStanding | null, { principal, wireId, streamId }: CallFacts): WireRefusal | null {
  if (standing === null || standing.framework.teardown !== null) return new WireRefusal(400, NOT_FOUND);
  const { framework, isConnected } = standing;
  if (!actsFor(principal, framework)) {
    const text = `Authenticated principal '${principal.subject}' does not match principal '${framework.principal}' set in \`FrameworkInfo\``;
    return new WireRefusal(400, text);
  }
  if (!isConnected) return new WireRefusal(403, 'Framework is not subscribed');
  if (streamId === null) {
    return new WireRefusal(400, `All non-subscribe calls should include the '${STREAM_ID_HEADER}' header`);
  }
  if (streamId === streamIdOf(framework.id, framework.session)) return null;
  const text = `The stream ID '${streamId.slice(0, 128)}' included in this request didn't match the stream ID currently associated with framework ID '${wireId}'`;
  return new WireRefusal(400, text);
}

/** Its own principal, and whoever may do everything. */
export function actsFor(principal: Principal, framework: Framework): boolean {
  return principal.subject === framework.principal || mayEverything(principal);
}
