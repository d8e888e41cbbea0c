/** What the conversations have in common: what clients say of themselves and of tasks, and the records that all of them hear. */
import type { ClientName } from './clients.ts';
import type { Turn } from './conversation.ts';

const UNSET_CALLS = {
  ...{ accept: null, decline: null, kill: null, shutdown: null, acknowledge: null },
  ...{ reconcile: null, message: null, request: null },
};

/** What `mesos-framework` says of everything that it doesn't: that it is null. */
export function withNulls(call: object): object {
  return { framework_id: null, type: null, subscribe: null, ...UNSET_CALLS, ...call };
}

const PLAIN = { user: 'root', name: 'painter', failover_timeout: 60 };

const INFOS: Readonly<Record<ClientName, object>> = {
  'mesos-framework': {
    ...{ user: 'root', name: 'painter', id: null, failover_timeout: 604_800, checkpoint: null, role: null },
    ...{ hostname: null, principal: null, webui_url: null, capabilities: null, labels: null },
  },
  pymesos: { ...PLAIN, principal: 'painter', capabilities: [{ type: 'GPU_RESOURCES' }] },
  'mesos-go': { ...PLAIN, role: '*', checkpoint: true, principal: 'painter', labels: { labels: [] } },
  'mesos-compose': {
    ...PLAIN,
    id: { value: '' },
    principal: '',
    checkpoint: 'true',
    role: '*',
    capabilities: [{ type: 'PARTITION_AWARE' }],
  },
  mesoshttp: { ...PLAIN, principal: 'p', role: '*', checkpoint: true, credentials: { principal: 'p', secret: 's' } },
};

/** How the client subscribes for the first time. */
export function subscription(client: ClientName): object {
  const call = { type: 'SUBSCRIBE', subscribe: { framework_info: INFOS[client] } };
  switch (client) {
    case 'mesos-framework':
      return withNulls(call);
    case 'mesos-compose':
      return { framework_id: { value: '' }, ...call };
    case 'mesoshttp':
      return { type: 'SUBSCRIBE', subscribe: { ...call.subscribe, credentials: { principal: 'p', secret: 's' } } };
    default:
      return call;
  }
}

/** The same, with the id that it has by now. */
export function subscriptionAgain(client: ClientName): object {
  const id = { value: '<framework>' };
  return { ...subscription(client), framework_id: id, subscribe: { framework_info: { ...INFOS[client], id } } };
}

export const SUBSCRIBED =
  '{"type":"SUBSCRIBED","subscribed":{"framework_id":{"value":"<framework>"},"heartbeat_interval_seconds":5,"master_info":{"id":"replica-1","ip":0,"port":80,"pid":"master@replica-1.test:80","hostname":"replica-1.test","version":"1.11.0","address":{"hostname":"replica-1.test","ip":"replica-1.test","port":80}}}}';

export const HEARTBEAT = '{"type":"HEARTBEAT"}';

const URL_OF_NODE =
  '"url":{"scheme":"http","address":{"hostname":"edge-1.example","ip":"10.0.0.7","port":5051},"path":"/slave(1)"}';

/** `name`: by which the offer is known from then on. */
export function offers(name = 'offer', rest = ''): string {
  return `{"type":"OFFERS","offers":{"offers":[{"id":{"value":"<${name}>"},"framework_id":{"value":"<framework>"},"agent_id":{"value":"edge-1"},"hostname":"edge-1.example",${URL_OF_NODE},"resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":4},"role":"*"},{"name":"mem","type":"SCALAR","scalar":{"value":4096},"role":"*"},{"name":"disk","type":"SCALAR","scalar":{"value":10000},"role":"*"},{"name":"ports","type":"RANGES","ranges":{"range":[{"begin":20000,"end":20009}]},"role":"*"}],"attributes":[{"name":"arch","type":"TEXT","text":{"value":"x64"}},{"name":"hostname","type":"TEXT","text":{"value":"edge-1.example"}},{"name":"ip","type":"TEXT","text":{"value":"10.0.0.7"}},{"name":"node","type":"TEXT","text":{"value":"edge-1"}},{"name":"os","type":"TEXT","text":{"value":"linux"}}]${rest}}]}}`;
}

export const UNAVAILABILITY =
  '"unavailability":{"start":{"nanoseconds":4922899200000000000},"duration":{"nanoseconds":3600000000000}}';

export const INVERSE_OFFERS = `{"type":"INVERSE_OFFERS","inverse_offers":{"inverse_offers":[{"id":{"value":"<notice>"},"framework_id":{"value":"<framework>"},"agent_id":{"value":"edge-1"},${URL_OF_NODE},${UNAVAILABILITY}}]}}`;

