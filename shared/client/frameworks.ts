/** Calls of frameworks, and their stream of events over as many connections as it takes. */
import type { z } from 'zod';
import {
  type Acknowledged,
  type AcknowledgedOperations,
  acknowledgedOperationsSchema,
  acknowledgedSchema,
  type FrameworkEvent,
  type FrameworkUpdateInput,
  type FrameworkView,
  frameworkEventSchema,
  frameworkViewSchema,
  type killSchema,
  type messageSchema,
  type Reconciled,
  type ReconciledOperations,
  reconciledOperationsSchema,
  reconciledSchema,
  type SentMessage,
  type SubscriptionInput,
  sentMessageSchema,
  type TaskUpdateView,
  updateViewSchema,
} from '../protocol/framework.ts';
import {
  type MaintenanceAnswered,
  type MaintenanceAnswerRequest,
  maintenanceAnsweredSchema,
} from '../protocol/maintenance.ts';
import { type Page, pageOf } from '../protocol/views.ts';
import { randomId } from '../util/random.ts';
import { UnexpectedAnswerError } from './errors.ts';
import { readStream } from './stream.ts';
import { type ApiRequest, parseJson, type Transport } from './transport.ts';

/** The server comments every 5 s; a stream that is silent for longer than a few of those is dead. */
const SILENCE_MAX_MS = 18_000;

export interface FrameworkQuery {
  readonly limit?: number;
  readonly after?: string | null;
  /** Those of this role and of the ones below it. */
  readonly role?: string | undefined;
}

export interface FrameworkCalls {
  /** As a new framework, or with the id of one that comes back. */
  subscribe(subscription: SubscriptionInput): Promise<FrameworkView>;
  /** Replaces all that it said when it subscribed, without a new session. */
  update(id: string, update: FrameworkUpdateInput): Promise<FrameworkView>;
  list(query?: FrameworkQuery): Promise<Page<FrameworkView>>;
  get(id: string): Promise<FrameworkView>;
  tearDown(id: string, options?: { reason?: string }): Promise<FrameworkView>;
  /** Answers how the task stands; its end comes as an update. */
  kill(id: string, kill: z.input<typeof killSchema>): Promise<TaskUpdateView>;
  acknowledge(
    id: string,
    acknowledge: { readonly session: number; readonly updates: readonly string[] },
  ): Promise<Acknowledged>;
  /** How these tasks stand, or all that have not ended. */
  reconcile(
    id: string,
    reconcile: { readonly session: number; readonly tasks?: readonly string[] | undefined },
  ): Promise<Reconciled>;
  /** By the ids of their statuses: they are not told again. */
  acknowledgeOperations(
    id: string,
    acknowledge: { readonly session: number; readonly operations: readonly string[] },
  ): Promise<AcknowledgedOperations>;
  /** How the operations of these names stand, or all that are on record. */
  reconcileOperations(
    id: string,
    reconcile: { readonly session: number; readonly operations?: readonly string[] | undefined },
  ): Promise<ReconciledOperations>;
  /** Says something to an executor, or to a task that one runs. Best effort. */
  message(id: string, message: z.input<typeof messageSchema>): Promise<SentMessage>;
  /** Answers a notice of maintenance, which the stream has told. */
  answerMaintenance(id: string, answer: MaintenanceAnswerRequest): Promise<MaintenanceAnswered>;
  /**
   * What comes on the framework's stream, until the signal is aborted or after `superseded` or `ended`. With every new connection
   * `subscribed` comes again, then all offers that stand, all updates that are not acknowledged and all notices that are not answered. Throws an ApiError with the
   * code `session-moved` or `framework-gone` when the session doesn't count any more.
   */
  events(
    id: string,
    options: { readonly session: number; readonly signal: AbortSignal },
  ): AsyncGenerator<FrameworkEvent, void>;
}

export function frameworkCalls(transport: Transport): FrameworkCalls {
  const at = (id: string, below = '') => `/v1/frameworks/${encodeURIComponent(id)}${below}`;
  return {
    subscribe: async (subscription) =>
      (await transport.call(keyed(transport, '/v1/frameworks', subscription), frameworkViewSchema)).body,
    update: async (id, body) =>
      (await transport.call({ method: 'PUT', path: at(id), body, repeat: 'safe' }, frameworkViewSchema)).body,
    list: async (query = {}) =>
      (await transport.call({ ...get('/v1/frameworks'), query: { ...query } }, pageOf(frameworkViewSchema))).body,
    get: async (id) => (await transport.call(get(at(id)), frameworkViewSchema)).body,
    tearDown: async (id, { reason } = {}) =>
      (await transport.call({ method: 'DELETE', path: at(id), query: { reason }, repeat: 'safe' }, frameworkViewSchema))
        .body,
    kill: async (id, kill) => (await transport.call(keyed(transport, at(id, '/kill'), kill), updateViewSchema)).body,
    acknowledge: async (id, body) =>
      (await transport.call(harmless(at(id, '/acknowledge'), body), acknowledgedSchema)).body,
    reconcile: async (id, body) => (await transport.call(harmless(at(id, '/reconcile'), body), reconciledSchema)).body,
    acknowledgeOperations: async (id, body) =>
      (await transport.call(harmless(at(id, '/operations/acknowledge'), body), acknowledgedOperationsSchema)).body,
    reconcileOperations: async (id, body) =>
      (await transport.call(harmless(at(id, '/operations/reconcile'), body), reconciledOperationsSchema)).body,
    message: async (id, message) =>
      (
        await transport.call(
          { method: 'POST', path: at(id, '/messages'), body: message, repeat: 'unsent' },
          sentMessageSchema,
        )
      ).body,
    answerMaintenance: async (id, answer) =>
      (await transport.call(harmless(at(id, '/maintenance'), answer), maintenanceAnsweredSchema)).body,
    events: (id, options) => followFramework(transport, at(id, '/events'), options),
  };
}

function get(path: string): ApiRequest {
  return { method: 'GET', path, repeat: 'safe' };
}

/** The key makes all copies of it one call. */
function keyed(transport: Transport, path: string, body: unknown): ApiRequest {
  const headers = { 'Idempotency-Key': randomId(transport.options.random, 26) };
  return { method: 'POST', path, body, headers, repeat: 'safe' };
}

/** A second time does nothing more, with or without a key. */
function harmless(path: string, body: unknown): ApiRequest {
  return { method: 'POST', path, body, repeat: 'safe' };
}

async function* followFramework(
  transport: Transport,
  path: string,
  { session, signal }: { readonly session: number; readonly signal: AbortSignal },
): AsyncGenerator<FrameworkEvent, void> {
  const request = () => ({ ...get(path), query: { session } });
  for await (const { type, data } of readStream(transport, { request, signal, silenceMaxMs: SILENCE_MAX_MS })) {
    const event = data === null ? null : parseEvent(transport.options.address, type, data);
    if (event === null) continue;
    yield event;
    if (event.type === 'superseded' || event.type === 'ended') return;
  }
}

const EVENT_TYPES: ReadonlySet<string> = new Set(frameworkEventSchema.options.map((option) => option.shape.type.value));

/** Null: an event of a type that a newer server has and this client can do without. */
function parseEvent(address: string, type: string, data: string): FrameworkEvent | null {
  if (!EVENT_TYPES.has(type)) return null;
  const parsed = frameworkEventSchema.safeParse(parseJson(data));
  if (parsed.success) return parsed.data;
  throw new UnexpectedAnswerError(address, `an event that this client doesn't understand: ${data.slice(0, 200)}`);
}
