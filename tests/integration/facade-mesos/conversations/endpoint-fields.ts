/** What tools can't do without of what the door shows: by endpoint, as `required-fields.ts` says it of events. */
import type { FieldType } from './required-fields.ts';

export interface EndpointFields {
  readonly endpoint: string;
  readonly client: string;
  readonly fields: readonly (readonly [path: string, type: FieldType])[];
}

const AMOUNTS = ['cpus', 'gpus', 'mem', 'disk'] as const;

function amounts(path: string): (readonly [string, FieldType])[] {
  return AMOUNTS.map((name) => [`${path}.${name}`, 'number']);
}

const MESOS_DNS: EndpointFields['fields'] = [
  ['leader', 'non-empty text'],
  ['slaves[].id', 'non-empty text'],
  ['slaves[].pid', 'non-empty text'],
  ['slaves[].hostname', 'non-empty text'],
  ['frameworks[].name', 'non-empty text'],
  ['frameworks[].hostname', 'text'],
  ['frameworks[].tasks[].id', 'non-empty text'],
  ['frameworks[].tasks[].name', 'text'],
  ['frameworks[].tasks[].framework_id', 'non-empty text'],
  ['frameworks[].tasks[].slave_id', 'non-empty text'],
  ['frameworks[].tasks[].state', 'non-empty text'],
  ['frameworks[].tasks[].resources.ports', 'text'],
  ['frameworks[].tasks[].statuses', 'list'],
  ['frameworks[].tasks[].statuses[].state', 'non-empty text'],
  ['frameworks[].tasks[].statuses[].timestamp', 'number'],
];

const WEB_UI: EndpointFields['fields'] = [
  ['flags', 'object'],
  ['id', 'non-empty text'],
  ['version', 'non-empty text'],
  ['start_time', 'number'],
  ['activated_slaves', 'number'],
  ['deactivated_slaves', 'number'],
  ['unreachable_slaves', 'number'],
  ['slaves[].registered_time', 'number'],
  ...amounts('slaves[].resources'),
  ...amounts('slaves[].used_resources'),
  ['frameworks[].id', 'non-empty text'],
  ['frameworks[].user', 'text'],
  ...amounts('frameworks[].resources'),
  ...amounts('frameworks[].used_resources'),
  ...amounts('frameworks[].offered_resources'),
  ['frameworks[].tasks', 'list'],
  ['frameworks[].unreachable_tasks', 'list'],
  ['frameworks[].completed_tasks', 'list'],
  ['frameworks[].offers', 'list'],
  ['frameworks[].executors', 'list'],
  ['completed_frameworks', 'list'],
];

const EXPORTER: EndpointFields['fields'] = [
  ...amounts('slaves[].unreserved_resources'),
  ['slaves[].resources.ports', 'text'],
  ['slaves[].attributes', 'object'],
  ['frameworks[].tasks[].executor_id', 'text'],
  ['completed_frameworks', 'list'],
];

const CLI_TASK: EndpointFields['fields'] = ['id', 'framework_id', 'slave_id', 'state'].map((name) => [
  `tasks[].${name}`,
  'non-empty text',
]);

const MACHINE = 'windows[].machine_ids[].hostname';

export const ENDPOINT_FIELDS: readonly EndpointFields[] = [
  { endpoint: '/version', client: 'pymesos', fields: [['version', 'non-empty text']] },
  ...['/master/state', '/state', '/master/state.json', '/state.json'].flatMap((endpoint) => [
    { endpoint, client: 'mesos-dns', fields: MESOS_DNS },
    { endpoint, client: 'the web UI', fields: WEB_UI },
    { endpoint, client: 'mesos_exporter', fields: EXPORTER },
  ]),
  ...['/slaves', '/master/slaves'].map((endpoint) => ({
    endpoint,
    client: 'mesos CLI',
    fields: ['id', 'hostname', 'pid'].map((name) => [`slaves[].${name}`, 'non-empty text'] as const),
  })),
  ...['/frameworks', '/master/frameworks', '/master/frameworks/'].map((endpoint) => ({
    endpoint,
    client: 'mesos CLI',
    fields: ['id', 'name'].map((name) => [`frameworks[].${name}`, 'non-empty text'] as const),
  })),
  ...['/tasks', '/master/tasks', '/tasks?order=asc&limit=-1', '/tasks/'].map((endpoint) => ({
    endpoint,
    client: 'mesos CLI',
    fields: [...CLI_TASK, ['tasks[].statuses[].state', 'non-empty text'] as const],
  })),
  ...['/roles', '/master/roles'].map((endpoint) => ({
    endpoint,
    client: 'the web UI',
    fields: [
      ['roles[].name', 'non-empty text'] as const,
      ['roles[].weight', 'number'] as const,
      ['roles[].frameworks', 'list'] as const,
    ],
  })),
  ...['/maintenance/schedule', '/master/maintenance/schedule'].map((endpoint) => ({
    endpoint,
    client: 'the web UI',
    fields: [
      [MACHINE, 'non-empty text'] as const,
      ['windows[].unavailability.start.nanoseconds', 'whole number'] as const,
      ['windows[].unavailability.duration.nanoseconds', 'whole number'] as const,
    ],
  })),
];

const QUANTILES = ['', '/min', '/max', '/p50', '/p90', '/p95', '/p99', '/p999', '/p9999'];

function named(prefix: string, names: string): string[] {
  return names.split(' ').map((name) => `${prefix}${name}`);
}

/** Without any of them mesos_exporter waits for ever. */
export const METRICS: readonly string[] = [
  ...['cpus', 'mem', 'disk'].flatMap((name) => named(`master/${name}_`, 'total used revocable_total revocable_used')),
  ...named('master/', 'elected uptime_secs slave_registrations slave_reregistrations slave_removals'),
  ...named('master/slave_shutdowns_', 'scheduled canceled completed'),
  ...named('master/slaves_', 'active inactive disconnected'),
  ...named('master/frameworks_', 'active inactive disconnected'),
  'master/outstanding_offers',
  ...named('master/tasks_', 'error failed finished killed killing lost running staging starting'),
  ...['valid', 'invalid'].flatMap((kind) =>
    named(
      `master/${kind}_`,
      'framework_to_executor_messages executor_to_framework_messages status_update_acknowledgements status_updates',
    ),
  ),
  ...named('master/event_queue_', 'dispatches http_requests messages'),
  ...QUANTILES.map((name) => `allocator/mesos/allocation_run_ms${name}`),
  ...QUANTILES.map((name) => `allocator/mesos/allocation_run_latency_ms${name}`),
  ...['cpus', 'mem', 'disk'].flatMap((name) =>
    named(`allocator/mesos/resources/${name}/`, 'total offered_or_allocated'),
  ),
];
