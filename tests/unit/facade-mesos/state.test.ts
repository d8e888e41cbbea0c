import { describe, expect, it } from 'vitest';
import type { Framework } from '../../../shared/domain/framework.ts';
import { advance, type Task, type TaskState } from '../../../shared/domain/task.ts';
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
  type ClusterLiteral,
  someResources,
  T0,
} from '../../support/builders.ts';
import { launchedTask } from '../../support/frameworks.ts';
import { ADMIN } from '../../support/replica.ts';
import { frameworkOf, stateOf } from './shown-state.ts';

const MINE = 'f000000000001';
const NO_AMOUNTS = { cpus: 0, gpus: 0, mem: 0, disk: 0 };
const T0_SECONDS = T0 / 1000;

const web = aJob({
  spec: {
    name: 'web',
    labels: { tier: 'front' },
    groups: [aGroup({ ports: [{ name: 'http', containerPort: 80, protocol: 'tcp' }], user: 'nobody' })],
  },
});
const webTask = aTask(web, { state: 'running', node: 'edge-1', ports: { http: 31_005 } });
const address = { ip: '10.0.0.1', rack: 'r1' };

/** One node with a task of a job, an offer to a framework, and something that is reserved. */
const small: ClusterLiteral = {
  nodes: [aNode({ attributes: address })],
  ledgers: [
    aLedger({
      entries: [anEntry(web, webTask)],
      offers: [anOffer({ resources: { cpus: 0.5, memMiB: 64 } })],
      reservations: [aReservation({ role: 'eng' })],
    }),
  ],
  jobs: [web],
  tasks: [webTask],
  frameworks: [aFramework()],
};

const wholeNode = { cpus: 4, gpus: 0, mem: 4096, disk: 10_000, ports: '[31000-31999]' };
const used = { cpus: 1, gpus: 0, mem: 100, disk: 0 };
const offered = { cpus: 0.5, gpus: 0, mem: 64, disk: 0 };

describe('the state of a small cluster', () => {
  it('has every field that tools for Mesos read', () => {
    expect(stateOf(small)).toEqual({
      version: '1.11.0',
      build_user: 'berth',
      start_time: T0_SECONDS,
      elected_time: T0_SECONDS,
      id: 'c1',
      pid: 'master@10.0.0.9:7878',
      hostname: '10.0.0.9',
      capabilities: ['QUOTA_V2'],
      activated_slaves: 1,
      deactivated_slaves: 0,
      unreachable_slaves: 0,
      leader: 'master@10.0.0.9:7878',
      leader_info: { id: 'replica-1', pid: 'master@10.0.0.9:7878', port: 7878, hostname: '10.0.0.9' },
      cluster: 'c1',
      flags: {},
      slaves: [
        {
          id: 'edge-1',
          hostname: 'edge-1.example',
          port: 5051,
          attributes: { hostname: 'edge-1.example', arch: 'x64', os: 'linux', node: 'edge-1', ...address },
          pid: 'slave(1)@10.0.0.1:5051',
          registered_time: T0_SECONDS,
          resources: wholeNode,
          used_resources: { ...used, ports: '[31005-31005]' },
          offered_resources: offered,
          reserved_resources: { eng: { cpus: 1, gpus: 0, mem: 100, disk: 0 } },
          unreserved_resources: { ...wholeNode, cpus: 3, mem: 3996 },
          active: true,
          deactivated: false,
          version: '0.1.0',
          capabilities: ['MULTI_ROLE', 'HIERARCHICAL_ROLE', 'RESERVATION_REFINEMENT'],
        },
      ],
      recovered_slaves: [],
      frameworks: [ownFramework, painter],
      completed_frameworks: [],
      unregistered_frameworks: [],
      orphan_tasks: [],
    });
  });
});

