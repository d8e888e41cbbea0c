/**
 * Berth's API as functions: what is sent is typed, what comes back has been checked against the protocol's schemas. Portable:
 * the caller brings `fetch`, time and chance.
 */
import type { z } from 'zod';
import type { StatePosition } from '../protocol/position.ts';
import {
  type EventView,
  type GoneNodeView,
  goneNodeViewSchema,
  type NodeView,
  nodeViewSchema,
  type Page,
  pageOf,
  type RecoveryView,
  recoveryViewSchema,
  type StatusView,
  statusViewSchema,
  type TaskView,
  type TokenView,
  taskViewSchema,
  type tokenRequestSchema,
  tokenViewSchema,
} from '../protocol/views.ts';
import { type AuditCalls, auditCalls } from './audit.ts';
import { type KeyCalls, keyCalls, type TokenCalls, tokenCalls } from './credentials.ts';
import { type EndpointCalls, endpointCalls } from './endpoints.ts';
import { type EventFilter, followEvents, readEvents } from './events.ts';
import { type FrameworkCalls, frameworkCalls } from './frameworks.ts';
import { type DeploymentCalls, deploymentCalls, get, type JobCalls, jobCalls, type PageQuery, post } from './jobs.ts';
import { type LogEvent, type LogQuery, readLogs } from './logs.ts';
import { type MaintenanceCalls, maintenanceCalls } from './maintenance.ts';
import { type OfferCalls, offerCalls } from './offers.ts';
import { type AuthCalls, authCalls, type PolicyCalls, policyCalls } from './policies.ts';
import { type ReservationCalls, reservationCalls, type VolumeCalls, volumeCalls } from './reservations.ts';
import { type RoleCalls, roleCalls, type SettingsCalls, settingsCalls } from './roles.ts';
import { type SecretCalls, secretCalls } from './secrets.ts';
import { type ApiRequest, type ClientOptions, createTransport, type Transport } from './transport.ts';

export type { ChangeOptions, DeploymentQuery, JobQuery, PageQuery, Precondition } from './jobs.ts';

export interface TaskQuery extends PageQuery {
  readonly job?: string | undefined;
  readonly framework?: string | undefined;
  readonly role?: string | undefined;
  readonly node?: string | undefined;
  /** States, or `live` for all that haven't ended. */
  readonly state?: readonly string[] | undefined;
}

/** A request for a token, as it is written: what has a default may be left out. */
export type TokenRequestInput = z.input<typeof tokenRequestSchema>;

export interface BerthClient {
  readonly jobs: JobCalls;
  readonly deployments: DeploymentCalls;
  readonly tasks: {
    list(query?: TaskQuery): Promise<Page<TaskView>>;
    get(id: string): Promise<TaskView>;
    stop(id: string, options?: { reason?: string }): Promise<TaskView>;
    logs(id: string, query: LogQuery): AsyncGenerator<LogEvent, void>;
  };
  readonly nodes: {
    list(query?: PageQuery & { state?: string | undefined }): Promise<Page<NodeView>>;
    get(id: string): Promise<NodeView>;
    drain(id: string, options: { deadlineSeconds: number | null; graceSecondsMax?: number | null }): Promise<NodeView>;
    undrain(id: string): Promise<NodeView>;
    setEligibility(id: string, options: { eligible: boolean }): Promise<NodeView>;
    /** Says that nothing runs there any more. Its tasks end as lost; it is no longer a node. */
    declareGone(id: string): Promise<GoneNodeView>;
    /** Asks for the end of what the node keeps aside: of these tasks, or of all. */
    stopKeptAside(id: string, options?: { tasks?: readonly string[]; reason?: string }): Promise<NodeView>;
  };
  readonly endpoints: EndpointCalls;
  readonly maintenance: MaintenanceCalls;
  readonly offers: OfferCalls;
  readonly frameworks: FrameworkCalls;
  readonly roles: RoleCalls;
  readonly secrets: SecretCalls;
  readonly reservations: ReservationCalls;
  readonly volumes: VolumeCalls;
  readonly settings: SettingsCalls;
  readonly policies: PolicyCalls;
  readonly auth: AuthCalls;
  readonly audit: AuditCalls;
  readonly tokens: TokenCalls;
  readonly keys: KeyCalls;
  /** Every event after a revision, for ever, over as many connections as it takes. */
  events(filter: EventFilter): AsyncGenerator<EventView, void>;
  /** What is remembered of what happened after a revision, and no more. Throws as `events` does. */
  recentEvents(query: Omit<EventFilter, 'signal'>): AsyncGenerator<EventView, void>;
  status(): Promise<StatusView>;
  createToken(request: TokenRequestInput): Promise<TokenView>;
  /**
   * How far any answer so far has shown the state; null before the first. A call after the cluster was recovered from an older
   * state throws an ApiError with the code `history-changed`, once: what was seen before may never have happened.
   */
  position(): StatePosition | null;
  /** After the store was restored from an older snapshot: raises the incarnation, so that everybody accepts the older state. */
  recover(): Promise<RecoveryView>;
}

