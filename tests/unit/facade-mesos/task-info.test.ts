import { describe, expect, it } from 'vitest';
import { taskNotesOf } from '../../../control-plane/facade-mesos/translate/annotations.ts';
import { checkedTask } from '../../../control-plane/facade-mesos/translate/native-operation.ts';
import { launchedTask } from '../../../control-plane/facade-mesos/translate/task-info.ts';
import { translated } from '../../../control-plane/facade-mesos/translate/wire-fault.ts';
import { taskInfoSchema } from '../../../control-plane/facade-mesos/wire/task-info.ts';

const scalar = (name: string, value: number, more: object = {}) => ({
  name,
  type: 'SCALAR',
  scalar: { value },
  ...more,
});
const ports = (...range: { begin: number; end: number }[]) => ({ name: 'ports', type: 'RANGES', ranges: { range } });
const RESOURCES = [scalar('cpus', 0.5), scalar('mem', 128)];

interface Change {
  readonly task?: object;
  readonly command?: object;
  readonly docker?: object;
  readonly container?: object;
  readonly resources?: readonly object[];
}

function aTask({ task, command, docker, container, resources }: Change = {}) {
  const image = docker === undefined ? undefined : { type: 'DOCKER', docker: { image: 'web:1', ...docker } };
  return taskInfoSchema.parse({
    name: 'web',
    task_id: { value: 'web.1' },
    agent_id: { value: 'edge-1' },
    resources: resources ?? RESOURCES,
    command: { value: 'serve', ...command },
    ...((image !== undefined || container !== undefined) && { container: { ...image, ...container } }),
    ...task,
  });
}

const CONTEXT = {
  site: { node: 'edge-1', role: 'eng' },
  framework: { id: 'F1', capabilities: new Set<string>() },
  volumeOf: () => null,
};

const launched = (change: Change, context: Partial<typeof CONTEXT> = {}) =>
  checkedTask(launchedTask(aTask(change), { ...CONTEXT, ...context }));
const faultOf = (change: Change) => {
  const result = translated(() => launched(change));
  return result.ok ? null : result.message;
};

describe('a command', () => {
  const inSandbox = ['/bin/sh', '-c', 'export MESOS_SANDBOX="$PWD" MESOS_DIRECTORY="$PWD"; exec "$@"', 'sh'];

  it.each([
    ['is run by a shell', {}, [...inSandbox, '/bin/sh', '-c', 'serve']],
    ['may be said to be', { shell: 'true', arguments: ['no'] }, [...inSandbox, '/bin/sh', '-c', 'serve']],
    ['or is a program', { shell: false, arguments: ['srv', '-v'] }, [...inSandbox, 'serve', '-v']],
    ['without arguments', { shell: 'false' }, [...inSandbox, 'serve']],
  ])('without a container %s, in its sandbox', (_how, command, expected) => {
    const task = launched({ command });
    expect(task).toMatchObject({ runtime: 'process', image: '', command: expected });
    expect(task.args).toBeUndefined();
    expect(launched({ command, container: { type: 'MESOS' } }).command).toEqual(expected);
  });

  it.each([
    ['a shell in place of the entrypoint', {}, {}, { command: ['/bin/sh', '-c', 'serve'] }],
    ['what the image says', { shell: false, value: null }, {}, {}],
    ['arguments of the entrypoint', { shell: false, arguments: ['a', 'b'] }, {}, { args: ['serve', 'a', 'b'] }],
    ['arguments alone', { shell: false, value: null, arguments: ['a'] }, {}, { args: ['a'] }],
    ['another entrypoint', { shell: false }, entrypoint('/run'), { command: ['/run'], args: ['serve'] }],
    ['a shell of its own', {}, entrypoint('/bin/bash'), { command: ['/bin/bash'], args: ['-c', 'serve'] }],
  ])('of an image of the engine is %s', (_what, command, docker, expected) => {
    const { command: program, args } = launched({ command: withoutNulls({ value: 'serve', ...command }), docker });
    expect({ ...(program && { command: program }), ...(args && { args }) }).toEqual(expected);
  });

  it.each([
    [{}, { command: ['/bin/sh', '-c', 'serve'] }],
    [{ shell: false, arguments: ['srv', '-v'] }, { command: ['serve', '-v'] }],
    [{ shell: false, value: null, arguments: ['-v'] }, { args: ['-v'] }],
    [{ shell: false, value: null }, {}],
  ])('of an image that Mesos would run, %j is %j', (command, expected) => {
    const container = { type: 'MESOS', mesos: { image: { type: 'DOCKER', docker: { name: 'web:1' } } } };
    const task = launched({ command: withoutNulls({ value: 'serve', ...command }), container });
    expect(task).toMatchObject({ runtime: 'docker', image: 'web:1', network: 'host', pullPolicy: 'missing' });
    const { command: program, args } = task;
    expect({ ...(program && { command: program }), ...(args && { args }) }).toEqual(expected);
  });

  it('that says nothing to run is refused', () => {
    const nothing = { value: undefined };
    expect(faultOf({ command: nothing })).toBe('Shell specified but no command value provided');
    expect(faultOf({ command: nothing, docker: {} })).toBe('Shell specified but no command value provided');
    expect(faultOf({ command: { ...nothing, shell: false } })).toContain('is not specified');
  });

  it('has the user that it says, except that an engine runs its image as the image says', () => {
    const command = { user: 'web' };
    expect(launched({ command }).user).toBe('web');
    expect(launched({ command, docker: {} }).user).toBeUndefined();
    expect(launched({ command, docker: parameter('user', '1000:1000') }).user).toBe('1000:1000');
  });
});