const ownFramework = {
  id: 'berth',
  name: 'berth',
  used_resources: used,
  offered_resources: NO_AMOUNTS,
  capabilities: ['MULTI_ROLE', 'PARTITION_AWARE', 'TASK_KILLING_STATE', 'GPU_RESOURCES'],
  hostname: '10.0.0.9',
  webui_url: '',
  active: true,
  connected: true,
  recovered: false,
  user: '',
  failover_timeout: 0,
  checkpoint: true,
  registered_time: T0_SECONDS,
  unregistered_time: 0,
  principal: 'berth',
  resources: used,
  roles: ['*'],
  tasks: [
    {
      id: webTask.id,
      name: 'web',
      framework_id: 'berth',
      executor_id: '',
      slave_id: 'edge-1',
      state: 'TASK_RUNNING',
      resources: { ...used, ports: '[31005-31005]' },
      role: '*',
      user: 'nobody',
      statuses: [
        {
          state: 'TASK_RUNNING',
          timestamp: T0_SECONDS,
          container_status: {
            container_id: { value: webTask.id },
            network_infos: [{ ip_addresses: [{ protocol: 'IPv4', ip_address: '10.0.0.1' }] }],
          },
        },
      ],
      labels: [{ key: 'tier', value: 'front' }],
      discovery: {
        visibility: 'CLUSTER',
        name: 'web',
        ports: { ports: [{ number: 31_005, name: 'http', protocol: 'tcp' }] },
      },
      container: {
        type: 'DOCKER',
        docker: {
          image: 'busybox:1.36',
          network: 'BRIDGE',
          privileged: false,
          port_mappings: [{ host_port: 31_005, container_port: 80, protocol: 'tcp' }],
        },
      },
    },
  ],
  unreachable_tasks: [],
  completed_tasks: [],
  offers: [],
  executors: [],
};

const painter = {
  id: MINE,
  name: 'painter',
  used_resources: NO_AMOUNTS,
  offered_resources: offered,
  capabilities: ['MULTI_ROLE', 'PARTITION_AWARE', 'TASK_KILLING_STATE', 'RESERVATION_REFINEMENT'],
  hostname: '',
  webui_url: '',
  active: true,
  connected: true,
  recovered: false,
  user: '',
  failover_timeout: 60,
  checkpoint: true,
  registered_time: T0_SECONDS,
  unregistered_time: 0,
  principal: 'alice',
  resources: offered,
  roles: ['*'],
  tasks: [],
  unreachable_tasks: [],
  completed_tasks: [],
  offers: [
    {
      id: '1-1-0',
      framework_id: MINE,
      allocation_info: { role: '*' },
      slave_id: 'edge-1',
      resources: offered,
    },
  ],
  executors: [],
};

/** A framework of a Mesos client, which spells things in its own way. */
function ofWire(info: object, change: Partial<Framework> = {}): Framework {
  const notes = { info, roles: { default: 'Big Data' }, id: '20160101-fw' };
  return aFramework({ annotations: { mesos: JSON.stringify(notes) }, ...change });
}

describe('frameworks', () => {
  it('of Mesos clients are shown as they describe themselves', () => {
    const info = {
      name: 'My Framework',
      user: 'root',
      principal: 'p',
      hostname: 'sched.example',
      webui_url: 'http://sched.example',
      checkpoint: false,
      capabilities: [{ type: 'GPU_RESOURCES' }],
      labels: { labels: [{ key: 'a', value: 'b' }] },
    };
    const state = stateOf({ frameworks: [ofWire(info, { session: 2, subscribedAtMs: T0 + 5000 })] });
    expect(frameworkOf(state, '20160101-fw')).toMatchObject({
      name: 'My Framework',
      user: 'root',
      principal: 'p',
      hostname: 'sched.example',
      webui_url: 'http://sched.example',
      checkpoint: false,
      capabilities: ['GPU_RESOURCES'],
      role: 'Big Data',
      labels: [{ key: 'a', value: 'b' }],
      reregistered_time: T0_SECONDS + 5,
    });
    expect(frameworkOf(state, '20160101-fw')).not.toHaveProperty('roles');
  });

  it('have no pid: nobody listens behind it, and a reader would fail at one that it cannot take apart', () => {
    for (const framework of stateOf(small).frameworks) expect(framework).not.toHaveProperty('pid');
  });

  it('are away while no replica holds their stream', () => {
    const state = stateOf({ frameworks: [aFramework()], disconnected: [MINE] });
    expect(frameworkOf(state, MINE)).toMatchObject({ active: false, connected: false });
  });

  it('that were torn down are over once nothing of them lives, and the latest fifty are kept', () => {
    const teardown = (atMs: number) => ({ atMs, by: 'alice', reason: 'over' });
    const ended = Array.from({ length: 60 }, (_, n) =>
      aFramework({ id: `f0000000001${String(n).padStart(2, '0')}`, teardown: teardown(T0 + n * 1000) }),
    );
    const ending = aFramework({ teardown: teardown(T0) });
    const tasks = [launchedTask(MINE, 'one', { state: 'running' })];
    const state = stateOf({ nodes: [aNode()], frameworks: [...ended, ending], tasks });
    expect(state.frameworks.map(({ id }) => id)).toEqual(['berth', MINE]);
    expect(frameworkOf(state, MINE)).toMatchObject({ active: false, unregistered_time: T0_SECONDS });
    expect(state.completed_frameworks.map((framework) => framework['unregistered_time'])).toEqual(
      Array.from({ length: 50 }, (_, n) => T0_SECONDS + 10 + n),
    );
  });
});

