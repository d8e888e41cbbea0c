/** What has to hold within a call, whatever it is about, in Mesos's words and order. Pure. */
import type { Identity } from '../http/authenticate.ts';
import { WireRefusal } from '../http/wire-refusal.ts';
import { bytesOfUuid } from '../translate/ids.ts';
import type { CallType, WireCall } from '../wire/call.ts';
import type { WireFrameworkInfo } from '../wire/framework-info.ts';

/** Throws the 400 of a call that isn't valid. */
export function validateCall(call: WireCall, caller: Identity): void {
  const fault = faultOf(call, caller);
  if (fault !== null) throw new WireRefusal(400, `Failed to validate scheduler::Call: ${fault}`);
}

function faultOf(call: WireCall, caller: Identity): string | null {
  const { type, framework_id: framework, subscribe } = call;
  if (type === undefined) return "Expecting 'type' to be present";
  if (type === 'SUBSCRIBE') {
    if (subscribe === undefined) return "Expecting 'subscribe' to be present";
    if (subscribe.framework_info.id?.value !== framework?.value) {
      return "'framework_id' differs from 'subscribe.framework_info.id'";
    }
    return principalFault(subscribe.framework_info, caller);
  }
  if (framework === undefined) return "Expecting 'framework_id' to be present";
  const body = BODIES[type];
  if (body !== null && call[body] === undefined) return `Expecting '${body}' to be present`;
  return detailFault(call, caller);
}

/** The member that has to be there; null: the call says all by its type. */
const BODIES = {
  UNKNOWN: null,
  TEARDOWN: null,
  REVIVE: null,
  SUPPRESS: null,
  ACCEPT: 'accept',
  DECLINE: 'decline',
  ACCEPT_INVERSE_OFFERS: 'accept_inverse_offers',
  DECLINE_INVERSE_OFFERS: 'decline_inverse_offers',
  KILL: 'kill',
  SHUTDOWN: 'shutdown',
  ACKNOWLEDGE: 'acknowledge',
  ACKNOWLEDGE_OPERATION_STATUS: 'acknowledge_operation_status',
  RECONCILE: 'reconcile',
  RECONCILE_OPERATIONS: 'reconcile_operations',
  MESSAGE: 'message',
  REQUEST: 'request',
  UPDATE_FRAMEWORK: 'update_framework',
} as const satisfies Record<Exclude<CallType, 'SUBSCRIBE'>, keyof WireCall | null>;

function detailFault(call: WireCall, caller: Identity): string | null {
  switch (call.type) {
    case 'ACKNOWLEDGE':
      return uuidFault(call.acknowledge?.uuid);
    case 'ACKNOWLEDGE_OPERATION_STATUS':
      return uuidFault(call.acknowledge_operation_status?.uuid);
    case 'UPDATE_FRAMEWORK': {
      const info = call.update_framework?.framework_info;
      if (info?.id?.value !== call.framework_id?.value) {
        return "'framework_id' differs from 'update_framework.framework_info.id'";
      }
      return info === undefined ? null : principalFault(info, caller);
    }
    default:
      return null;
  }
}

function uuidFault(uuid = ''): string | null {
  return bytesOfUuid(uuid) === null ? 'Not a valid UUID' : null;
}

/** A client calls itself by the name that it logs in with, or by whose token it is; some send an empty one. */
function principalFault(
  { principal: stated = '' }: WireFrameworkInfo,
  { principal, userName, isAnonymous }: Identity,
): string | null {
  if (isAnonymous || stated === '' || stated === principal.subject || stated === userName) return null;
  return `Authenticated principal '${principal.subject}' does not match principal '${stated}' set in \`FrameworkInfo\``;
}