export interface ToldStatus {
  readonly state: string;
  readonly source: string;
  readonly message: string;
  readonly task?: string;
  readonly reason?: string;
  /** Null: the update isn't to be acknowledged. Default: one that is called `uuid`. */
  readonly uuid?: string | null;
  /** Whether there is such a task, so that it is said under which executor it runs, and where. */
  readonly isTask?: boolean;
  /** Whether it says since when its node has not been heard of. */
  readonly isUnreachable?: boolean;
}

export function update(told: ToldStatus): string {
  const { state, source, message, task = 'wall', reason, uuid = 'uuid', isTask = true, isUnreachable = false } = told;
  const members = [
    `"task_id":{"value":"${task}"}`,
    `"state":"${state}"`,
    `"source":"${source}"`,
    ...(reason === undefined ? [] : [`"reason":"${reason}"`]),
    `"message":"${message}"`,
    '"agent_id":{"value":"edge-1"}',
    ...(isTask ? [`"executor_id":{"value":"${task}"}`] : []),
    '"timestamp":<time>',
    ...(isUnreachable ? ['"unreachable_time":{"nanoseconds":<nanoseconds>}'] : []),
    ...(uuid === null ? [] : [`"uuid":"<${uuid}>"`]),
    ...(isTask ? ['"container_status":{"network_infos":[{"ip_addresses":[{"ip_address":"10.0.0.7"}]}]}'] : []),
  ];
  return `{"type":"UPDATE","update":{"status":{${members.join(',')}}}}`;
}

export const ID = { value: '<framework>' };
export const OFFER = { value: '<offer>' };
export const AGENT = { value: 'edge-1' };
export const WALL = { value: 'wall' };

const unset = { ranges: null, set: null, role: null, reservation: null, disk: null, revocable: null };

/** As `mesos-framework` describes a container: with every field that its messages of protobuf have. */
export const TASK_WITH_NULLS = {
  ...{ name: 'wall-1', task_id: WALL, agent_id: AGENT },
  resources: [
    { name: 'cpus', type: 'SCALAR', scalar: { value: 0.2 }, ...unset },
    { name: 'mem', type: 'SCALAR', scalar: { value: 128 }, ...unset },
    { ...unset, name: 'ports', type: 'RANGES', scalar: null, ranges: { range: [{ begin: 20_000, end: 20_000 }] } },
  ],
  executor: null,
  command: {
    ...{ uris: null, environment: { variables: [{ name: 'HOST', value: '10.0.0.1' }] } },
    ...{ shell: false, value: null, arguments: null, user: null },
  },
  container: {
    ...{ type: 'DOCKER', volumes: null, hostname: null, mesos: null, network_infos: [] },
    docker: {
      ...{ image: 'web', network: 'BRIDGE', port_mappings: null, privileged: false },
      ...{ parameters: null, force_pull_image: true, volume_driver: null },
    },
  },
  ...{ health_check: null, kill_policy: null, data: null, labels: null, discovery: null },
};

export const TASK = {
  ...{ name: 'wall', task_id: WALL, agent_id: AGENT },
  resources: [
    { name: 'cpus', type: 'SCALAR', scalar: { value: 0.1 } },
    { name: 'mem', type: 'SCALAR', scalar: { value: 32 } },
  ],
  command: { value: 'sleep 60' },
  container: { type: 'DOCKER', docker: { image: 'busybox', network: 'BRIDGE' } },
};

/** As an encoder of protobuf writes it that takes numbers of 64 bits for texts. */
export const TASK_OF_TEXTS = {
  ...TASK,
  resources: [
    { name: 'cpus', type: 'SCALAR', scalar: { value: 0.1 } },
    { name: 'mem', type: 'SCALAR', scalar: { value: 32 } },
    { name: 'ports', type: 'RANGES', ranges: { range: [{ begin: '20001', end: '20001' }] } },
  ],
  command: { shell: true, value: 'sleep 60', environment: {} },
  kill_policy: { grace_period: { nanoseconds: '10000000000' } },
};

export function accepting(...tasks: object[]): object {
  const operations = [{ type: 'LAUNCH', launch: { task_infos: tasks } }];
  return { framework_id: ID, type: 'ACCEPT', accept: { offer_ids: [OFFER], operations } };
}

/** Until the client holds an offer. */
export function offered(client: ClientName): Turn[] {
  return [
    { subscribes: subscription(client) },
    { hears: [SUBSCRIBED] },
    { meanwhile: 'offers are made' },
    { hears: [offers()] },
  ];
}

export const RUNNING = update({ state: 'TASK_RUNNING', source: 'SOURCE_EXECUTOR', message: 'running' });

/** Until a task runs that the client has launched. */
export function running(client: ClientName): Turn[] {
  return [...offered(client), { calls: accepting(TASK) }, { meanwhile: 'the task runs' }, { hears: [RUNNING] }];
}
