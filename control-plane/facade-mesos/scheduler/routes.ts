/** `POST /api/v1/scheduler`: how frameworks subscribe, what they are told and what they call. */
import type { Hono } from 'hono';
import { present, unreachable } from '../../../shared/util/assert.ts';
import { callOf } from '../http/caller.ts';
import { demandJsonAccepted, readCall } from '../http/json-in.ts';
import { serve } from '../http/serve.ts';
import { WireRefusal } from '../http/wire-refusal.ts';
import type { FacadeParts } from '../parts.ts';
import { callSchema, type WireCall } from '../wire/call.ts';
import { accept } from './accept.ts';
import { type Acting, actingFor, STREAM_ID_HEADER } from './acting.ts';
import {
  acknowledge,
  acknowledgeOperation,
  answerInverseOffers,
  decline,
  kill,
  message,
  operationStatuses,
  reconcile,
  revive,
  shutdown,
  suppress,
  tearDownOwn,
} from './calls.ts';
import { subscribe } from './subscribe.ts';
import { updateFramework } from './update-framework.ts';
import { validateCall } from './validate.ts';

const PATHS = ['/api/v1/scheduler', '/master/api/v1/scheduler'];
const NAMES = { converted: 'Call protobuf', validated: 'scheduler::Call' };

export function schedulerRoutes(app: Hono, parts: FacadeParts): void {
  const options = { paths: PATHS, methods: ['POST'], realm: 'mesos-master-scheduler' } as const;
  serve(app, parts, options, async ({ request, lasting, caller }) => {
    const call = await readCall(request, { clock: parts.ctx.clock, schema: callSchema, names: NAMES });
    validateCall(call, caller);
    const { headers } = request;
    const asked = callOf(caller, call.type);
    if (call.type === 'SUBSCRIBE') {
      const wishes = present(call.subscribe, 'what is subscribed');
      return subscribe(parts, { call: asked, headers, wishes, wireId: call.framework_id?.value, lasting });
    }
    if (call.type === 'RECONCILE_OPERATIONS') demandJsonAccepted(headers.get('accept'));
    const wireId = present(call.framework_id, 'the framework').value;
    const acting = await actingFor(parts.ctx, asked, { wireId, streamId: headers.get(STREAM_ID_HEADER) });
    if (call.type === 'RECONCILE_OPERATIONS') {
      const body = present(call.reconcile_operations, 'reconcile_operations');
      const reconciled = { operation_statuses: await operationStatuses(parts, acting, body) };
      return Response.json({ type: 'RECONCILE_OPERATIONS', reconcile_operations: reconciled });
    }
    await carryOut(parts, acting, call);
    return new Response(null, {
      status: call.type === 'UPDATE_FRAMEWORK' ? 200 : 202,
      headers: { 'content-length': '0' },
    });
  });
}

/** What each call has to hold was checked by then. */
async function carryOut(parts: FacadeParts, acting: Acting, call: WireCall): Promise<void> {
  const type = present(call.type, 'the type of a call');
  switch (type) {
    case 'TEARDOWN':
      return tearDownOwn(parts, acting);
    case 'ACCEPT':
      return accept(parts, acting, present(call.accept, 'accept'));
    case 'DECLINE':
      return decline(parts, acting, present(call.decline, 'decline'));
    case 'REVIVE':
      return revive(parts, acting, call.revive?.roles ?? []);
    case 'SUPPRESS':
      return suppress(parts, acting, call.suppress?.roles ?? []);
    case 'KILL':
      return kill(parts, acting, present(call.kill, 'kill'));
    case 'SHUTDOWN':
      return shutdown(parts, acting, present(call.shutdown, 'shutdown'));
    case 'ACKNOWLEDGE':
      return acknowledge(parts, acting, present(call.acknowledge, 'acknowledge'));
    case 'RECONCILE':
      return reconcile(parts, acting, present(call.reconcile, 'reconcile'));
    case 'MESSAGE':
      return message(parts, acting, present(call.message, 'message'));
    case 'UPDATE_FRAMEWORK':
      return updateFramework(parts, acting, present(call.update_framework, 'update_framework'));
    case 'REQUEST':
      // Mesos's own allocator takes it and does nothing with it either.
      return;
    case 'ACCEPT_INVERSE_OFFERS': {
      const body = present(call.accept_inverse_offers, 'accept_inverse_offers');
      return answerInverseOffers(parts, acting, { ...body, answer: 'accepts' });
    }
    case 'DECLINE_INVERSE_OFFERS': {
      const body = present(call.decline_inverse_offers, 'decline_inverse_offers');
      return answerInverseOffers(parts, acting, { ...body, answer: 'declines' });
    }
    case 'ACKNOWLEDGE_OPERATION_STATUS': {
      const body = present(call.acknowledge_operation_status, 'acknowledge_operation_status');
      return acknowledgeOperation(parts, acting, body);
    }
    case 'UNKNOWN':
      throw new WireRefusal(501, `${type} is not implemented`);
    case 'SUBSCRIBE':
    case 'RECONCILE_OPERATIONS':
      return;
    default:
      return unreachable(type);
  }
}
