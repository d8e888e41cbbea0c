import { describe, expect, it } from 'vitest';
import type { Principal } from '../../../control-plane/auth/principal.ts';
import { jsonPieces } from '../../../control-plane/facade-mesos/http/json-pieces.ts';
import { stateDocument } from '../../../control-plane/facade-mesos/operator/documents.ts';
import {
  aFramework,
  aGroup,
  aJob,
  aLedger,
  aNode,
  anEntry,
  anOffer,
  aReservation,
  aTask,
  aVolume,
  type ClusterLiteral,
  T0,
} from '../../support/builders.ts';
import { launchedTask } from '../../support/frameworks.ts';
import type { Told } from '../../support/mesos-operator.ts';
import { ADMIN } from '../../support/replica.ts';
import { sceneOf } from './shown-state.ts';

const T0_TIME = { nanoseconds: T0 * 1_000_000 };
const MINE = 'f000000000001';

function told(literal: ClusterLiteral, principal: Principal = ADMIN): Told {
  return JSON.parse([...jsonPieces(stateDocument(sceneOf(literal, principal)))].join(''));
}

const web = aJob({
  spec: {
    name: 'web',
    labels: { tier: 'front' },
    groups: [aGroup({ ports: [{ name: 'http', containerPort: 80, protocol: 'tcp' }], user: 'nobody' })],
  },
});
const webTask = aTask(web, { state: 'running', node: 'edge-1', ports: { http: 31_005 } });

const small: ClusterLiteral = {
  nodes: [aNode({ attributes: { ip: '10.0.0.1', region: 'eu', zone: 'r1' } })],
  ledgers: [
    aLedger({
      entries: [anEntry(web, webTask)],
      offers: [anOffer({ role: 'eng', resources: { cpus: 0.5, memMiB: 64 } })],
      reservations: [aReservation({ role: 'eng', by: 'anna' })],
    }),
  ],
  jobs: [web],
  tasks: [webTask],
  frameworks: [aFramework({ roles: ['eng'] })],
};

const scalar = (name: string, value: number, more: object = {}) => ({
  name,
  type: 'SCALAR',
  scalar: { value },
  role: '*',
  ...more,
});
const ports = (begin: number, end: number, more: object = {}) => ({
  name: 'ports',
  type: 'RANGES',
  ranges: { range: [{ begin, end }] },
  role: '*',
  ...more,
});

