/**
 * One request for each route, by names of things that may be another role's or not be there at all. Walks over all routes hold this
 * list against what the replica serves: a route that has no sample here fails them.
 */

import type { Principal } from '../../control-plane/auth/principal.ts';
import { CALL_TYPES, type CallType } from '../../control-plane/facade-mesos/wire/call.ts';
import { OPERATOR_CALL_TYPES, type OperatorCallType } from '../../control-plane/facade-mesos/wire/operator-call.ts';

/** Of things in one role, whether or not there are such. */
export interface Names {
  readonly role: string;
  readonly job: string;
  readonly task: string;
  readonly deployment: string;
  readonly framework: string;
  readonly offer: string;
  readonly launched: string;
  readonly reservation: string;
  readonly volume: string;
}

/**
 * What becomes of it with a token of another role. `hidden`: it names one thing, and is answered as if that weren't there. `refused`: it
 * would put something into the role, or depend on it, and is refused whatever is there. `own`: it answers with what the token reaches
 * and no more. `cluster`: it is about what belongs to no role.
 */
export type Fate = 'hidden' | 'refused' | 'own' | 'cluster';

export interface RouteSample {
  /** As the OpenAPI document has it; of the door for Mesos's clients its type of call, or its path without `/master`. */
  readonly route: string;
  readonly method: string;
  readonly admits: readonly Principal['kind'][];
  readonly fate: Fate;
  readonly path: (names: Names) => string;
  readonly body?: (names: Names) => unknown;
  /** Sent as a form. */
  readonly form?: (names: Names) => Record<string, string>;
}

const POLICY = {
  issuer: 'https://ci.example.com',
  audience: 'berth',
  rules: [{ claims: { repository_id: '1234' }, roles: ['eng'], actions: ['job:read'] }],
};

/** There is one node, and it belongs to no role. */
export const NODE = 'edge-1';

type Made = Omit<RouteSample, 'route' | 'method' | 'admits' | 'fate' | 'path'> & {
  readonly query?: (names: Names) => string;
};

function sample(fate: Fate, route: string, { query, ...rest }: Made = {}): RouteSample {
  const [method = '', path = ''] = route.split(' ');
  const admits: RouteSample['admits'] = admitsOf(path);
  return { route, method, admits, fate, path: (names) => `${filled(path, names)}${query?.(names) ?? ''}`, ...rest };
}

function admitsOf(path: string): RouteSample['admits'] {
  if (path === '/v1/auth/whoami') return ['user', 'join', 'node', 'peer'];
  return path.startsWith('/v1/agent/')
    ? path.endsWith('/register')
      ? ['join', 'node']
      : ['node']
    : path.startsWith('/v1/peer/')
      ? ['peer']
      : ['user'];
}

function filled(path: string, names: Names): string {
  const id = path.includes('/deployments/')
    ? names.deployment
    : path.includes('/tasks/')
      ? names.task
      : path.includes('/frameworks/')
        ? names.framework
        : NODE;
  return path
    .replace('{name}', path.startsWith('/v1/policies/') ? 'ci' : names.job)
    .replace('{version}', '1')
    .replace('{path}', names.role)
    .replace('{reservation}', names.reservation)
    .replace('{volume}', names.volume)
    .replace('{id}', id);
}

const inRole = { query: ({ role }: Names) => `?role=${role}` };
const job = (names: Names, change: object = {}) => ({
  name: names.job,
  role: names.role,
  groups: [{ image: 'x' }],
  ...change,
});