describe('the environment', () => {
  const variables = (...list: object[]) => ({ environment: { variables: list } });
  const A = { name: 'A', value: 'b' };

  it('tells a process what its executor would be told, unless the task says otherwise', () => {
    expect(launched({ command: variables(A, { name: 'MESOS_SLAVE_ID', value: 'mine' }) }).env).toEqual({
      A: 'b',
      MESOS_TASK_ID: 'web.1',
      MESOS_EXECUTOR_ID: 'web.1',
      MESOS_FRAMEWORK_ID: 'F1',
      MESOS_SLAVE_ID: 'mine',
      MESOS_AGENT_ID: 'edge-1',
      MESOS_ALLOCATION_ROLE: 'eng',
    });
  });

  it('tells a container where its sandbox is, and options of the engine come last', () => {
    const docker = {
      parameters: [
        { key: 'env', value: 'B=c=d' },
        { key: 'env', value: 'A=' },
      ],
    };
    expect(launched({ command: variables(A, { name: 'MESOS_SANDBOX', value: '/x' }), docker }).env).toEqual({
      A: '',
      B: 'c=d',
      MESOS_TASK_ID: 'web.1',
      MESOS_SANDBOX: '/mnt/mesos/sandbox',
      MESOS_ALLOCATION_ROLE: 'eng',
    });
  });

  it.each([
    [
      { name: 'S', type: 'SECRET', secret: {} },
      "'command.environment.variables 'S' of the type SECRET' is not supported here: leave it out",
    ],
    [{ name: 'S' }, "Task's `CommandInfo` is invalid: Environment variable 'S' of type 'VALUE' must have a value set"],
    [
      { name: 'S', value: '', secret: {} },
      "Task's `CommandInfo` is invalid: Environment variable 'S' of type 'VALUE' must not have a secret set",
    ],
    [
      { name: 'S', type: 'UNKNOWN' },
      "Task's `CommandInfo` is invalid: Environment variable of type 'UNKNOWN' is not allowed",
    ],
    [{ name: '1 S', value: '' }, "Task can't be run as it is told: env.1 S"],
  ])('%j is refused', (variable, message) => {
    expect(faultOf({ command: variables(variable) })).toContain(message);
  });
});

