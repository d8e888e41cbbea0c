/** Health checks as frameworks tell them, and the checks that they become. */
import { describe, expect, it } from 'vitest';
import { taskNotesOf } from '../../../control-plane/facade-mesos/translate/annotations.ts';
import { checkedTask } from '../../../control-plane/facade-mesos/translate/native-operation.ts';
import { launchedTask } from '../../../control-plane/facade-mesos/translate/task-info.ts';
import { translated } from '../../../control-plane/facade-mesos/translate/wire-fault.ts';
import { taskInfoSchema } from '../../../control-plane/facade-mesos/wire/task-info.ts';

const RESOURCES = [
  { name: 'cpus', type: 'SCALAR', scalar: { value: 0.5 } },
  { name: 'mem', type: 'SCALAR', scalar: { value: 128 } },
  { name: 'ports', type: 'RANGES', ranges: { range: [{ begin: 31000, end: 31002 }] } },
];
const CONTEXT = {
  site: { node: 'edge-1', role: 'eng' },
  framework: { id: 'F1', capabilities: new Set<string>() },
  volumeOf: () => null,
};
const MAPPED = {
  type: 'DOCKER',
  docker: {
    image: 'web:1',
    network: 'BRIDGE',
    port_mappings: [
      { host_port: 31000, container_port: 53, protocol: 'udp' },
      { host_port: 31001, container_port: 80 },
    ],
  },
};
const IN_SANDBOX = ['/bin/sh', '-c', 'export MESOS_SANDBOX="$PWD" MESOS_DIRECTORY="$PWD"; exec "$@"', 'sh'];
const IMAGE = { type: 'MESOS', mesos: { image: { type: 'DOCKER', docker: { name: 'web:1' } } } };

function launched(check: object, container?: object) {
  const task = taskInfoSchema.parse({
    ...{ name: 'web', task_id: { value: 'web.1' }, agent_id: { value: 'edge-1' }, resources: RESOURCES },
    ...{ command: { value: 'serve' }, health_check: check, ...(container !== undefined && { container }) },
  });
  return checkedTask(launchedTask(task, CONTEXT));
}

const checkOf = (check: object, container?: object) => launched(check, container).checks?.[0];
const faultOf = (check: object, container?: object) => {
  const result = translated(() => launched(check, container));
  return result.ok ? null : result.message;
};

const TCP = { type: 'TCP', tcp: { port: 31001 } };

describe('a health check', () => {
  it('has the defaults of Mesos, and ends the task that fails it', () => {
    expect(launched(TCP).checks).toEqual([
      {
        ...{ name: 'health', type: 'tcp', port: 'p31001', purpose: 'health', onFailure: 'replace' },
        ...{ intervalSeconds: 10, timeoutSeconds: 20, graceSeconds: 15, failuresMax: 3, successesMin: 1 },
      },
    ]);
  });

  it.each([
    ['interval_seconds', 2.5, { intervalSeconds: 2.5 }],
    ['interval_seconds', 0, { intervalSeconds: 0.1 }],
    ['interval_seconds', 1e9, { intervalSeconds: 86_400 }],
    ['timeout_seconds', '3', { timeoutSeconds: 3 }],
    ['timeout_seconds', 0, { timeoutSeconds: 3600 }],
    ['consecutive_failures', 7, { failuresMax: 7 }],
    ['consecutive_failures', 0, { failuresMax: 1 }],
    ['consecutive_failures', 4_294_967_295, { failuresMax: 1000 }],
    ['grace_period_seconds', 60, { graceSeconds: 60 }],
    ['grace_period_seconds', 0, { graceSeconds: 15 }],
    ['delay_seconds', 90, { graceSeconds: 90 }],
    ['delay_seconds', 0, { graceSeconds: 10 }],
  ])('with %s %s has %j', (field, value, expected) => {
    expect(checkOf({ ...TCP, [field]: value })).toMatchObject(expected);
  });
});

