/**
 * Berth's API as functions: what is sent is typed, what comes back has been checked against the protocol's schemas. Portable:
 * the caller brings `fetch`, time and chance.
 */
import type { z } from 'zod';
import type { JobKey } from '../domain/ids.ts';
import { type JobExplanationView, jobExplanationSchema } from '../protocol/explanation.ts';
import type { JobSpecInput } from '../protocol/job.ts';
import type { StatePosition } from '../protocol/position.ts';
import {
  type EventView,
  type GoneNodeView,
  goneNodeViewSchema,
  type JobSummary,
  type JobVersionView,
  type JobView,
  jobSummarySchema,
  jobVersionViewSchema,
  jobViewSchema,
  type NodeView,
  nodeViewSchema,
  type Page,
  type PlanView,
  pageOf,
  planViewSchema,
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
import { randomId } from '../util/random.ts';
import { type EventFilter, followEvents, readEvents } from './events.ts';
import { type FrameworkCalls, frameworkCalls } from './frameworks.ts';
import { type LogEvent, type LogQuery, readLogs } from './logs.ts';
import { type MaintenanceCalls, maintenanceCalls } from './maintenance.ts';
import { type OfferCalls, offerCalls } from './offers.ts';
import { type ReservationCalls, reservationCalls, type VolumeCalls, volumeCalls } from './reservations.ts';
import { type RoleCalls, roleCalls, type SettingsCalls, settingsCalls } from './roles.ts';
import { type Answer, type ApiRequest, type ClientOptions, createTransport, type Transport } from './transport.ts';

export interface PageQuery {
  readonly limit?: number;
  readonly after?: string | null;
}

export interface JobQuery extends PageQuery {
  /** This role and those below it; absent: all that the token may see. */
  readonly role?: string | undefined;
  readonly state?: string | undefined;
}

export interface TaskQuery extends PageQuery {
  readonly job?: string | undefined;
  readonly framework?: string | undefined;
  readonly role?: string | undefined;
  readonly node?: string | undefined;
  /** States, or `live` for all that haven't ended. */
  readonly state?: readonly string[] | undefined;
}

/** What must be true of the job for a change to be made. */
export interface Precondition {
  /** Only if this is still the version that is wanted. */
  readonly ifVersion?: number | undefined;
  /** Only if there is no such job yet. */
  readonly onlyCreate?: boolean | undefined;
}

/** A request for a token, as it is written: what has a default may be left out. */
export type TokenRequestInput = z.input<typeof tokenRequestSchema>;

export interface BerthClient {
  readonly jobs: {
    submit(spec: JobSpecInput): Promise<Answer<JobView>>;
    put(spec: JobSpecInput, precondition?: Precondition): Promise<Answer<JobView>>;
    get(key: JobKey): Promise<Answer<JobView>>;
    list(query?: JobQuery): Promise<Page<JobSummary>>;
    stop(key: JobKey, options?: { reason?: string; ifVersion?: number }): Promise<Answer<JobView>>;
    remove(key: JobKey): Promise<Answer<JobView>>;
    versions(key: JobKey, query?: PageQuery): Promise<Page<JobVersionView>>;
    version(key: JobKey, version: number): Promise<JobVersionView>;
    plan(spec: JobSpecInput): Promise<PlanView>;
    /** Why it isn't as it is wanted. */
    explain(key: JobKey, query?: { task?: string | undefined }): Promise<JobExplanationView>;
  };
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
  readonly maintenance: MaintenanceCalls;
  readonly offers: OfferCalls;
  readonly frameworks: FrameworkCalls;
  readonly roles: RoleCalls;
  readonly reservations: ReservationCalls;
  readonly volumes: VolumeCalls;
  readonly settings: SettingsCalls;
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
    tasks: taskCalls(transport),
    nodes: nodeCalls(transport),
    maintenance: maintenanceCalls(transport),
    offers: offerCalls(transport),
    frameworks: frameworkCalls(transport),
    roles: roleCalls(transport),
    reservations: reservationCalls(transport),
    volumes: volumeCalls(transport),
    settings: settingsCalls(transport),
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

function jobCalls(transport: Transport): BerthClient['jobs'] {
  return {
    submit: (spec) => transport.call(post(transport, '/v1/jobs', spec), jobViewSchema),
    put: (spec, precondition = {}) => {
      const headers = preconditionHeaders(precondition);
      const key = { name: spec.name, role: spec.role ?? 'default' };
      // Without a condition a second time changes nothing. With one, a copy that arrived would make the next look refused.
      const repeat = Object.keys(headers).length === 0 ? 'safe' : 'unsent';
      return transport.call({ method: 'PUT', ...jobAt(key), body: spec, headers, repeat }, jobViewSchema);
    },
    get: (key) => transport.call({ method: 'GET', ...jobAt(key), repeat: 'safe' }, jobViewSchema),
    list: async (query = {}) =>
      (await transport.call({ ...get('/v1/jobs'), query: { ...query } }, pageOf(jobSummarySchema))).body,
    stop: (key, { reason, ifVersion } = {}) => {
      const { path, query } = jobAt(key, '/stop');
      const request = post(transport, path, reason === undefined ? {} : { reason });
      const headers = { ...request.headers, ...preconditionHeaders({ ifVersion }) };
      return transport.call({ ...request, query, headers }, jobViewSchema);
    },
    remove: (key) => transport.call({ method: 'DELETE', ...jobAt(key), repeat: 'safe' }, jobViewSchema),
    versions: async (key, page = {}) => {
      const { path, query } = jobAt(key, '/versions');
      return (await transport.call({ ...get(path), query: { ...query, ...page } }, pageOf(jobVersionViewSchema))).body;
    },
    version: async (key, version) =>
      (
        await transport.call(
          { method: 'GET', ...jobAt(key, `/versions/${version}`), repeat: 'safe' },
          jobVersionViewSchema,
        )
      ).body,
    explain: async (key, { task } = {}) => {
      const { path, query } = jobAt(key, '/explain');
      return (await transport.call({ ...get(path), query: { ...query, task } }, jobExplanationSchema)).body;
    },
    plan: async (spec) => (await transport.call(post(transport, '/v1/plan', spec), planViewSchema)).body,
  };
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

function get(path: string): ApiRequest {
  return { method: 'GET', path, repeat: 'safe' };
}

/** Every POST carries a key of its own, which makes all copies of it one call. */
function post(transport: Transport, path: string, body: unknown): ApiRequest {
  const headers = { 'Idempotency-Key': randomId(transport.options.random, 26) };
  return { method: 'POST', path, body, headers, repeat: 'safe' };
}

function jobAt(key: JobKey, below = ''): { path: string; query: { role: string } } {
  return { path: `/v1/jobs/${encodeURIComponent(key.name)}${below}`, query: { role: key.role } };
}

function preconditionHeaders({ ifVersion, onlyCreate }: Precondition): Record<string, string> {
  const headers: Record<string, string> = {};
  if (ifVersion !== undefined) headers['If-Match'] = `"${ifVersion}"`;
  if (onlyCreate === true) headers['If-None-Match'] = '*';
  return headers;
}