describe('resources of a task', () => {
  it('are what it holds, in whole MiB', () => {
    const resources = [
      scalar('cpus', 0.5),
      scalar('cpus', 0.25),
      scalar('mem', 128.5),
      scalar('disk', 10.1),
      scalar('gpus', 2),
      scalar('fpga', 1),
      scalar('none', 0),
    ];
    expect(launched({ resources }).resources).toEqual({
      cpus: 0.75,
      memMiB: 129,
      diskMiB: 11,
      gpus: 2,
      custom: { fpga: 1 },
      pids: 32_768,
    });
  });

  it('are the least that there is where it asks for none', () => {
    expect(launched({ resources: [scalar('disk', 1)] }).resources).toMatchObject({ cpus: 0.001, memMiB: 4 });
  });

  it.each([
    [[], 'Task uses no resources'],
    [
      [scalar('mem', -1)],
      "Task uses invalid resources: Invalid resources: Resource 'mem:-1' is invalid: Invalid scalar resource: value < 0",
    ],
    [
      [scalar('gpus', 0.5)],
      "Task uses invalid resources: Invalid 'gpus' resource: The 'gpus' resource must be an unsigned integer",
    ],
    [[scalar('my_cpus', 1)], 'Total resources my_cpus:1 required by task and its executor is more than available'],
    [[{ name: 'disks', type: 'SET', set: { item: ['a'] } }], 'Total resources disks:{a} required by task'],
    [
      [scalar('cpus', 1, { allocation_info: { role: 'ops' } })],
      "more than available resources that are allocated to role 'eng'",
    ],
    [[volume('v'), volume('v')], "Task uses duplicate persistence ID: Persistence ID 'v' is not unique"],
    [[ports({ begin: 31_000, end: 31_100 })], 'Task uses 101 ports; at most 100 can be held by one task'],
  ])('%j are refused', (resources, message) => {
    expect(faultOf({ resources })).toContain(message);
  });

  it('may name the role that they are allocated to', () => {
    const resources = [scalar('cpus', 1, { allocation_info: { role: 'eng' } })];
    expect(launched({ resources }).resources.cpus).toBe(1);
  });
});

describe('ports', () => {
  const resources = [...RESOURCES, ports({ begin: 31_000, end: 31_001 }, { begin: 31_005, end: 31_005 })];
  const mapping = (hostPort: number, more: object = {}) => ({ host_port: hostPort, container_port: 80, ...more });

  it('are all held as they are, with or without a container', () => {
    const held = [31_000, 31_001, 31_005].map((hostPort) => ({ name: `p${hostPort}`, hostPort, protocol: 'tcp' }));
    expect(launched({ resources })).toMatchObject({ runtime: 'process', ports: held });
    expect(launched({ resources, docker: {} })).toMatchObject({ network: 'host', ports: held });
    expect(launched({ resources, docker: { network: 'BRIDGE' } })).toMatchObject({ network: 'bridge', ports: held });
  });

  it('lead to where the container listens', () => {
    const docker = { network: 'BRIDGE', port_mappings: [mapping(31_001, { protocol: 'UDP' })] };
    expect(launched({ resources, docker }).ports).toEqual([
      { name: 'p31000', hostPort: 31_000, protocol: 'tcp' },
      { name: 'p31001', hostPort: 31_001, containerPort: 80, protocol: 'udp' },
      { name: 'p31005', hostPort: 31_005, protocol: 'tcp' },
    ]);
  });

  it.each([
    [{}, 'Port mappings are only supported for bridge and user-defined networks'],
    [{ network: 'BRIDGE', port_mappings: [mapping(31_002)] }, 'Port [31002] not included in resources'],
    [
      { network: 'BRIDGE', port_mappings: [mapping(31_000), mapping(31_000, { protocol: 'udp' })] },
      'with host port 31000 twice',
    ],
    [
      { network: 'BRIDGE', port_mappings: [mapping(31_000, { protocol: 'sctp' })] },
      "protocol 'sctp'' is not supported",
    ],
    [{ network: 'NONE', port_mappings: [] }, 'the network NONE has none'],
  ])('%j are refused: %s', (docker, message) => {
    expect(faultOf({ resources, docker: { port_mappings: [mapping(31_000)], ...docker } })).toContain(message);
  });

  it('are needed to map any', () => {
    expect(faultOf({ docker: { network: 'BRIDGE', port_mappings: [mapping(31_000)] } })).toBe(
      'Port mappings require port resources',
    );
  });
});

describe('networks', () => {
  it.each([
    ['HOST', 'host'],
    ['BRIDGE', 'bridge'],
    ['NONE', 'none'],
    ['OVERLAY', 'host'],
  ])('%s is %s', (network, expected) => {
    expect(launched({ docker: { network } }).network).toBe(expected);
  });

  it.each([
    [[], 'No network info found in container info'],
    [[{}, {}], 'Only a single network can be defined in Docker run'],
    [[{}], 'No network name found in network info'],
    [[{ name: 'web' }], "'container.network_infos.name 'web'' is not supported here: use host, bridge or none"],
    [[{ name: 'bridge' }], null],
  ])("of the user's own, %j: %s", (infos, message) => {
    expect(faultOf({ docker: { network: 'USER' }, container: { network_infos: infos } })).toBe(message);
  });

  it('of other containers must be those of their machine', () => {
    const container = (infos: object[]) => ({ container: { type: 'MESOS', network_infos: infos } });
    expect(faultOf(container([{ name: 'web' }]))).toContain("'container.network_infos' is not supported");
    expect(faultOf(container([{ port_mappings: [{}] }]))).toContain("'container.network_infos' is not supported");
    expect(faultOf(container([{}]))).toBeNull();
  });
});