export const API_SAMPLES: readonly RouteSample[] = [
  sample('refused', 'POST /v1/jobs', { body: job }),
  sample('own', 'GET /v1/jobs'),
  sample('refused', 'PUT /v1/jobs/{name}', { ...inRole, body: job }),
  sample('hidden', 'DELETE /v1/jobs/{name}', inRole),
  sample('hidden', 'GET /v1/jobs/{name}', inRole),
  sample('hidden', 'POST /v1/jobs/{name}/stop', inRole),
  sample('hidden', 'GET /v1/jobs/{name}/versions', inRole),
  sample('hidden', 'GET /v1/jobs/{name}/versions/{version}', inRole),
  sample('hidden', 'GET /v1/jobs/{name}/versions/{version}/changes', { query: ({ role }) => `?role=${role}&since=1` }),
  sample('refused', 'POST /v1/plan', { body: job }),
  sample('hidden', 'POST /v1/jobs/{name}/scale', { ...inRole, body: () => ({ count: 2 }) }),
  sample('hidden', 'POST /v1/jobs/{name}/restart', inRole),
  sample('hidden', 'POST /v1/jobs/{name}/revert', inRole),
  sample('hidden', 'POST /v1/jobs/{name}/suspend', inRole),
  sample('hidden', 'POST /v1/jobs/{name}/resume', inRole),
  sample('hidden', 'POST /v1/jobs/{name}/retry', inRole),
  sample('hidden', 'GET /v1/jobs/{name}/deployments', inRole),
  sample('hidden', 'GET /v1/jobs/{name}/explain', inRole),
  sample('own', 'GET /v1/deployments'),
  sample('hidden', 'GET /v1/deployments/{id}'),
  sample('hidden', 'POST /v1/deployments/{id}/promote'),
  sample('hidden', 'POST /v1/deployments/{id}/pause'),
  sample('hidden', 'POST /v1/deployments/{id}/resume'),
  sample('hidden', 'POST /v1/deployments/{id}/abort'),
  sample('own', 'GET /v1/tasks'),
  sample('hidden', 'GET /v1/tasks/{id}'),
  sample('hidden', 'POST /v1/tasks/{id}/stop'),
  sample('hidden', 'GET /v1/tasks/{id}/logs'),
  sample('cluster', 'GET /v1/nodes'),
  sample('cluster', 'GET /v1/nodes/{id}'),
  sample('cluster', 'POST /v1/nodes/{id}/drain'),
  sample('cluster', 'DELETE /v1/nodes/{id}/drain'),
  sample('cluster', 'POST /v1/nodes/{id}/kept-aside/stop'),
  sample('cluster', 'PUT /v1/nodes/{id}/eligibility', { body: () => ({ eligible: true }) }),
  sample('cluster', 'POST /v1/nodes/{id}/gone'),
  sample('cluster', 'GET /v1/maintenance'),
  sample('cluster', 'PUT /v1/nodes/{id}/maintenance', { body: () => ({ startsAt: '2040-01-01T00:00:00Z' }) }),
  sample('cluster', 'DELETE /v1/nodes/{id}/maintenance'),
  sample('own', 'GET /v1/roles'),
  sample('own', 'GET /v1/secrets'),
  sample('hidden', 'GET /v1/secrets/{name}', inRole),
  sample('refused', 'PUT /v1/secrets/{name}', { ...inRole, body: () => ({ value: 'x' }) }),
  sample('hidden', 'DELETE /v1/secrets/{name}', inRole),
  sample('cluster', 'POST /v1/cluster/reseal'),
  sample('hidden', 'GET /v1/roles/{path}'),
  sample('hidden', 'PUT /v1/roles/{path}', { body: () => ({ weight: 2 }) }),
  sample('hidden', 'DELETE /v1/roles/{path}'),
  sample('cluster', 'GET /v1/settings'),
  sample('cluster', 'PUT /v1/settings', { body: () => ({}) }),
  sample('own', 'GET /v1/reservations'),
  sample('own', 'GET /v1/nodes/{id}/reservations'),
  sample('refused', 'POST /v1/nodes/{id}/reservations', {
    body: ({ role, reservation }) => ({ id: reservation, role, amounts: { cpus: 0.1 } }),
  }),
  sample('hidden', 'DELETE /v1/nodes/{id}/reservations/{reservation}'),
  sample('own', 'GET /v1/volumes'),
  sample('own', 'GET /v1/nodes/{id}/volumes'),
  sample('hidden', 'POST /v1/nodes/{id}/volumes', { body: ({ reservation }) => ({ reservation, sizeMiB: 1 }) }),
  sample('hidden', 'DELETE /v1/nodes/{id}/volumes/{volume}'),
  sample('refused', 'POST /v1/frameworks', { body: ({ role }) => ({ name: 'painter', roles: [role] }) }),
  sample('own', 'GET /v1/frameworks'),
  sample('hidden', 'GET /v1/frameworks/{id}'),
  sample('hidden', 'PUT /v1/frameworks/{id}', { body: () => ({ session: 1, name: 'painter', roles: ['other'] }) }),
  sample('hidden', 'DELETE /v1/frameworks/{id}'),
  sample('hidden', 'GET /v1/frameworks/{id}/events', { query: () => '?session=1' }),
  sample('hidden', 'POST /v1/frameworks/{id}/kill', { body: ({ launched }) => ({ session: 1, task: launched }) }),
  sample('hidden', 'POST /v1/frameworks/{id}/acknowledge', {
    body: ({ task }) => ({ session: 1, updates: [`${task}:1`] }),
  }),
  sample('hidden', 'POST /v1/frameworks/{id}/messages', {
    body: ({ launched }) => ({ session: 1, task: launched, data: 'aGk=' }),
  }),
  sample('hidden', 'POST /v1/frameworks/{id}/reconcile', {
    body: ({ launched }) => ({ session: 1, tasks: [launched] }),
  }),
  sample('hidden', 'POST /v1/frameworks/{id}/operations/acknowledge', {
    body: () => ({ session: 1, operations: [`p${'a'.repeat(16)}`] }),
  }),
  sample('hidden', 'POST /v1/frameworks/{id}/operations/reconcile', { body: () => ({ session: 1 }) }),
  sample('hidden', 'POST /v1/frameworks/{id}/accept', {
    body: ({ offer }) => ({ session: 1, offers: [offer], operations: [] }),
  }),
  sample('hidden', 'POST /v1/frameworks/{id}/decline', { body: ({ offer }) => ({ session: 1, offers: [offer] }) }),
  sample('hidden', 'POST /v1/frameworks/{id}/revive', { body: () => ({ session: 1 }) }),
  sample('hidden', 'POST /v1/frameworks/{id}/suppress', { body: () => ({ session: 1 }) }),
  sample('hidden', 'POST /v1/frameworks/{id}/maintenance', {
    body: () => ({ session: 1, notice: 'n', answer: 'accepts' }),
  }),
  sample('own', 'GET /v1/offers'),
  sample('own', 'GET /v1/endpoints'),
  sample('own', 'GET /v1/endpoints/watch'),
  sample('own', 'GET /v1/events'),
  sample('own', 'GET /v1/audit'),
  sample('cluster', 'GET /v1/status'),
  sample('cluster', 'POST /v1/cluster/recover'),
  sample('cluster', 'POST /v1/tokens', { body: () => ({ subject: 'x', actions: [], roles: [] }) }),
  sample('cluster', 'GET /v1/auth/whoami'),
  sample('cluster', 'POST /v1/auth/test', { body: () => ({ claims: { iss: 'https://example.test', sub: 'x' } }) }),
  sample('cluster', 'GET /v1/policies'),
  sample('cluster', 'GET /v1/policies/{name}'),
  sample('cluster', 'PUT /v1/policies/{name}', { body: () => POLICY }),
  sample('cluster', 'DELETE /v1/policies/{name}'),
  sample('cluster', 'GET /v1/tokens'),
  sample('cluster', 'POST /v1/tokens/revoke', { body: () => ({ subject: 'x', reason: 'lost' }) }),
  sample('cluster', 'POST /v1/tokens/{id}/revoke', { body: () => ({ reason: 'lost' }) }),
  sample('cluster', 'GET /v1/keys'),
  sample('cluster', 'POST /v1/keys/rotate', { body: () => ({}) }),
  sample('cluster', 'POST /v1/keys/{kid}/retire', { body: () => ({ now: true, reason: 'leaked' }) }),
  sample('cluster', 'GET /metrics'),
  sample('cluster', 'POST /v1/agent/register', { body: () => ({}) }),
  sample('cluster', 'POST /v1/agent/heartbeat', { body: () => ({ sentAtMs: 1 }) }),
  sample('cluster', 'GET /v1/agent/assignment'),
  sample('cluster', 'POST /v1/agent/statuses', { body: () => ({ statuses: [], released: [] }) }),
  sample('cluster', 'POST /v1/agent/messages', { body: () => ({ taken: [], said: [] }) }),
  sample('cluster', 'POST /v1/agent/tasks/{id}/secrets'),
  sample('cluster', 'POST /v1/agent/tasks/{id}/identity'),
  sample('cluster', 'POST /v1/agent/streams/{id}'),
  sample('cluster', 'POST /v1/peer/streams/{id}'),
  sample('cluster', 'POST /v1/peer/frameworks/{id}/asked', { body: () => ({ tasks: null }) }),
  sample('cluster', 'POST /v1/peer/frameworks/{id}/told', { body: () => ({ events: [] }) }),
];

