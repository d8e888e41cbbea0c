/** Calls about jobs and their deployments. */
import type { JobKey } from '../domain/ids.ts';
import { type DeploymentView, deploymentViewSchema } from '../protocol/deployments.ts';
import { type JobExplanationView, jobExplanationSchema } from '../protocol/explanation.ts';
import type { JobSpecInput } from '../protocol/job.ts';
import { type ScaleRequest, type VersionChangesView, versionChangesSchema } from '../protocol/job-changes.ts';
import {
  type JobSummary,
  type JobVersionView,
  type JobView,
  jobSummarySchema,
  jobVersionViewSchema,
  jobViewSchema,
  type Page,
  type PlanView,
  pageOf,
  planViewSchema,
} from '../protocol/views.ts';
import { randomId } from '../util/random.ts';
import type { Answer, ApiRequest, Transport } from './transport.ts';

export interface PageQuery {
  readonly limit?: number;
  readonly after?: string | null;
}

export interface JobQuery extends PageQuery {
  /** This role and those below it; absent: all that the token may see. */
  readonly role?: string | undefined;
  readonly state?: string | undefined;
}

export interface DeploymentQuery extends PageQuery {
  /** The name or the uid of a job. */
  readonly job?: string | undefined;
  readonly role?: string | undefined;
  readonly state?: readonly string[] | undefined;
}

/** What must be true of the job for a change to be made. */
export interface Precondition {
  /** Only if this is still the version that is wanted. */
  readonly ifVersion?: number | undefined;
  /** Only if there is no such job yet. */
  readonly onlyCreate?: boolean | undefined;
}

export interface ChangeOptions extends Pick<Precondition, 'ifVersion'> {
  /** Cancels the deployment of the job that is under way. */
  readonly force?: boolean | undefined;
}

export interface JobCalls {
  submit(spec: JobSpecInput): Promise<Answer<JobView>>;
  put(spec: JobSpecInput, options?: Precondition & ChangeOptions): Promise<Answer<JobView>>;
  get(key: JobKey): Promise<Answer<JobView>>;
  list(query?: JobQuery): Promise<Page<JobSummary>>;
  stop(key: JobKey, options?: { reason?: string; ifVersion?: number }): Promise<Answer<JobView>>;
  remove(key: JobKey): Promise<Answer<JobView>>;
  /** How many tasks a group of a service is to have, or how many more. */
  scale(key: JobKey, wish: ScaleRequest, options?: ChangeOptions): Promise<Answer<JobView>>;
  /** Exchanges every task of a service for a new one that is made from the same. */
  restart(key: JobKey, options?: ChangeOptions): Promise<Answer<JobView>>;
  /** Stops all that runs of a service, and keeps it so until it is resumed. */
  suspend(key: JobKey, options?: ChangeOptions & { reason?: string }): Promise<Answer<JobView>>;
  resume(key: JobKey, options?: Pick<ChangeOptions, 'ifVersion'>): Promise<Answer<JobView>>;
  /** Wants again what an earlier version wanted; absent: the last that was rolled out with success, or the last other one. */
  revert(key: JobKey, options?: ChangeOptions & { version?: number | undefined }): Promise<Answer<JobView>>;
  /** Tasks of a service that wait, since others of their place have gone wrong, wait no longer. */
  retry(key: JobKey): Promise<Answer<JobView>>;
  versions(key: JobKey, query?: PageQuery): Promise<Page<JobVersionView>>;
  version(key: JobKey, version: number): Promise<JobVersionView>;
  /** What differs between two versions; `since` absent: the one before. */
  changes(key: JobKey, version: number, options?: { since?: number | undefined }): Promise<VersionChangesView>;
  deployments(key: JobKey, query?: PageQuery): Promise<Page<DeploymentView>>;
  plan(spec: JobSpecInput): Promise<PlanView>;
  /** Why it isn't as it is wanted. */
  explain(key: JobKey, query?: { task?: string | undefined }): Promise<JobExplanationView>;
}

export interface DeploymentCalls {
  list(query?: DeploymentQuery): Promise<Page<DeploymentView>>;
  get(id: string): Promise<DeploymentView>;
  /** Lets what has been tried out follow everywhere; with `force` even if not all of it is healthy. */
  promote(id: string, options?: { force?: boolean }): Promise<DeploymentView>;
  pause(id: string): Promise<DeploymentView>;
  resume(id: string): Promise<DeploymentView>;
  /** Ends it halfway; unless `revert` is false, what was wanted before is rolled out again. */
  abort(id: string, options?: { revert?: boolean }): Promise<DeploymentView>;
}

export function jobCalls(transport: Transport): JobCalls {
  return { ...writingCalls(transport), ...changingCalls(transport), ...readingCalls(transport) };
}