describe('volumes', () => {
  const SANDBOX = { type: 'tmpfs', target: '/mnt/mesos/sandbox', readOnly: false };
  const mounts = (volumes: object[], more: object = {}) => launched({ docker: more, container: { volumes } }).mounts;

  it('stand beside the sandbox', () => {
    expect(launched({ docker: {} }).mounts).toEqual([SANDBOX]);
    expect(launched({}).mounts).toEqual([]);
  });

  it.each([
    [
      { host_path: '/srv', container_path: '/data', mode: 'RW' },
      { type: 'bind', source: '/srv', target: '/data', readOnly: false },
    ],
    [
      { host_path: '/srv', container_path: 'data', mode: 'RO' },
      { type: 'bind', source: '/srv', target: '/mnt/mesos/sandbox/data', readOnly: true },
    ],
    [
      { host_path: 'data', container_path: '/data', mode: 'RW' },
      { type: 'tmpfs', target: '/data', readOnly: false },
    ],
    [
      from({ type: 'HOST_PATH', host_path: { path: '/srv' } }),
      { type: 'bind', source: '/srv', target: '/data', readOnly: false },
    ],
    [
      from({ type: 'SANDBOX_PATH', sandbox_path: { type: 'SELF', path: 'd' } }),
      { type: 'tmpfs', target: '/data', readOnly: false },
    ],
    [
      from({ type: 'DOCKER_VOLUME', docker_volume: { name: 'vol', driver: 'local' } }),
      { type: 'volume', source: 'vol', target: '/data', readOnly: false },
    ],
  ])('%j is %j', (volume, expected) => {
    expect(mounts([volume])).toEqual([SANDBOX, expected]);
  });

  it.each([
    [
      { container_path: '/data', mode: 'RW' },
      "Invalid volume: Only one of them should be set: 'host_path', 'image' and 'source'",
    ],
    [
      { host_path: 'a', container_path: 'b', mode: 'RW' },
      "Both host_path 'a' and container_path 'b' of a volume are relative",
    ],
    [{ image: {}, container_path: 'b', mode: 'RW' }, "'container.volumes.image' is not supported"],
    [from({ type: 'SANDBOX_PATH', sandbox_path: { type: 'PARENT', path: 'd' } }), 'sandbox_path PARENT'],
    [from({ type: 'SECRET' }), 'of the type SECRET'],
    [from({ type: 'NEW' }), "'source.type' is unknown"],
    [from({ type: 'DOCKER_VOLUME', docker_volume: { name: 'vol', driver: 'rexray' } }), 'docker_volume.driver'],
    [
      from({ type: 'DOCKER_VOLUME', docker_volume: { name: 'vol', driver_options: { parameter: [] } } }),
      'driver_options',
    ],
    [from({ type: 'DOCKER_VOLUME' }), "'source.docker_volume' is not set for DOCKER_VOLUME volume"],
  ])('%j is refused: %s', (volume, message) => {
    expect(faultOf({ docker: {}, container: { volumes: [volume] } })).toContain(message);
  });

  it('need an image', () => {
    const volumes = [{ host_path: '/srv', container_path: '/data', mode: 'RW' }];
    expect(faultOf({ container: { type: 'MESOS', volumes } })).toContain(
      "'container.volumes' is not supported here: give the task an image",
    );
    expect(faultOf({ resources: [...RESOURCES, volume('v')] })).toContain('give the task an image');
    expect(faultOf({ docker: { volume_driver: 'rexray' } })).toContain('volume_driver');
  });

  it('that persist are mounted where the task wants them, and take nothing of its disk', () => {
    const resources = [...RESOURCES, volume('v', 'RO')];
    const volumeOf = () => 'v-of-berth';
    const task = checkedTask(launchedTask(aTask({ resources, docker: {} }), { ...CONTEXT, volumeOf }));
    expect(task.mounts).toEqual([
      SANDBOX,
      { type: 'persistent', source: 'v-of-berth', target: '/mnt/mesos/sandbox/v', readOnly: true },
    ]);
    expect(task.resources.diskMiB).toBe(0);
    expect(faultOf({ resources, docker: {} })).toContain('disk(reservations: [(STATIC,eng)])[v:v]:10 required by task');
  });
});

