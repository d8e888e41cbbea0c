/** `POST /api/v1`: what operators ask and order. Everything below it is the same, as with Mesos. */
import type { Hono } from 'hono';
import { present } from '../../../shared/util/assert.ts';
import type { Principal } from '../../auth/principal.ts';
import { demandJsonAccepted, readCall } from '../http/json-in.ts';
import type { Turns } from '../http/json-pieces.ts';
import { serve } from '../http/serve.ts';
import { WireRefusal } from '../http/wire-refusal.ts';
import type { FacadeParts } from '../parts.ts';
import { operatorCallSchema } from '../wire/operator-call.ts';
import { deactivate, drain, markGone, reactivate } from './nodes.ts';
import { OperatorReader } from './reads.ts';
import { removeQuota, setQuota, updateQuota, updateWeights } from './roles.ts';
import { OperatorStreams } from './subscribe.ts';
import { tearDownFramework } from './teardown.ts';
import { type ValidCall, validCall } from './validate.ts';

const PATHS = ['/api/v1', '/api/v1/*', '/master/api/v1', '/master/api/v1/*'];
const NAMES = { converted: 'Call protobuf', validated: 'master::Call' };

export function operatorRoutes(app: Hono, parts: FacadeParts, turns: Turns): void {
  const reader = new OperatorReader(parts, turns);
  const options = { paths: PATHS, methods: ['POST'], realm: 'mesos-master-readwrite' } as const;
  const streams = new OperatorStreams(parts, reader, turns);
  serve(app, parts, options, async ({ request, url, signal, caller }) => {
    const { clock } = parts.ctx;
    const call = validCall(await readCall(request, { clock, schema: operatorCallSchema, names: NAMES }));
    demandJsonAccepted(request.headers.get('accept'));
    if (call.type === 'SUBSCRIBE') return streams.subscribe(caller.principal, { url, signal: signal() });
    const answer = reader.answer(call.type, { url, caller });
    if (answer !== null) return answer;
    const status = await carryOut(parts, caller.principal, call);
    return new Response(null, { status, headers: { 'content-length': '0' } });
  });
}

/** What each call has to hold was checked by then. 202 where Mesos leaves the rest to an agent. */
async function carryOut(parts: FacadeParts, principal: Principal, call: ValidCall): Promise<200 | 202> {
  switch (call.type) {
    case 'UPDATE_WEIGHTS':
      await updateWeights(parts, principal, present(call.update_weights, 'weights').weight_infos);
      return 200;
    case 'UPDATE_QUOTA':
      await updateQuota(parts, principal, present(call.update_quota, 'quotas'));
      return 200;
    case 'SET_QUOTA':
      await setQuota(parts, principal, present(call.set_quota, 'a quota').quota_request);
      return 200;
    case 'REMOVE_QUOTA':
      await removeQuota(parts, principal, present(call.remove_quota, 'a quota').role);
      return 200;
    case 'TEARDOWN':
      await tearDownFramework(parts, principal, present(call.teardown, 'teardown').framework_id.value);
      return 200;
    case 'DRAIN_AGENT':
      await drain(parts, principal, present(call.drain_agent, 'an agent'));
      return 200;
    case 'DEACTIVATE_AGENT':
      await deactivate(parts, principal, present(call.deactivate_agent, 'an agent').agent_id.value);
      return 200;
    case 'REACTIVATE_AGENT':
      await reactivate(parts, principal, present(call.reactivate_agent, 'an agent').agent_id.value);
      return 200;
    case 'MARK_AGENT_GONE':
      await markGone(parts, principal, present(call.mark_agent_gone, 'an agent').agent_id.value);
      return 200;
    default:
      throw notServed(call.type);
  }
}

function notServed(type: ValidCall['type']): WireRefusal {
  return new WireRefusal(501, `${type} is not implemented`);
}
