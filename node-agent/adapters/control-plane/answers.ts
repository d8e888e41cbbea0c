/**
 * What comes from the control plane is looked at once, here. Not field by field: the agent carries no schema library, and the
 * server answers with what its own types say. What is checked is what a proxy's error page, or a server of another kind, would
 * get wrong.
 */

import type { IdentityToken } from '../../../shared/domain/workload-identity.ts';
import type {
  AssignmentBody,
  AssignmentResponse,
  HeartbeatResponse,
  MessagesResponse,
  RegisterResponse,
  StatusesResponse,
  TaskIdentityResponse,
  TaskSecretsResponse,
} from '../../../shared/protocol/agent.ts';
import { resolveAssignment } from '../../../shared/protocol/assignment.ts';
import { ControlPlaneFault } from '../../executor/contracts.ts';
import type { HttpAnswer } from './http-calls.ts';

type Fields = Readonly<Record<string, unknown>>;

/** The fault that an answer stands for; null: it is a success. */
export function faultIn({ status, body }: HttpAnswer): ControlPlaneFault | null {
  if (status >= 200 && status < 300) return null;
  const problem = parsed(body) ?? {};
  const { code, detail, title } = problem;
  const words = [detail, title].find((text) => typeof text === 'string') ?? 'no explanation';
  const message = `HTTP ${status}: ${words}`;
  if (status === 401) return new ControlPlaneFault('unauthenticated', message);
  if (code === 'stale-epoch') return new ControlPlaneFault('stale-epoch', message);
  if (code === 'identity-mismatch') return new ControlPlaneFault('mismatch', message);
  if (code === 'node-gone') return new ControlPlaneFault('gone', message);
  if (code === 'invalid-request' || code === 'payload-too-large') return new ControlPlaneFault('invalid', message);
  const mayPass = status >= 500 || status === 408 || status === 429;
  return new ControlPlaneFault(mayPass ? 'away' : 'refused', message);
}

export function registerResponse(body: string): RegisterResponse {
  const fields = expected('registration', body);
  requireNumbers('registration', fields, ['epoch', 'incarnation', 'heartbeatIntervalMs', 'leaseTtlMs']);
  if (typeof fields['nodeToken'] !== 'string') throw malformed('registration', 'nodeToken');
  return fields as unknown as RegisterResponse;
}

export function assignmentResponse(body: string): AssignmentResponse {
  const fields = expected('assignment', body);
  const { position, groups, tasks, streams, streamsVersion, messages } = fields;
  if (!isFields(position)) throw malformed('assignment', 'position');
  requireNumbers('assignment', position, ['incarnation', 'generation']);
  if (!isFields(groups)) throw malformed('assignment', 'groups');
  if (!Array.isArray(tasks)) throw malformed('assignment', 'tasks');
  if (!Array.isArray(streams)) throw malformed('assignment', 'streams');
  if (messages !== undefined && !Array.isArray(messages)) throw malformed('assignment', 'messages');
  if (typeof streamsVersion !== 'string') throw malformed('assignment', 'streamsVersion');
  const assignment = resolveAssignment(fields as unknown as AssignmentBody);
  if (assignment === null) throw malformed('assignment', "a task's group");
  return assignment;
}

export function heartbeatResponse(body: string): HeartbeatResponse {
  const { nodeToken } = expected('heartbeat', body);
  if (nodeToken !== null && typeof nodeToken !== 'string') throw malformed('heartbeat', 'nodeToken');
  return { nodeToken };
}

export function statusesResponse(body: string): StatusesResponse {
  const fields = expected('status', body);
  if (!Array.isArray(fields['results'])) throw malformed('status', 'results');
  return fields as unknown as StatusesResponse;
}

export function messagesResponse(body: string): MessagesResponse {
  const fields = expected('messages', body);
  if (!Array.isArray(fields['results'])) throw malformed('messages', 'results');
  return fields as unknown as MessagesResponse;
}

/** What is wrong with it is told without any of it. */
export function identityResponse(body: string): TaskIdentityResponse {
  const { tokens } = expected('identity', body);
  if (!Array.isArray(tokens) || !tokens.every(isIdentityToken)) throw malformed('identity', 'tokens');
  return { tokens };
}

function isIdentityToken(value: unknown): value is IdentityToken {
  if (typeof value !== 'object' || value === null) return false;
  const { name, token, issuedAtMs, expiresAtMs } = value as Partial<IdentityToken>;
  const areTexts = typeof name === 'string' && typeof token === 'string';
  return areTexts && typeof issuedAtMs === 'number' && typeof expiresAtMs === 'number';
}

/** What is wrong with it is told without any of it. */
export function secretsResponse(body: string): TaskSecretsResponse {
  const fields = expected('secrets', body);
  const { secrets, missing } = fields;
  if (!Array.isArray(secrets)) throw malformed('secrets', 'secrets');
  if (!Array.isArray(missing)) throw malformed('secrets', 'missing');
  return fields as unknown as TaskSecretsResponse;
}

function expected(what: string, body: string): Fields {
  const fields = parsed(body);
  if (fields === null) throw malformed(what, 'a JSON object');
  return fields;
}

function requireNumbers(what: string, fields: Fields, names: readonly string[]): void {
  const missing = names.find((name) => typeof fields[name] !== 'number');
  if (missing !== undefined) throw malformed(what, missing);
}

function parsed(body: string): Fields | null {
  try {
    const value: unknown = JSON.parse(body);
    return isFields(value) ? value : null;
  } catch {
    return null;
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function malformed(what: string, missing: string): ControlPlaneFault {
  const message = `the answer to a ${what} call lacks ${missing}; is something else listening at that address?`;
  return new ControlPlaneFault('away', message);
}