/** What needs no token: it is the same for everybody, and says nothing of what the cluster holds. */
export const OPEN_ROUTES: readonly string[] = [
  'GET /healthz',
  'GET /readyz',
  'GET /.well-known/jwks.json',
  'GET /openapi.json',
  'GET /docs',
  'GET /.well-known/openid-configuration',
  'POST /v1/auth/exchange',
  'GET /v1/auth/logins',
  '/version',
  '/health',
  '/redirect',
];

function door(fate: Fate, method: string, path: string, rest: Omit<Made, 'query'> = {}, at = path): RouteSample {
  return { route: path, method, admits: ['user'], fate, path: () => at, ...rest };
}

const agent = { value: NODE };
const reserved = ({ role, reservation }: Names) => ({
  provider_id: { value: 'x' },
  name: 'cpus',
  type: 'SCALAR',
  scalar: { value: 0.1 },
  reservations: [{ type: 'DYNAMIC', role, principal: reservation }],
});
const disk = ({ role, volume, reservation }: Names) => ({
  name: 'disk',
  type: 'SCALAR',
  scalar: { value: 10 },
  reservations: [{ type: 'DYNAMIC', role, principal: reservation }],
  disk: { persistence: { id: volume, principal: 'x' }, volume: { mode: 'RW', container_path: 'data' } },
});
const window = { machine_ids: [{ hostname: `${NODE}.example` }], unavailability: { start: { nanoseconds: 4e18 } } };