export function createClient(options: ClientOptions): BerthClient {
  const transport = createTransport(options);
  return {
    jobs: jobCalls(transport),
    deployments: deploymentCalls(transport),
    tasks: taskCalls(transport),
    nodes: nodeCalls(transport),
    endpoints: endpointCalls(transport),
    maintenance: maintenanceCalls(transport),
    offers: offerCalls(transport),
    frameworks: frameworkCalls(transport),
    roles: roleCalls(transport),
    secrets: secretCalls(transport),
    reservations: reservationCalls(transport),
    volumes: volumeCalls(transport),
    settings: settingsCalls(transport),
    policies: policyCalls(transport),
    auth: authCalls(transport),
    audit: auditCalls(transport),
    tokens: tokenCalls(transport),
    keys: keyCalls(transport),
    events: (filter) => followEvents(transport, filter),
    recentEvents: (query) => readEvents(transport, query),
    status: async () => (await transport.call(get('/v1/status'), statusViewSchema)).body,
    createToken: async (request) =>
      (await transport.call(post(transport, '/v1/tokens', request), tokenViewSchema)).body,
    position: () => transport.position(),
    recover: async () => (await transport.call(post(transport, '/v1/cluster/recover', {}), recoveryViewSchema)).body,
  };
}

/** A list is read to its end in pages of this many. */
const PAGE_SIZE = 1000;
/** Ten million items: a server that pages without end is broken. */
const PAGES_MAX = 10_000;

/** Reads page after page until the last, or until `itemsMax` items. */
export async function* allPages<T>(list: (query: PageQuery) => Promise<Page<T>>): AsyncGenerator<T, void> {
  let after: string | null = null;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const { items, next }: Page<T> = await list({ limit: PAGE_SIZE, after });
    yield* items;
    if (next === null) return;
    after = next;
  }
}

function taskCalls(transport: Transport): BerthClient['tasks'] {
  return {
    list: async (query = {}) =>
      (await transport.call({ ...get('/v1/tasks'), query: { ...query } }, pageOf(taskViewSchema))).body,
    get: async (id) => (await transport.call(get(`/v1/tasks/${encodeURIComponent(id)}`), taskViewSchema)).body,
    stop: async (id, { reason } = {}) => {
      const request = post(
        transport,
        `/v1/tasks/${encodeURIComponent(id)}/stop`,
        reason === undefined ? {} : { reason },
      );
      return (await transport.call(request, taskViewSchema)).body;
    },
    logs: (id, query) => readLogs(transport, id, query),
  };
}

function nodeCalls(transport: Transport): BerthClient['nodes'] {
  const at = (id: string, below = '') => `/v1/nodes/${encodeURIComponent(id)}${below}`;
  return {
    list: async (query = {}) =>
      (await transport.call({ ...get('/v1/nodes'), query: { ...query } }, pageOf(nodeViewSchema))).body,
    get: async (id) => (await transport.call(get(at(id)), nodeViewSchema)).body,
    drain: async (id, options) =>
      (await transport.call(post(transport, at(id, '/drain'), options), nodeViewSchema)).body,
    undrain: async (id) =>
      (await transport.call({ method: 'DELETE', path: at(id, '/drain'), repeat: 'safe' }, nodeViewSchema)).body,
    setEligibility: async (id, options) => {
      const request: ApiRequest = { method: 'PUT', path: at(id, '/eligibility'), body: options, repeat: 'safe' };
      return (await transport.call(request, nodeViewSchema)).body;
    },
    declareGone: async (id) =>
      (await transport.call(post(transport, at(id, '/gone'), undefined), goneNodeViewSchema)).body,
    stopKeptAside: async (id, options = {}) =>
      (await transport.call(post(transport, at(id, '/kept-aside/stop'), options), nodeViewSchema)).body,
  };
}