describe('nodes', () => {
  const epoch = { epoch: 1, unreachableSinceMs: null };

  it.each<[string, ClusterLiteral, object]>([
    ['that take tasks are active', {}, { activated_slaves: 1, slaves: [{ active: true, deactivated: false }] }],
    [
      'that are closed are deactivated',
      { ledgers: [aLedger({ eligible: false })] },
      { activated_slaves: 0, deactivated_slaves: 1, slaves: [{ active: false, deactivated: true }] },
    ],
    [
      'that have fallen silent just now are known and not active',
      { dead: ['edge-1'], epochs: { 'edge-1': epoch } },
      { activated_slaves: 0, deactivated_slaves: 1, unreachable_slaves: 0, slaves: [{ active: false }] },
    ],
    [
      'that are unreachable are only counted',
      { dead: ['edge-1'], epochs: { 'edge-1': { ...epoch, unreachableSinceMs: T0 } } },
      { activated_slaves: 0, deactivated_slaves: 0, unreachable_slaves: 1, slaves: [] },
    ],
  ])('%s', (_what, literal, shown) => expect(stateOf({ nodes: [aNode()], ...literal })).toMatchObject(shown));

  it('say how their drain stands', () => {
    const drain = { startedAtMs: T0, deadlineMs: null, by: 'alice' };
    const drainOf = (entries: Parameters<typeof aLedger>[0]) =>
      stateOf({ nodes: [aNode()], ledgers: [aLedger({ drain, ...entries })] }).slaves[0]?.['drain_info'];
    expect(drainOf({ entries: [anEntry(web, webTask)] })).toEqual({ state: 'DRAINING' });
    expect(drainOf({})).toEqual({ state: 'DRAINED' });
  });

  it('are found at their name where nobody has said their address, or has said what is none', () => {
    const pidOf = (ip?: string) =>
      stateOf({ nodes: [aNode({ attributes: ip === undefined ? {} : { ip } })] }).slaves[0]?.['pid'];
    expect(pidOf()).toBe('slave(1)@edge-1.example:5051');
    expect(pidOf('no@address')).toBe('slave(1)@edge-1.example:5051');
    expect(pidOf('192.168.1.7')).toBe('slave(1)@192.168.1.7:5051');
  });
});