/** Each path of the door, without `/master` before it, and without `/` or `.json` behind it. */
export const DOOR_SAMPLES: readonly RouteSample[] = [
  ...['/state', '/state-summary', '/slaves', '/frameworks', '/tasks', '/roles', '/weights', '/quota'].map((path) =>
    door('own', 'GET', path),
  ),
  ...['/flags', '/metrics/snapshot', '/maintenance/schedule', '/maintenance/status'].map((path) =>
    door('cluster', 'GET', path),
  ),
  door('own', 'GET', '/slaves/:id', {}, `/slaves/${NODE}`),
  door('hidden', 'POST', '/teardown', { form: ({ framework }) => ({ frameworkId: framework }) }),
  { ...door('hidden', 'DELETE', '/quota/*'), path: ({ role }) => `/quota/${role}` },
  door('refused', 'POST', '/reserve', {
    form: (names) => ({ slaveId: NODE, resources: JSON.stringify([reserved(names)]) }),
  }),
  door('hidden', 'POST', '/unreserve', {
    form: (names) => ({ slaveId: NODE, resources: JSON.stringify([reserved(names)]) }),
  }),
  door('hidden', 'POST', '/create-volumes', {
    form: (names) => ({ slaveId: NODE, volumes: JSON.stringify([disk(names)]) }),
  }),
  door('hidden', 'POST', '/destroy-volumes', {
    form: (names) => ({ slaveId: NODE, volumes: JSON.stringify([disk(names)]) }),
  }),
  door('cluster', 'POST', '/machine/down', { body: () => [{ hostname: `${NODE}.example` }] }),
  door('cluster', 'POST', '/machine/up', { body: () => [{ hostname: `${NODE}.example` }] }),
];