function writingCalls(transport: Transport): Pick<JobCalls, 'submit' | 'put' | 'stop' | 'remove'> {
  return {
    submit: (spec) => transport.call(post(transport, '/v1/jobs', spec), jobViewSchema),
    put: (spec, options = {}) => {
      const headers = preconditionHeaders(options);
      const { path, query } = jobAt({ name: spec.name, role: spec.role ?? 'default' });
      // Without a condition a second time changes nothing. With one, a copy that arrived would make the next look refused.
      const repeat = Object.keys(headers).length === 0 ? 'safe' : 'unsent';
      const request = {
        method: 'PUT',
        path,
        query: { ...query, ...forceOf(options) },
        body: spec,
        headers,
        repeat,
      } as const;
      return transport.call(request, jobViewSchema);
    },
    stop: (key, { reason, ifVersion } = {}) =>
      transport.call(
        changeAt(transport, key, { below: '/stop', body: reason === undefined ? {} : { reason }, ifVersion }),
        jobViewSchema,
      ),
    remove: (key) => transport.call({ method: 'DELETE', ...jobAt(key), repeat: 'safe' }, jobViewSchema),
  };
}

function changingCalls(
  transport: Transport,
): Pick<JobCalls, 'scale' | 'restart' | 'suspend' | 'resume' | 'revert' | 'retry'> {
  const change = (key: JobKey, below: string, { body = {}, ...options }: ChangeOptions & { body?: object } = {}) =>
    transport.call(changeAt(transport, key, { below, body, ...options }), jobViewSchema);
  return {
    scale: (key, body, options = {}) => change(key, '/scale', { body, ...options }),
    restart: (key, options = {}) => change(key, '/restart', options),
    suspend: (key, { reason, ...options } = {}) =>
      change(key, '/suspend', { body: reason === undefined ? {} : { reason }, ...options }),
    resume: (key, options = {}) => change(key, '/resume', options),
    revert: (key, { version, ...options } = {}) =>
      change(key, '/revert', { body: version === undefined ? {} : { version }, ...options }),
    retry: (key) => change(key, '/retry'),
  };
}

function readingCalls(
  transport: Transport,
): Pick<JobCalls, 'get' | 'list' | 'versions' | 'version' | 'changes' | 'deployments' | 'plan' | 'explain'> {
  const at = (key: JobKey, below: string, query: object = {}): ApiRequest => {
    const { path, query: role } = jobAt(key, below);
    return { ...get(path), query: { ...role, ...query } };
  };
  return {
    get: (key) => transport.call(at(key, ''), jobViewSchema),
    list: async (query = {}) =>
      (await transport.call({ ...get('/v1/jobs'), query: { ...query } }, pageOf(jobSummarySchema))).body,
    versions: async (key, page = {}) =>
      (await transport.call(at(key, '/versions', page), pageOf(jobVersionViewSchema))).body,
    version: async (key, version) => (await transport.call(at(key, `/versions/${version}`), jobVersionViewSchema)).body,
    changes: async (key, version, { since } = {}) =>
      (await transport.call(at(key, `/versions/${version}/changes`, { since }), versionChangesSchema)).body,
    deployments: async (key, page = {}) =>
      (await transport.call(at(key, '/deployments', page), pageOf(deploymentViewSchema))).body,
    explain: async (key, { task } = {}) => {
      const { path, query } = jobAt(key, '/explain');
      return (await transport.call({ ...get(path), query: { ...query, task } }, jobExplanationSchema)).body;
    },
    plan: async (spec) => (await transport.call(post(transport, '/v1/plan', spec), planViewSchema)).body,
  };
}

export function deploymentCalls(transport: Transport): DeploymentCalls {
  const at = (id: string, below = '') => `/v1/deployments/${encodeURIComponent(id)}${below}`;
  const change = async (id: string, below: string, { body = {}, query = {} }: { body?: object; query?: object } = {}) =>
    (await transport.call({ ...post(transport, at(id, below), body), query: { ...query } }, deploymentViewSchema)).body;
  return {
    list: async (query = {}) =>
      (await transport.call({ ...get('/v1/deployments'), query: { ...query } }, pageOf(deploymentViewSchema))).body,
    get: async (id) => (await transport.call(get(at(id)), deploymentViewSchema)).body,
    promote: (id, options = {}) => change(id, '/promote', { query: forceOf(options) }),
    pause: (id) => change(id, '/pause'),
    resume: (id) => change(id, '/resume'),
    abort: (id, { revert } = {}) => change(id, '/abort', { body: revert === undefined ? {} : { revert } }),
  };
}

function changeAt(
  transport: Transport,
  key: JobKey,
  { below, body, ...options }: ChangeOptions & { readonly below: string; readonly body: object },
): ApiRequest {
  const { path, query } = jobAt(key, below);
  const request = post(transport, path, body);
  return {
    ...request,
    query: { ...query, ...forceOf(options) },
    headers: { ...request.headers, ...preconditionHeaders(options) },
  };
}

function forceOf({ force }: { readonly force?: boolean | undefined }): { force?: string } {
  return force === true ? { force: 'true' } : {};
}

export function get(path: string): ApiRequest {
  return { method: 'GET', path, repeat: 'safe' };
}

/** Every POST carries a key of its own, which makes all copies of it one call. */
export function post(transport: Transport, path: string, body: unknown): ApiRequest {
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
