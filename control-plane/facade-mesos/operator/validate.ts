/** What has to hold within a call, whatever it is about, in Mesos's words. Pure. */
import { WireRefusal } from '../http/wire-refusal.ts';
import type { OperatorCall, OperatorCallType } from '../wire/operator-call.ts';

/** A call of a type that is known. */
export type ValidCall = OperatorCall & { readonly type: OperatorCallType };

/** Throws the 400 of a call that isn't valid. */
export function validCall(call: OperatorCall): ValidCall {
  const { type } = call;
  if (type === undefined) throw invalid("Expecting 'type' to be present");
  const body = BODIES[type];
  if (body !== null && call[body] === undefined) throw invalid(`Expecting '${body}' to be present`);
  return { ...call, type };
}

function invalid(why: string): WireRefusal {
  return new WireRefusal(400, `Failed to validate master::Call: ${why}`);
}

/** The member that has to be there; null: the call says all by its type. */
const BODIES = {
  UNKNOWN: null,
  GET_HEALTH: null,
  GET_FLAGS: null,
  GET_VERSION: null,
  GET_METRICS: 'get_metrics',
  GET_LOGGING_LEVEL: null,
  SET_LOGGING_LEVEL: 'set_logging_level',
  LIST_FILES: 'list_files',
  READ_FILE: 'read_file',
  GET_STATE: null,
  GET_AGENTS: null,
  GET_FRAMEWORKS: null,
  GET_EXECUTORS: null,
  GET_OPERATIONS: null,
  GET_TASKS: null,
  GET_ROLES: null,
  GET_WEIGHTS: null,
  UPDATE_WEIGHTS: 'update_weights',
  GET_MASTER: null,
  SUBSCRIBE: null,
  RESERVE_RESOURCES: 'reserve_resources',
  UNRESERVE_RESOURCES: 'unreserve_resources',
  CREATE_VOLUMES: 'create_volumes',
  DESTROY_VOLUMES: 'destroy_volumes',
  GROW_VOLUME: 'grow_volume',
  SHRINK_VOLUME: 'shrink_volume',
  GET_MAINTENANCE_STATUS: null,
  GET_MAINTENANCE_SCHEDULE: null,
  UPDATE_MAINTENANCE_SCHEDULE: 'update_maintenance_schedule',
  START_MAINTENANCE: 'start_maintenance',
  STOP_MAINTENANCE: 'stop_maintenance',
  DRAIN_AGENT: 'drain_agent',
  DEACTIVATE_AGENT: 'deactivate_agent',
  REACTIVATE_AGENT: 'reactivate_agent',
  GET_QUOTA: null,
  UPDATE_QUOTA: 'update_quota',
  SET_QUOTA: 'set_quota',
  REMOVE_QUOTA: 'remove_quota',
  TEARDOWN: 'teardown',
  MARK_AGENT_GONE: 'mark_agent_gone',
} as const satisfies Record<OperatorCallType, keyof OperatorCall | null>;