const operator = (fate: Fate, type: OperatorCallType, body: (names: Names) => object = () => ({})): RouteSample =>
  door(fate, 'POST', type, { body: (names) => ({ type, ...body(names) }) }, '/api/v1');

/** What isn't done at all, and is the same for everybody who comes with a token. */
const NOT_DONE = ['UNKNOWN', 'SET_LOGGING_LEVEL', 'LIST_FILES', 'READ_FILE', 'GROW_VOLUME', 'SHRINK_VOLUME'] as const;
const SAID_OF_ALL = ['GET_HEALTH', 'GET_VERSION', 'GET_LOGGING_LEVEL', 'GET_MASTER'] as const;
const LISTS = [
  'GET_STATE',
  'GET_AGENTS',
  'GET_FRAMEWORKS',
  'GET_EXECUTORS',
  'GET_OPERATIONS',
  'GET_TASKS',
  'GET_ROLES',
  'GET_WEIGHTS',
  'GET_QUOTA',
  'SUBSCRIBE',
] as const;

/** Each type of an operator's call. */
export const OPERATOR_SAMPLES: Readonly<Record<OperatorCallType, RouteSample>> = byRoute<OperatorCallType>(
  [
    ...[...NOT_DONE, ...SAID_OF_ALL].map((type) => operator('own', type)),
    ...LISTS.map((type) => operator('own', type)),
    ...(['GET_FLAGS', 'GET_MAINTENANCE_STATUS', 'GET_MAINTENANCE_SCHEDULE'] as const).map((type) =>
      operator('cluster', type),
    ),
    operator('cluster', 'GET_METRICS', () => ({ get_metrics: {} })),
    operator('hidden', 'UPDATE_WEIGHTS', ({ role }) => ({ update_weights: { weight_infos: [{ role, weight: 2 }] } })),
    operator('hidden', 'UPDATE_QUOTA', ({ role }) => ({
      update_quota: { quota_configs: [{ role, limits: { cpus: { value: 1 } } }] },
    })),
    operator('hidden', 'SET_QUOTA', ({ role }) => ({
      set_quota: { quota_request: { role, guarantee: [{ name: 'cpus', type: 'SCALAR', scalar: { value: 1 } }] } },
    })),
    operator('hidden', 'REMOVE_QUOTA', ({ role }) => ({ remove_quota: { role } })),
    operator('hidden', 'TEARDOWN', ({ framework }) => ({ teardown: { framework_id: { value: framework } } })),
    operator('refused', 'RESERVE_RESOURCES', (names) => ({
      reserve_resources: { agent_id: agent, resources: [reserved(names)] },
    })),
    operator('hidden', 'UNRESERVE_RESOURCES', (names) => ({
      unreserve_resources: { agent_id: agent, resources: [reserved(names)] },
    })),
    operator('hidden', 'CREATE_VOLUMES', (names) => ({ create_volumes: { agent_id: agent, volumes: [disk(names)] } })),
    operator('hidden', 'DESTROY_VOLUMES', (names) => ({
      destroy_volumes: { agent_id: agent, volumes: [disk(names)] },
    })),
    operator('cluster', 'DRAIN_AGENT', () => ({ drain_agent: { agent_id: agent } })),
    operator('cluster', 'DEACTIVATE_AGENT', () => ({ deactivate_agent: { agent_id: agent } })),
    operator('cluster', 'REACTIVATE_AGENT', () => ({ reactivate_agent: { agent_id: agent } })),
    operator('cluster', 'MARK_AGENT_GONE', () => ({ mark_agent_gone: { agent_id: agent } })),
    operator('cluster', 'UPDATE_MAINTENANCE_SCHEDULE', () => ({
      update_maintenance_schedule: { schedule: { windows: [window] } },
    })),
    operator('cluster', 'START_MAINTENANCE', () => ({ start_maintenance: { machines: window.machine_ids } })),
    operator('cluster', 'STOP_MAINTENANCE', () => ({ stop_maintenance: { machines: window.machine_ids } })),
  ],
  OPERATOR_CALL_TYPES,
);