describe('tasks of jobs', () => {
  it.each([
    ['default', 1, 'web'],
    ['default', 2, 'main.web'],
    ['eng/ml', 1, 'web.ml.eng'],
    ['eng/ml', 2, 'main.web.ml.eng'],
  ])('of role %s, with %i groups, are named %s', (role, count, name) => {
    const groups = [aGroup(), aGroup({ name: 'other' })].slice(0, count);
    const job = aJob({ spec: { name: 'web', role, groups } });
    const state = stateOf({ nodes: [aNode()], jobs: [job], tasks: [aTask(job, { state: 'running', node: 'edge-1' })] });
    expect(frameworkOf(state).tasks[0]).toMatchObject({ name, role: role === 'default' ? '*' : role });
  });

  it('that have no place yet, or never had one, are left out', () => {
    const tasks = [aTask(web), aTask(web, { index: 1, state: 'killed' })];
    const { tasks: live, completed_tasks: ended } = frameworkOf(stateOf({ jobs: [web], tasks }));
    expect([live, ended]).toEqual([[], []]);
  });

  it('that have ended are kept, the latest thousand in their order', () => {
    const tasks = Array.from({ length: 1100 }, (_, index) =>
      aTask(web, { index, state: 'finished', node: 'edge-1', atMs: T0 + (1100 - index) * 1000 }),
    );
    const { completed_tasks: ended } = frameworkOf(stateOf({ nodes: [aNode()], jobs: [web], tasks }));
    expect(ended).toHaveLength(1000);
    expect([ended[0]?.['id'], ended.at(-1)?.['id']]).toEqual([tasks[999]?.id, tasks[0]?.id]);
    expect(ended[0]).toMatchObject({ state: 'TASK_FINISHED', resources: { cpus: 1 } });
  });

  it('have failed where their node could not start them, and are an error where they could not be right', () => {
    const endedFor = (reason: 'image-unavailable' | 'refused-by-node') => {
      const end = { state: 'error', atMs: T0, reason, message: 'why' } as const;
      const task = advance(aTask(web, { state: 'starting', node: 'edge-1' }), end);
      const [ended] = frameworkOf(stateOf({ nodes: [aNode()], jobs: [web], tasks: [task] })).completed_tasks;
      const statuses = (ended?.['statuses'] ?? []) as readonly { readonly state: string }[];
      return [ended?.['state'], statuses.at(-1)?.state];
    };
    expect(endedFor('image-unavailable')).toEqual(['TASK_FAILED', 'TASK_FAILED']);
    expect(endedFor('refused-by-node')).toEqual(['TASK_ERROR', 'TASK_ERROR']);
  });

  it('are shown without what their job said once that is on record no more', () => {
    const state = stateOf({ nodes: [aNode()], tasks: [aTask(web, { state: 'finished', node: 'edge-1' })] });
    expect(frameworkOf(state).completed_tasks[0]).toMatchObject({ name: 'web', resources: NO_AMOUNTS });
  });
});

describe('states of tasks', () => {
  const away = { 'edge-1': { epoch: 1, unreachableSinceMs: T0 + 9000 } };
  const capable = ofWire({ name: 'x', user: '', capabilities: [{ type: 'PARTITION_AWARE' }] });
  const old = ofWire({ name: 'x', user: '' });
  const stop = { atMs: T0 + 3000, by: 'alice', reason: 'enough' };
  const lost = (from: TaskState): Task =>
    advance(launchedTask(MINE, 'one', { state: from }), { state: 'lost', atMs: T0, reason: 'node-lost', message: '' });

  const shown = (framework: Framework, task: Task, literal: ClusterLiteral = {}) => {
    const state = stateOf({ nodes: [aNode()], frameworks: [framework], tasks: [task], ...literal });
    const { tasks, unreachable_tasks: silent, completed_tasks: ended } = frameworkOf(state, '20160101-fw');
    const [only] = [...tasks, ...silent, ...ended];
    const where = tasks.length > 0 ? 'live' : silent.length > 0 ? 'unreachable' : 'ended';
    const statuses = (only?.['statuses'] ?? []) as readonly { readonly state: string }[];
    return [where, only?.['state'], statuses.map((status) => status.state)];
  };

  it('follow what the framework knows of partitions', () => {
    const running = launchedTask(MINE, 'one', { state: 'running' });
    const gone = {
      nodes: [],
      epochs: { 'edge-1': { epoch: 2, unreachableSinceMs: null, gone: { atMs: T0, by: 'a' } } },
    };
    const dead = { dead: ['edge-1'], epochs: away };
    expect([
      shown(capable, running),
      shown(capable, running, dead),
      shown(old, running, dead),
      shown(capable, lost('running')),
      shown(capable, lost('staging')),
      shown(capable, lost('running'), gone),
      shown(old, lost('running')),
    ]).toEqual([
      ['live', 'TASK_RUNNING', ['TASK_STAGING', 'TASK_RUNNING']],
      ['unreachable', 'TASK_UNREACHABLE', ['TASK_STAGING', 'TASK_RUNNING', 'TASK_UNREACHABLE']],
      ['unreachable', 'TASK_LOST', ['TASK_STAGING', 'TASK_RUNNING', 'TASK_LOST']],
      ['ended', 'TASK_GONE', ['TASK_STAGING', 'TASK_RUNNING', 'TASK_GONE']],
      ['ended', 'TASK_DROPPED', ['TASK_STAGING', 'TASK_DROPPED']],
      ['ended', 'TASK_GONE_BY_OPERATOR', ['TASK_STAGING', 'TASK_RUNNING', 'TASK_GONE_BY_OPERATOR']],
      ['ended', 'TASK_LOST', ['TASK_STAGING', 'TASK_RUNNING', 'TASK_LOST']],
    ]);
  });

  it('say that the end was asked for, where the framework knows of that, and not that it always was', () => {
    const task = launchedTask(MINE, 'one', { state: 'running', stop });
    const killing = ofWire({ name: 'x', user: '', capabilities: [{ type: 'TASK_KILLING_STATE' }] });
    expect(shown(killing, task)).toEqual(['live', 'TASK_KILLING', ['TASK_STAGING', 'TASK_RUNNING', 'TASK_KILLING']]);
    expect(shown(old, task)).toEqual(['live', 'TASK_RUNNING', ['TASK_STAGING', 'TASK_RUNNING']]);
  });
});