describe('what a health check does', () => {
  it('is a request, with what it expects', () => {
    const http = { port: 31000 };
    expect(checkOf({ type: 'HTTP', http })).toMatchObject({
      ...{ type: 'http', port: 'p31000', path: '/', statuses: [{ first: 200, last: 399 }] },
    });
    const full = { ...http, scheme: 'https', path: '/ok?x=1', statuses: [200, 503] };
    expect(checkOf({ type: 'HTTP', http: full })).toMatchObject({
      ...{ type: 'https', path: '/ok?x=1' },
      statuses: [
        { first: 200, last: 200 },
        { first: 503, last: 503 },
      ],
    });
  });

  it.each([
    ['the number of its port', 31002, undefined, 'p31002'],
    ['the number of its port, with an image', 31002, IMAGE, 'p31002'],
    ['where a port is mapped to', 80, MAPPED, 'p31001'],
    ['a port that is mapped to no other', 31002, MAPPED, 'p31002'],
  ])('finds the task by %s', (_by, port, container, name) => {
    expect(checkOf({ type: 'TCP', tcp: { port } }, container)).toMatchObject({ type: 'tcp', port: name });
    expect(checkOf({ type: 'HTTP', http: { port } }, container)).toMatchObject({ type: 'http', port: name });
  });

  it.each([
    [{ value: 'test -f ok' }, undefined, [...IN_SANDBOX, '/bin/sh', '-c', 'test -f ok']],
    [{ shell: false, value: '/ok', arguments: ['ok', '-v'] }, undefined, [...IN_SANDBOX, '/ok', '-v']],
    [{ value: 'test -f ok' }, IMAGE, ['/bin/sh', '-c', 'test -f ok']],
    [{ value: 'test -f ok' }, MAPPED, ['/bin/sh', '-c', 'test -f ok']],
    [{ shell: false, value: '/ok', arguments: ['ok', '-v'] }, IMAGE, ['/ok', '-v']],
    [{ shell: false, value: '/ok', arguments: ['-v'] }, MAPPED, ['/ok', '-v']],
  ])('is the command %j within the task', (command, container, expected) => {
    expect(checkOf({ type: 'COMMAND', command }, container)).toMatchObject({ type: 'command', command: expected });
  });

  it('goes by its type, whatever else it says', () => {
    expect(checkOf({ ...TCP, type: 'COMMAND', command: { value: 'true' } })).toMatchObject({ type: 'command' });
  });
});

describe('a health check as it is told', () => {
  it('is kept to be shown again', () => {
    const { annotations } = launched({ type: 'HTTP', http: { port: 31000, statuses: [] }, delay_seconds: 1 });
    expect(taskNotesOf(annotations).health_check).toEqual({
      ...{ type: 'HTTP', http: { port: 31000 }, delay_seconds: 1, grace_period_seconds: 10 },
      ...{ interval_seconds: 10, timeout_seconds: 20, consecutive_failures: 3 },
    });
  });

  it.each<[object, object | undefined, string]>([
    [{}, undefined, "HealthCheck must specify 'type'"],
    [{ type: 'PING' }, undefined, "HealthCheck must specify 'type'"],
    [{ type: 'UNKNOWN' }, undefined, "'UNKNOWN' is not a valid health check type"],
    [{ type: 'COMMAND' }, undefined, "Expecting 'command' to be set for COMMAND health check"],
    [{ type: 'HTTP' }, undefined, "Expecting 'http' to be set for HTTP health check"],
    [{ type: 'TCP' }, undefined, "Expecting 'tcp' to be set for TCP health check"],
    [{ type: 'COMMAND', command: {} }, undefined, "Command health check must contain 'shell command'"],
    [{ type: 'COMMAND', command: { shell: false } }, undefined, "must contain 'executable path'"],
    [{ type: 'HTTP', http: { port: 31000, scheme: 'ftp' } }, undefined, "Unsupported HTTP health check scheme: 'ftp'"],
    [
      { type: 'HTTP', http: { port: 31000, path: 'ok' } },
      undefined,
      "The path 'ok' of HTTP health check must start with '/'",
    ],
    [{ ...TCP, delay_seconds: -1 }, undefined, "Expecting 'delay_seconds' to be non-negative"],
    [{ ...TCP, grace_period_seconds: -1 }, undefined, "Expecting 'grace_period_seconds' to be non-negative"],
    [{ ...TCP, interval_seconds: -1 }, undefined, "Expecting 'interval_seconds' to be non-negative"],
    [{ ...TCP, timeout_seconds: -1 }, undefined, "Expecting 'timeout_seconds' to be non-negative"],
    [{ type: 'TCP', tcp: { port: 80 } }, undefined, "'health_check.tcp.port 80' is not supported here: name one"],
    [{ type: 'HTTP', http: { port: 80 } }, undefined, "'health_check.http.port 80' is not supported here: name one"],
    [{ type: 'TCP', tcp: { port: 31001 } }, MAPPED, "'health_check.tcp.port 31001' is not supported here: name one"],
    [{ type: 'TCP', tcp: { port: 53 } }, MAPPED, "'health_check.tcp.port 53' is not supported here: name one of TCP"],
    [
      { type: 'COMMAND', command: { value: 'x', environment: { variables: [{ name: 'A', value: '1' }] } } },
      undefined,
      "'health_check.command.environment' is not supported here",
    ],
    [
      { type: 'COMMAND', command: { value: 'x', uris: [{ value: 'http://x' }] } },
      undefined,
      "'health_check.command.uris' is not supported here",
    ],
    [
      { type: 'COMMAND', command: { value: 'x', user: 'root' } },
      undefined,
      "'health_check.command.user' is not supported here",
    ],
  ])('%j of a task in %j is refused: %s', (check, container, message) => {
    expect(faultOf(check, container)).toMatch(/^Task uses invalid health check: /);
    expect(faultOf(check, container)).toContain(message);
  });
});
