/** What operators do with agents: empty them, keep tasks away from them, and say that they are no more. */
import { Refusal } from '../../../shared/domain/errors.ts';
import type { NodeId } from '../../../shared/domain/ids.ts';
import type { Call } from '../../services/context.ts';
import { declareGone, drainNode, getNode, setEligibility, undrainNode } from '../../services/nodes.ts';
import { WireRefusal } from '../http/wire-refusal.ts';
import type { FacadeParts } from '../parts.ts';
import type { OperatorCall } from '../wire/operator-call.ts';

const UNKNOWN = 'Unknown agent';
const NANOSECONDS_PER_SECOND = 1_000_000_000;

/** Everything there ends at once, each task in the time that it has for that, or sooner. */
export async function drain(
  { ctx }: FacadeParts,
  call: Call,
  { agent_id: agent, max_grace_period: most, mark_gone: isToBeGone }: NonNullable<OperatorCall['drain_agent']>,
): Promise<void> {
  if (isToBeGone) {
    const text = `Agent ${agent.value} can't be marked gone before it is drained: drain it, stop it, and call MARK_AGENT_GONE`;
    throw new WireRefusal(400, text);
  }
  const { value: node } = agent;
  const { maintenance } = await known(UNKNOWN, async () => getNode(ctx, call.principal, node));
  if (maintenance !== null) throw new WireRefusal(400, `Agent ${node} is part of a maintenance schedule`);
  const graceSecondsMax = most === undefined ? null : Math.max(0, most.nanoseconds / NANOSECONDS_PER_SECOND);
  const wish = { deadlineSeconds: 0, graceSecondsMax };
  await known(UNKNOWN, () => drainNode(ctx, call, node, wish));
}

export async function deactivate({ ctx }: FacadeParts, call: Call, node: NodeId): Promise<void> {
  await known(UNKNOWN, () => setEligibility(ctx, call, node, { eligible: false }));
}

/** Also ends its drain, as soon as nothing runs there any more. */
export async function reactivate({ ctx }: FacadeParts, call: Call, node: NodeId): Promise<void> {
  const {
    eligible,
    drain: draining,
    tasks,
  } = await known(NOT_DEACTIVATED, async () => getNode(ctx, call.principal, node));
  if (eligible && draining === null) throw new WireRefusal(400, NOT_DEACTIVATED);
  if (draining !== null && tasks > 0) throw new WireRefusal(400, 'Agent is still in the DRAINING state');
  await known(NOT_DEACTIVATED, () => undrainNode(ctx, call, node));
  await known(NOT_DEACTIVATED, () => setEligibility(ctx, call, node, { eligible: true }));
}

const NOT_DEACTIVATED = 'Agent is not deactivated';

export async function markGone({ ctx }: FacadeParts, call: Call, node: NodeId): Promise<void> {
  const absent = new WireRefusal(404, `Agent '${node}' not found`);
  await known(absent, () => declareGone(ctx, call, node));
}

/** `absent`: what is said where there is no such node. */
export async function known<T>(absent: string | WireRefusal, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof Refusal) || error.code !== 'not-found') throw error;
    throw typeof absent === 'string' ? new WireRefusal(400, absent) : absent;
  }
}