describe('tasks of frameworks', () => {
  const launched = (notes: object, change: Partial<Task> = {}): Task => {
    const task = launchedTask(MINE, 'My Task/1', { state: 'running', ...change });
    const framework = { id: MINE, name: 'My Task/1', acknowledged: 1, labels: { own: 'yes' }, together: null };
    return { ...task, framework: { ...framework, annotations: { mesos: JSON.stringify(notes) } } };
  };
  const shownTask = (task: Task) =>
    frameworkOf(
      stateOf({ nodes: [aNode()], frameworks: [ofWire({ name: 'x', user: '' })], tasks: [task] }),
      '20160101-fw',
    );

  it('are shown as the client described them', () => {
    const notes = {
      name: 'paint',
      executor_id: 'brush',
      labels: [
        { key: 'a', value: '1' },
        { key: 'a', value: '2' },
      ],
      discovery: { visibility: 'EXTERNAL', name: 'paint' },
      container: { type: 'DOCKER', docker: { image: 'x' }, hostname: 'h' },
    };
    expect(shownTask(launched(notes)).tasks[0]).toMatchObject({
      id: 'My Task/1',
      framework_id: '20160101-fw',
      role: 'Big Data',
      executor_id: 'brush',
      ...{ name: notes.name, labels: notes.labels, discovery: notes.discovery, container: notes.container },
    });
  });

  it('say whether they work with their present status alone, and how that is checked', () => {
    const health = { run: 0, healthy: true, ready: true, sinceMs: T0 + 5, checks: [] };
    const starting = { ...launchedTask(MINE, 'My Task/1', { state: 'starting' }), health };
    const running = advance(starting, { state: 'running', atMs: T0 + 2, reason: 'started', message: '' });
    const end = { state: 'failed', atMs: T0 + 9, reason: 'unhealthy', message: '' } as const;
    const statuses = ({ tasks, completed_tasks: ended }: ReturnType<typeof shownTask>) => {
      const [task] = [...tasks, ...ended];
      const shown = (task?.['statuses'] ?? []) as readonly { readonly state: string; readonly healthy?: boolean }[];
      return shown.map(({ state, healthy }) => [state, healthy]);
    };
    const begin = [
      ['TASK_STAGING', undefined],
      ['TASK_STARTING', undefined],
    ];
    expect(statuses(shownTask(starting))).toEqual(begin);
    expect(statuses(shownTask(running))).toEqual([...begin, ['TASK_RUNNING', true]]);
    expect(statuses(shownTask(advance(running, end)))).toEqual([
      ...begin,
      ['TASK_RUNNING', undefined],
      ['TASK_KILLED', false],
    ]);
    const check = { type: 'TCP', tcp: { port: 80 } };
    expect(shownTask(launched({ health_check: check })).tasks[0]).toMatchObject({ health_check: check });
  });

  it('have the labels of the native API where the client gave none', () => {
    expect(shownTask(launched({})).tasks[0]).toMatchObject({
      name: 'My Task/1',
      labels: [{ key: 'own', value: 'yes' }],
    });
  });

  it('that run others are executors, and tasks as well unless nobody is told of them', () => {
    const group = aGroup({ command: ['run'], args: ['-v'] });
    const template = { group: { ...group, isExecutor: true as const }, priority: 50, replaceAfterSeconds: 60 };
    const native = shownTask(launched({}, { template }));
    const hidden = shownTask(launched({ is_executor: true }, { template }));
    expect([native.executors.length, native.tasks.length]).toEqual([1, 1]);
    expect([hidden.executors.length, hidden.tasks.length]).toEqual([1, 0]);
    expect(hidden.executors[0]).toMatchObject({
      executor_id: 'My Task/1',
      framework_id: '20160101-fw',
      slave_id: 'edge-1',
      command: { argv: ['run', '-v'], uris: [] },
      resources: { cpus: 1 },
    });
  });
});

