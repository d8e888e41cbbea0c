/** `POST /api/v1`: what operators ask and order. Everything below it is the same, as with Mesos. */
import type { Hono } from 'hono';
import type { NodeId } from '../../../shared/domain/ids.ts';
import { present } from '../../../shared/util/assert.ts';
import { type Caller, callOf } from '../http/caller.ts';
import { demandJsonAccepted, readCall } from '../http/json-in.ts';
import type { Turns } from '../http/json-pieces.ts';
import { serve } from '../http/serve.ts';
import { WireRefusal } from '../http/wire-refusal.ts';
import type { FacadeParts } from '../parts.ts';
import type { OperatorOperation } from '../translate/operator-operations.ts';
import { operatorCallSchema } from '../wire/operator-call.ts';
import { startMaintenance, stopMaintenance, updateSchedule } from './maintenance.ts';
import { deactivate, drain, markGone, reactivate } from './nodes.ts';
import { OperatorReader } from './reads.ts';
import { operateOn } from './reservations.ts';
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
  serve(app, parts, options, async ({ request, url, lasting, caller }) => {
    const { clock } = parts.ctx;
    const call = validCall(await readCall(request, { clock, schema: operatorCallSchema, names: NAMES }));
    demandJsonAccepted(request.headers.get('accept'));
    if (call.type === 'SUBSCRIBE') return streams.subscribe(caller.principal, { url, lasting });
    const answer = reader.answer(call.type, { url, caller });
    if (answer !== null) return answer;
    const status = await carryOut(parts, caller, call);
    return new Response(null, { status, headers: { 'content-length': '0' } });
  });
}

/** What each call has to hold was checked by then. 202 where Mesos leaves the rest to an agent. */
async function carryOut(parts: FacadeParts, caller: Caller, call: ValidCall): Promise<200 | 202> {
  const asked = callOf(caller, call.type);
  switch (call.type) {
    case 'UPDATE_WEIGHTS':
      await updateWeights(parts, asked, present(call.update_weights, 'weights').weight_infos);
      return 200;
    case 'UPDATE_QUOTA':
      await updateQuota(parts, asked, present(call.update_quota, 'quotas'));
      return 200;
    case 'SET_QUOTA':
      await setQuota(parts, asked, present(call.set_quota, 'a quota').quota_request);
      return 200;
    case 'REMOVE_QUOTA':
      await removeQuota(parts, asked, present(call.remove_quota, 'a quota').role);
      return 200;
    case 'TEARDOWN':
      await tearDownFramework(parts, asked, present(call.teardown, 'teardown').framework_id.value);
      return 200;
    case 'DRAIN_AGENT':
      await drain(parts, asked, present(call.drain_agent, 'an agent'));
      return 200;
    case 'DEACTIVATE_AGENT':
      await deactivate(parts, asked, present(call.deactivate_agent, 'an agent').agent_id.value);
      return 200;
    case 'REACTIVATE_AGENT':
      await reactivate(parts, asked, present(call.reactivate_agent, 'an agent').agent_id.value);
      return 200;
    case 'MARK_AGENT_GONE':
      await markGone(parts, asked, present(call.mark_agent_gone, 'an agent').agent_id.value);
      return 200;
    case 'UPDATE_MAINTENANCE_SCHEDULE': {
      const { schedule } = present(call.update_maintenance_schedule, 'a schedule');
      await updateSchedule(parts, asked, schedule);
      return 200;
    }
    case 'START_MAINTENANCE':
      await startMaintenance(parts, asked, present(call.start_maintenance, 'machines').machines);
      return 200;
    case 'STOP_MAINTENANCE':
      await stopMaintenance(parts, asked, present(call.stop_maintenance, 'machines').machines);
      return 200;
    default:
      await operateOn(parts, { call: asked, userName: caller.userName }, ...operationOf(call));
      return 202;
  }
}

/** What is done with the resources of an agent. Throws the 501 of what isn't done at all. */
function operationOf(call: ValidCall): [NodeId, OperatorOperation] {
  switch (call.type) {
    case 'RESERVE_RESOURCES': {
      const { agent_id: agent, resources, source } = present(call.reserve_resources, 'resources');
      return [agent.value, { type: 'RESERVE', resources, source }];
    }
    case 'UNRESERVE_RESOURCES': {
      const { agent_id: agent, resources } = present(call.unreserve_resources, 'resources');
      return [agent.value, { type: 'UNRESERVE', resources }];
    }
    case 'CREATE_VOLUMES': {
      const { agent_id: agent, volumes: resources } = present(call.create_volumes, 'volumes');
      return [agent.value, { type: 'CREATE', resources }];
    }
    case 'DESTROY_VOLUMES': {
      const { agent_id: agent, volumes: resources } = present(call.destroy_volumes, 'volumes');
      return [agent.value, { type: 'DESTROY', resources }];
    }
    case 'GROW_VOLUME':
    case 'SHRINK_VOLUME':
      throw new WireRefusal(
        400,
        `Invalid ${call.type} operation: volumes cannot be resized on an agent without RESIZE_VOLUME capability`,
      );
    default:
      throw new WireRefusal(501, `${call.type} is not implemented`);
  }
}