const scheduler = (type: CallType, body: (names: Names) => object = () => ({})): RouteSample =>
  door(
    'hidden',
    'POST',
    type,
    { body: (names) => ({ type, framework_id: { value: names.framework }, ...body(names) }) },
    '/api/v1/scheduler',
  );
const info = ({ role }: Names) => ({
  framework_info: { user: 'root', name: 'painter', roles: [role], capabilities: [{ type: 'MULTI_ROLE' }] },
});

/** Each type of a framework's call. */
export const SCHEDULER_SAMPLES: Readonly<Record<CallType, RouteSample>> = byRoute<CallType>(
  [
    ...(['UNKNOWN', 'TEARDOWN', 'REVIVE', 'SUPPRESS', 'REQUEST', 'RECONCILE_OPERATIONS'] as const).map((type) =>
      scheduler(type, () => ({ request: { requests: [] }, reconcile_operations: { operations: [] } })),
    ),
    {
      ...door('refused', 'POST', 'SUBSCRIBE', {}, '/api/v1/scheduler'),
      body: (names) => ({ type: 'SUBSCRIBE', subscribe: info(names) }),
    },
    scheduler('UPDATE_FRAMEWORK', (names) => ({ update_framework: info(names) })),
    scheduler('ACCEPT', ({ offer }) => ({ accept: { offer_ids: [{ value: offer }] } })),
    scheduler('DECLINE', ({ offer }) => ({ decline: { offer_ids: [{ value: offer }] } })),
    scheduler('ACCEPT_INVERSE_OFFERS', () => ({ accept_inverse_offers: { inverse_offer_ids: [{ value: 'n' }] } })),
    scheduler('DECLINE_INVERSE_OFFERS', () => ({ decline_inverse_offers: { inverse_offer_ids: [{ value: 'n' }] } })),
    scheduler('KILL', ({ launched }) => ({ kill: { task_id: { value: launched } } })),
    scheduler('SHUTDOWN', ({ launched }) => ({ shutdown: { executor_id: { value: launched }, agent_id: agent } })),
    scheduler('ACKNOWLEDGE', ({ launched }) => ({
      acknowledge: { agent_id: agent, task_id: { value: launched }, uuid: 'AAAAAAAAAAAAAAAAAAAAAA==' },
    })),
    scheduler('ACKNOWLEDGE_OPERATION_STATUS', () => ({
      acknowledge_operation_status: { agent_id: agent, uuid: 'AAAAAAAAAAAAAAAAAAAAAA==', operation_id: { value: 'o' } },
    })),
    scheduler('RECONCILE', ({ launched }) => ({ reconcile: { tasks: [{ task_id: { value: launched } }] } })),
    scheduler('MESSAGE', ({ launched }) => ({
      message: { agent_id: agent, executor_id: { value: launched }, data: 'aGk=' },
    })),
  ],
  CALL_TYPES,
);

/** Throws for a type of call without a sample. */
function byRoute<T extends string>(samples: readonly RouteSample[], types: readonly T[]): Record<T, RouteSample> {
  const known = new Map(samples.map((one) => [one.route, one]));
  return Object.fromEntries(
    types.map((type) => {
      const found = known.get(type);
      if (found === undefined)
        throw new Error(`the call ${type} has no sample; add one to tests/support/route-samples.ts`);
      return [type, found];
    }),
  ) as Record<T, RouteSample>;
}