describe('options of the engine', () => {
  it('that a task can have are taken over', () => {
    const parameters = Object.entries({
      label: 'team=web',
      volume: '/srv:/data:ro',
      tmpfs: '/scratch',
      device: '/dev/kvm:/dev/kvm',
      'cap-add': 'CAP_NET_ADMIN',
      workdir: '/app',
      network: 'bridge',
      privileged: 'true',
      pull: 'never',
    }).map(([key, value]) => ({ key, value }));
    expect(launched({ docker: { network: 'HOST', force_pull_image: true, parameters } })).toMatchObject({
      labels: { team: 'web' },
      mounts: [
        {},
        { type: 'bind', source: '/srv', target: '/data', readOnly: true },
        { type: 'tmpfs', target: '/scratch' },
      ],
      devices: ['/dev/kvm'],
      capAdd: ['NET_ADMIN'],
      workingDir: '/app',
      network: 'bridge',
      privileged: true,
      pullPolicy: 'never',
    });
  });

  it('have fields of their own as well', () => {
    expect(launched({ docker: { privileged: true, force_pull_image: true } })).toMatchObject({
      privileged: true,
      pullPolicy: 'always',
    });
    expect(launched({ docker: parameter('privileged', 'false') }).privileged).toBe(false);
    expect(launched({ docker: {} })).toMatchObject({
      privileged: false,
      pullPolicy: 'missing',
      devices: [],
      capAdd: [],
    });
  });

  it.each([
    ['hostname', 'web', "'container.docker.parameters 'hostname'' is not supported here: leave it out"],
    ['name', 'web', "Task's `ContainerInfo` is invalid: Parameter in DockerInfo must not be 'name'"],
    ['env', 'HOME', "must be NAME=VALUE, not 'HOME'"],
    ['volume', '/data', 'must be SOURCE:TARGET'],
    ['volume', '/srv:/data:rshared', 'with the option rshared'],
    ['device', '/dev/a:/dev/b', 'give the path of the device alone'],
    ['device', '/dev/a:/dev/a:r', 'give the path of the device alone'],
    ['net', 'web', 'use host, bridge or none'],
    ['pull', 'daily', 'must be always, missing or never'],
  ])('%s %s is refused', (key, value, message) => {
    expect(faultOf({ docker: parameter(key, value) })).toContain(message);
  });
});

