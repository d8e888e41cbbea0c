import { describe, expect, it } from 'vitest';
import { convert } from '../../../control-plane/facade-mesos/http/json-in.ts';
import { checkedTask } from '../../../control-plane/facade-mesos/translate/native-operation.ts';
import { launchedTask } from '../../../control-plane/facade-mesos/translate/task-info.ts';
import { offerOperationSchema } from '../../../control-plane/facade-mesos/wire/offer-operation.ts';

const NAMES = { converted: 'Call protobuf', validated: 'scheduler::Call' };
const CONTEXT = {
  site: { node: 'S0', role: '*' },
  framework: { id: 'F1', capabilities: new Set<string>() },
  volumeOf: () => null,
};

function tasksOf(operation: unknown) {
  const { launch } = convert(offerOperationSchema, operation, NAMES);
  return (launch?.task_infos ?? []).map((info) => checkedTask(launchedTask(info, CONTEXT)));
}

/** As clients that encode messages of protobuf as JSON send them: with every field that is unset. */
const unset = { role: null, reservation: null, disk: null, revocable: null };
const scalar = (name: string, value: number) => ({
  name,
  type: 'SCALAR',
  scalar: { value },
  ranges: null,
  set: null,
  ...unset,
});
const port = (begin: unknown, end: unknown) => ({
  name: 'ports',
  type: 'RANGES',
  scalar: null,
  ranges: { range: [{ begin, end }] },
  set: null,
  ...unset,
});
const ids = (id: string) => ({ name: id, task_id: { value: id }, agent_id: { value: 'S0' } });
const rest = { executor: null, health_check: null, kill_policy: null, data: null, labels: null, discovery: null };
const ports = { begin: 31_000, end: 31_000 };

describe('tasks as clients write them', () => {
  it('may say of everything else that it is null', () => {
    const command = {
      ...ids('cmd-1'),
      resources: [scalar('cpus', 0.2), scalar('mem', 128), port(ports.begin, ports.end)],
      command: {
        uris: null,
        environment: { variables: [{ name: 'HOST', value: '10.0.0.1' }] },
        ...{ shell: true, value: 'sleep 10;', arguments: null, user: null },
      },
      container: null,
      ...rest,
    };
    const docker = {
      ...ids('dock-2'),
      resources: [scalar('cpus', 0.2), scalar('mem', 128)],
      command: { uris: null, environment: null, shell: false, value: null, arguments: null, user: null },
      container: {
        ...{ type: 'DOCKER', volumes: null, hostname: null, mesos: null, network_infos: [] },
        docker: {
          ...{ image: 'web', network: 'BRIDGE', port_mappings: null, privileged: false },
          ...{ parameters: null, force_pull_image: true, volume_driver: null },
        },
      },
      ...rest,
    };
    const operation = { type: 'LAUNCH', launch: { task_infos: [command, docker] }, reserve: null, create: null };
    expect(tasksOf(operation)).toMatchObject([
      { task: 'cmd-1', runtime: 'process', env: { HOST: '10.0.0.1' }, ports: [{ hostPort: 31_000 }] },
      { task: 'dock-2', runtime: 'docker', image: 'web', network: 'bridge', pullPolicy: 'always', ports: [] },
    ]);
  });

  it('may write numbers and truths as texts, one for a list of one, and what nobody knows', () => {
    const task = {
      ...ids('t'),
      slave_id: { value: 'S0' },
      resources: [{ name: 'cpus', type: 'SCALAR', scalar: { value: '0.5' } }, port('31000', '31000')],
      command: { shell: 'false', value: 'serve', arguments: 'srv' },
      kill_policy: { grace_period: { nanoseconds: '2000000000' } },
    };
    expect(tasksOf({ type: 'LAUNCH', launch: { task_infos: task } })).toMatchObject([
      { task: 't', resources: { cpus: 0.5 }, ports: [{ hostPort: 31_000 }], killGraceSeconds: 2 },
    ]);
  });

  it.each([
    [{ name: 't', agent_id: { value: 'S0' } }, 'Missing required fields: launch.task_infos.0.task_id'],
    [{ ...ids('t'), resources: [{ name: 'cpus' }] }, "for field 'launch.task_infos.0.resources.0.type'"],
    [
      { ...ids('t'), resources: [{ name: 'cpus', type: 'VECTOR' }] },
      "for field 'launch.task_infos.0.resources.0.type'",
    ],
  ])('that lack what a message has to have are no messages: %j', (task, message) => {
    expect(() => tasksOf({ type: 'LAUNCH', launch: { task_infos: [task] } })).toThrow(message);
  });
});