describe('who may see what', () => {
  const eng = aJob({ spec: { name: 'model', role: 'eng' } });
  const task = aTask(eng, { state: 'running', node: 'edge-1' });
  const framework = aFramework({ id: 'f000000000002', roles: ['eng'] });
  const cluster: ClusterLiteral = {
    ...small,
    ledgers: [
      aLedger({
        entries: [anEntry(web, webTask), anEntry(eng, task)],
        offers: [anOffer(), anOffer({ id: '1-1-1', framework: framework.id, role: 'eng' })],
        reservations: [aReservation({ role: 'eng' })],
      }),
    ],
    jobs: [web, eng],
    tasks: [webTask, task],
    frameworks: [aFramework(), framework],
  };
  const seenBy = (actions: string[], roles = ['default']) =>
    stateOf(cluster, { ...ADMIN, subject: 'bob', grants: [{ roles, actions }] });

  it('tasks, frameworks and reservations of roles that the token reaches, and no others', () => {
    const state = seenBy(['task:read', 'framework:read', 'node:read', 'reservation:read']);
    expect(state.frameworks.map(({ id }) => id)).toEqual(['berth', MINE]);
    expect(frameworkOf(state)).toMatchObject({ roles: ['*'], used_resources: { cpus: 1 } });
    expect(frameworkOf(state).tasks.map(({ name }) => name)).toEqual(['web']);
    expect(state.slaves[0]?.['reserved_resources']).toEqual({});
    expect(JSON.stringify(state)).not.toMatch(/model|eng|f000000000002/);
  });

  it.each([
    ['no nodes without node:read', ['task:read', 'framework:read'], { slaves: [], activated_slaves: 0 }],
    ['no frameworks without framework:read', ['node:read', 'task:read'], { frameworks: [{ id: 'berth' }] }],
    ['no tasks without task:read', ['node:read'], { frameworks: [{ tasks: [], used_resources: NO_AMOUNTS }] }],
  ])('%s', (_what, actions, shown) => expect(seenBy(actions, ['*'])).toMatchObject(shown));

  it('no offer on a node that is not shown, at which readers fail', () => {
    expect(frameworkOf(seenBy(['framework:read']), MINE)).toMatchObject({ offers: [], offered_resources: { cpus: 1 } });
  });
});

it('amounts keep three decimals in sums of many', () => {
  const resources = someResources({ cpus: 0.1, memMiB: 0.1, diskMiB: 0, ports: [] });
  const tasks = Array.from({ length: 30 }, (_, index) => aTask(web, { index, state: 'running', node: 'edge-1' }));
  const ledgers = [aLedger({ entries: tasks.map((task) => anEntry(web, task, { resources })) })];
  const state = stateOf({ nodes: [aNode()], ledgers, jobs: [web], tasks });
  expect(frameworkOf(state)).toMatchObject({ used_resources: { cpus: 3, mem: 3 } });
});