describe('the rest of a task', () => {
  it('is named by its id, and ends as its policy says', () => {
    expect(launched({})).toMatchObject({ task: 'web.1', killGraceSeconds: 3, replaceAfterSeconds: 60 });
    const task = {
      kill_policy: { grace_period: { nanoseconds: '1500000000' } },
      max_completion_time: { nanoseconds: 6e10 },
    };
    expect(launched({ task })).toMatchObject({ killGraceSeconds: 1.5, timeoutSeconds: 60 });
    expect(launched({ task: { max_completion_time: { nanoseconds: 0 } } }).timeoutSeconds).toBeUndefined();
  });

  it('is waited for as long as its framework wants, if that knows of partitions', () => {
    const framework = { id: 'F1', capabilities: new Set(['PARTITION_AWARE']) };
    expect(launched({}, { framework }).replaceAfterSeconds).toBe('never');
  });

  it('keeps labels as a map, and all that there is no place for as a note', () => {
    const labels = [
      { key: 'a', value: '1' },
      { key: 'a', value: '2' },
      { key: 'b' },
      { key: 'x'.repeat(129), value: '' },
    ];
    const discovery = { visibility: 'CLUSTER', name: 'web', ports: { ports: [{ number: 80 }] } };
    const command = { environment: { variables: [{ name: 'SECRET', value: 'hush' }] } };
    const task = launched({
      task: { labels: { labels }, discovery, data: 'YWJj' },
      command,
      docker: parameter('env', 'TOKEN=hush'),
    });
    expect(task.labels).toEqual({ a: '1', b: '' });
    expect(taskNotesOf(task.annotations)).toEqual({
      name: 'web',
      agent_id: 'edge-1',
      labels,
      discovery,
      data: 'YWJj',
      command: { value: 'serve', shell: true },
      container: { type: 'DOCKER', docker: { image: 'web:1', privileged: false, force_pull_image: false } },
    });
    expect(JSON.stringify(task.annotations)).not.toContain('hush');
  });

  it('leaves out of its note what can be seen elsewhere, before it is too much', () => {
    const long = launched({ command: { value: 'x'.repeat(9000) }, task: { data: 'YWJj' } });
    expect(taskNotesOf(long.annotations)).toEqual({ name: 'web', agent_id: 'edge-1', data: 'YWJj' });
    expect(faultOf({ task: { data: 'x'.repeat(9000) } })).toContain('at most 8 KiB together');
  });

  it.each([
    [{ task_id: { value: '' } }, 'ID must not be empty'],
    [{ task_id: { value: 'a/b' } }, "'a/b' contains invalid characters"],
    [{ task_id: { value: 'a\\b' } }, 'contains invalid characters'],
    [{ task_id: { value: '..' } }, "'..' is disallowed"],
    [{ task_id: { value: 'x'.repeat(256) } }, 'ID must not be greater than 255 characters'],
    [{ agent_id: { value: 'edge-2' } }, 'Task uses invalid agent edge-2 while agent edge-1 is expected'],
    [{ kill_policy: { grace_period: { nanoseconds: -1 } } }, "Task's 'kill_policy.grace_period' must be non-negative"],
    [
      { kill_policy: { grace_period: { nanoseconds: 4e12 } } },
      "Task's 'kill_policy.grace_period' must be at most an hour",
    ],
    [{ max_completion_time: { nanoseconds: -1 } }, "Task's `max_completion_time` must be non-negative"],
    [{ command: undefined }, 'Task should have at least one (but not both) of CommandInfo or ExecutorInfo present'],
    [{ executor: { executor_id: { value: 'e' } } }, 'Task should have at least one (but not both)'],
    [{ executor: { executor_id: { value: 'e' } }, command: undefined }, "'executor' is not supported here"],
    [{ check: {} }, "'check' is not supported"],
    [{ command: { value: 'x', uris: [{ value: 'http://x' }] } }, "'command.uris' is not supported"],
    [{ limits: { mem: { value: 1 } } }, "'limits' is not supported"],
    [
      { container: { type: 'DOCKER' } },
      "Task's `ContainerInfo` is invalid: DockerInfo 'docker' is not set for DOCKER typed ContainerInfo",
    ],
    [{ container: { type: 'MESOS', tty_info: {} } }, "'container.tty_info' is not supported"],
    [{ container: { type: 'MESOS', rlimit_info: { rlimits: [{}] } } }, "'container.rlimit_info' is not supported"],
    [{ container: { type: 'MESOS', hostname: 'web' } }, "'container.hostname' is not supported"],
    [
      { container: { type: 'MESOS', linux_info: { share_pid_namespace: true } } },
      "'container.linux_info.share_pid_namespace' is not supported",
    ],
    [
      { container: { type: 'MESOS', mesos: { image: { type: 'APPC' } } } },
      "'container.mesos.image' is not supported here: use one of Docker",
    ],
    [
      { container: { type: 'DOCKER', docker: { image: 'not an image' } } },
      "Task can't be run as it is told: image must be an image reference",
    ],
  ])('%j is refused: %s', (task, message) => {
    expect(faultOf({ task })).toContain(message);
  });

  it('may say what changes nothing', () => {
    expect(faultOf({ container: { type: 'MESOS', linux_info: { share_cgroups: true }, rlimit_info: {} } })).toBeNull();
    const defaults = { linux_info: { share_pid_namespace: false }, rlimit_info: { rlimits: [] } };
    expect(faultOf({ container: { type: 'MESOS', ...defaults } })).toBeNull();
  });
});

function volume(id: string, mode = 'RW') {
  return scalar('disk', 10, { role: 'eng', disk: { persistence: { id }, volume: { container_path: id, mode } } });
}

function from(source: object) {
  return { source, container_path: '/data', mode: 'RW' };
}

function parameter(key: string, value: string) {
  return { parameters: [{ key, value }] };
}

function entrypoint(value: string) {
  return parameter('entrypoint', value);
}

/** As the door has read it before it comes here. */
function withoutNulls(message: object) {
  return Object.fromEntries(Object.entries(message).map(([key, value]) => [key, value ?? undefined]));
}