describe('the state over v1', () => {
  it('has tasks with their statuses', () => {
    const { get_tasks: tasks } = told(small);
    const to = { allocation_info: { role: '*' } };
    expect(tasks).toEqual({
      tasks: [
        {
          name: 'web',
          task_id: { value: webTask.id },
          framework_id: { value: 'berth' },
          agent_id: { value: 'edge-1' },
          state: 'TASK_RUNNING',
          resources: [scalar('cpus', 1, to), scalar('mem', 100, to), ports(31_005, 31_005, to)],
          statuses: [
            {
              task_id: { value: webTask.id },
              agent_id: { value: 'edge-1' },
              state: 'TASK_RUNNING',
              timestamp: T0 / 1000,
              container_status: {
                container_id: { value: webTask.id },
                network_infos: [{ ip_addresses: [{ protocol: 'IPv4', ip_address: '10.0.0.1' }] }],
              },
            },
          ],
          labels: { labels: [{ key: 'tier', value: 'front' }] },
          discovery: {
            visibility: 'CLUSTER',
            name: 'web',
            ports: { ports: [{ number: 31_005, name: 'http', protocol: 'tcp' }] },
          },
          container: expect.objectContaining({ type: 'DOCKER' }),
          user: 'nobody',
        },
      ],
      unreachable_tasks: [],
      completed_tasks: [],
    });
  });

  it('has agents with what is reserved, allocated and offered of them, by role', () => {
    const [agent] = told(small).get_agents.agents;
    expect(agent.agent_info).toEqual({
      hostname: 'edge-1.example',
      port: 5051,
      resources: [scalar('cpus', 4), scalar('mem', 4096), scalar('disk', 10_000), ports(31_000, 31_999)],
      attributes: ['arch', 'hostname', 'ip', 'node', 'os', 'region', 'zone'].map((name) =>
        expect.objectContaining({ name, type: 'TEXT' }),
      ),
      id: { value: 'edge-1' },
      domain: { fault_domain: { region: { name: 'eu' }, zone: { name: 'r1' } } },
    });
    const { id: _id, scalars } = aReservation();
    const info = { principal: 'anna' };
    expect(agent.total_resources.filter(({ role }: Told) => role === 'eng')).toContainEqual({
      name: 'cpus',
      type: 'SCALAR',
      scalar: { value: scalars.cpus },
      role: 'eng',
      reservation: info,
      reservations: [{ type: 'DYNAMIC', role: 'eng', ...info }],
    });
    const cpus = agent.total_resources.filter(({ name }: Told) => name === 'cpus').map((one: Told) => one.scalar.value);
    expect(cpus).toEqual([4 - scalars.cpus, scalars.cpus]);
    expect(agent.allocated_resources).toContainEqual(scalar('cpus', 1, { allocation_info: { role: '*' } }));
    expect(agent.offered_resources).toContainEqual(scalar('cpus', 0.5, { allocation_info: { role: 'eng' } }));
    expect(agent).toMatchObject({
      active: true,
      deactivated: false,
      pid: 'slave(1)@10.0.0.1:5051',
      registered_time: { nanoseconds: expect.any(Number) },
      capabilities: [{ type: 'MULTI_ROLE' }, { type: 'HIERARCHICAL_ROLE' }, { type: 'RESERVATION_REFINEMENT' }],
    });
  });

  it('counts a volume apart from the disk that is reserved', () => {
    const reservation = aReservation({ role: 'eng', scalars: { ...aReservation().scalars, diskMiB: 1000 } });
    const volume = aVolume({ reservation: reservation.id, sizeMiB: 400 });
    const ledger = { ...aLedger({ reservations: [reservation] }), volumes: { [volume.id]: volume } };
    const [agent] = told({ nodes: [aNode()], ledgers: [ledger] }).get_agents.agents;
    const disks = agent.total_resources.filter(({ name }: Told) => name === 'disk');
    expect(disks.map(({ scalar: { value }, role, disk }: Told) => [value, role, disk?.persistence.id])).toEqual([
      [9000, '*', undefined],
      [600, 'eng', undefined],
      [400, 'eng', volume.id],
    ]);
  });

  it('has frameworks with their offers', () => {
    const [own, painter] = told(small).get_frameworks.frameworks;
    expect(own.framework_info).toMatchObject({ id: { value: 'berth' }, name: 'berth', roles: ['*'] });
    expect(painter).toMatchObject({
      framework_info: { id: { value: MINE }, roles: ['eng'], capabilities: expect.any(Array) },
      recovered: false,
      registered_time: { nanoseconds: expect.any(Number) },
      offered_resources: [scalar('cpus', 0.5), scalar('mem', 64)],
      offers: [
        {
          agent_id: { value: 'edge-1' },
          framework_id: { value: MINE },
          hostname: 'edge-1.example',
          allocation_info: { role: 'eng' },
          url: { scheme: 'http', address: { ip: '10.0.0.1' } },
        },
      ],
    });
    expect(T0_TIME.nanoseconds).toBeGreaterThan(1e18);
  });

  it('has frameworks that are over among the completed ones, with the tasks that they had', () => {
    const teardown = { atMs: T0 + 5, by: 'anna', reason: 'enough' };
    const task = launchedTask(MINE, 'brush', { state: 'killed' });
    const state = told({ nodes: [aNode()], frameworks: [aFramework({ teardown })], tasks: [task] });
    expect(state.get_frameworks.completed_frameworks).toMatchObject([
      { active: false, unregistered_time: { nanoseconds: (T0 + 5) * 1_000_000 } },
    ]);
    expect(state.get_tasks.completed_tasks).toMatchObject([{ task_id: { value: 'brush' }, state: 'TASK_KILLED' }]);
  });

  it('has what runs other tasks as executors', () => {
    const task = launchedTask(MINE, 'crew', { state: 'running' });
    const template = {
      ...task.template,
      group: { ...aGroup({ name: 'crew', command: ['run', 'it'] }), isExecutor: true as const },
    };
    const crew = { ...task, template: { priority: 50, replaceAfterSeconds: 60, ...template } };
    expect(told({ nodes: [aNode()], frameworks: [aFramework()], tasks: [crew] }).get_executors).toMatchObject({
      executors: [
        {
          executor_info: {
            executor_id: { value: 'crew' },
            framework_id: { value: MINE },
            command: { shell: false, value: 'run', arguments: ['run', 'it'] },
          },
          agent_id: { value: 'edge-1' },
        },
      ],
    });
  });

  it('leaves out what a reader may not see', () => {
    const reader = { ...ADMIN, grants: [{ roles: ['ops'], actions: ['node:read', 'task:read', 'framework:read'] }] };
    const state = told(small, reader);
    expect(state.get_tasks.tasks).toEqual([]);
    const [agent] = state.get_agents.agents;
    expect(agent.total_resources.some(({ role }: Told) => role === 'eng')).toBe(false);
    expect([agent.allocated_resources, agent.offered_resources]).toEqual([undefined, undefined]);
  });
});
