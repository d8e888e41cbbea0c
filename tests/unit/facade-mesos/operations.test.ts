import { describe, expect, it } from 'vitest';
import {
  type AcceptToPlan,
  type PlannedAccept,
  planAccept,
  withoutFaulted,
} from '../../../control-plane/facade-mesos/translate/operations.ts';
import { volumeLabels } from '../../../control-plane/facade-mesos/translate/volume-note.ts';
import { offerOperationSchema } from '../../../control-plane/facade-mesos/wire/offer-operation.ts';
import { acceptOffers } from '../../../control-plane/scheduler/accept-offers.ts';
import type { Ledger } from '../../../shared/domain/ledger.ts';
import type { Offer } from '../../../shared/domain/offer.ts';
import type { Reservation } from '../../../shared/domain/reservation.ts';
import { NO_SCALARS, type Scalars } from '../../../shared/domain/resources.ts';
import { operationOf } from '../../../shared/protocol/offers.ts';
import { aFramework, aLedger, aNode, anOffer, aReservation, aVolume, T0 } from '../../support/builders.ts';

const scalars = (change: Partial<Scalars>): Scalars => ({ ...NO_SCALARS, ...change });
const OWN = { role: 'eng', reservation: { principal: 'p' } };
const scalar = (name: string, value: number, more: object = {}) => ({
  name,
  type: 'SCALAR',
  scalar: { value },
  ...more,
});
const disk = (id: string, value = 100, more: object = OWN) =>
  scalar('disk', value, {
    ...more,
    disk: { persistence: { id, principal: 'p' }, volume: { container_path: 'data', mode: 'RW' } },
  });

function aTask(id: string, change: object = {}) {
  return {
    name: id,
    task_id: { value: id },
    agent_id: { value: 'edge-1' },
    resources: [scalar('cpus', 1), scalar('mem', 64)],
    command: { value: 'serve' },
    container: { type: 'DOCKER', docker: { image: 'web:1', network: 'BRIDGE' } },
    ...change,
  };
}

const launch = (...tasks: object[]) => ({ type: 'LAUNCH', launch: { task_infos: tasks } });
const reserve = (...resources: object[]) => ({ type: 'RESERVE', id: { value: 'op' }, reserve: { resources } });
const unreserve = (...resources: object[]) => ({ type: 'UNRESERVE', unreserve: { resources } });
const create = (...volumes: object[]) => ({ type: 'CREATE', create: { volumes } });
const destroy = (...volumes: object[]) => ({ type: 'DESTROY', destroy: { volumes } });

interface Stage {
  readonly reservations?: readonly Reservation[];
  readonly volumes?: Ledger['volumes'];
  readonly offer?: Partial<Offer>;
  readonly capabilities?: readonly string[];
  readonly principal?: string | null;
  readonly taken?: readonly string[];
}

/** With cpus and disk of the role's own reservation of `p`, and some of another one. */
const KEPT = aReservation({
  id: 'r1',
  role: 'eng',
  scalars: scalars({ cpus: 1, diskMiB: 500 }),
  labels: { mesos: '{"principal":"p"}' },
});
const MORE = aReservation({ ...KEPT, id: 'r2', scalars: scalars({ cpus: 2 }) });
const OTHER = aReservation({ id: 'r3', role: 'eng', scalars: scalars({ cpus: 1 }), by: 'op' });

function stage({ reservations = [KEPT, MORE, OTHER], volumes = {}, offer = {} }: Stage) {
  const reserved = Object.fromEntries(reservations.map(({ id, scalars: own }) => [id, own]));
  const made = anOffer({
    ...{ id: '0-0-0', role: 'eng', reserved },
    resources: { cpus: 8, memMiB: 2000, diskMiB: 1000, ports: [{ first: 31_000, last: 31_010 }] },
    ...offer,
  });
  return { made, ledger: aLedger({ offers: [made], reservations, volumes }) };
}

function plan(operations: readonly object[], staged: Stage = {}): PlannedAccept {
  const { made, ledger } = stage(staged);
  const accept: AcceptToPlan = {
    operations: operations.map((operation) => offerOperationSchema.parse(operation)),
    offers: [
      {
        ...{ id: made.id, role: made.role, node: 'edge-1' },
        reserved: Object.entries(made.reserved).map(([reservation, resources]) => ({
          ...{ reservation, role: 'eng', labels: {} },
          resources: { ...resources, custom: { ...resources.custom } },
        })),
      },
    ],
    holdings: {
      reservations: Object.values(ledger.reservations),
      volumes: Object.values(ledger.volumes).map((volume) => ({ ...volume, labels: { ...volume.labels }, tasks: [] })),
    },
    framework: {
      ...{ id: 'F1', subject: 'alice', principal: staged.principal === undefined ? 'p' : staged.principal },
      capabilities: new Set(staged.capabilities),
      wireRole: (role) => (role === 'default' ? '*' : role),
    },
    isTaken: (task) => (staged.taken ?? []).includes(task),
  };
  return planAccept(accept);
}

/** As Berth carries it out. */
function carriedOut(operations: readonly object[], staged: Stage = {}) {
  const planned = plan(operations, staged);
  expect(planned.refusedOperations).toEqual([]);
  const { made, ledger } = stage(staged);
  const accepted = acceptOffers({
    ...{ ledger, node: aNode(), framework: aFramework({ roles: ['eng'] }), offers: [made] as const },
    operations: planned.operations.map(({ native }) => operationOf(native, () => 'unnamed')),
    ...{ refuseSeconds: 5, mounted: new Set(), by: 'alice', nowMs: T0 },
  });
  if (!accepted.ok) throw new Error(JSON.stringify(accepted.faults));
  return accepted;
}

const messageOf = ({ refusedOperations }: PlannedAccept) => refusedOperations[0]?.message;
const natives = ({ operations }: PlannedAccept) => operations.map(({ native }) => native);

describe('launching', () => {
  it('makes one operation of its tasks, and tells those apart that are wrong', () => {
    const { operations, refusedTasks } = plan([
      launch(aTask('a'), aTask('b', { agent_id: { value: 'x' } }), aTask('c')),
      launch(),
    ]);
    expect(operations).toMatchObject([
      { place: 0, operationId: null, native: { type: 'launch', tasks: [{ task: 'a', reserved: {} }, { task: 'c' }] } },
    ]);
    expect(operations[0]?.tasks.map(({ name }) => name)).toEqual(['a', 'c']);
    expect(refusedTasks).toMatchObject([
      {
        task: { name: 'b' },
        state: 'TASK_ERROR',
        reason: 'REASON_TASK_INVALID',
        message: 'Task uses invalid agent x while agent edge-1 is expected',
      },
    ]);
  });

  it.each([
    ['used before in the call', [launch(aTask('a')), launch(aTask('a'))], {}],
    ['of a task on record', [launch(aTask('a'))], { taken: ['a'] }],
  ])('refuses an id %s', (_what, operations, staged) => {
    expect(plan(operations, staged).refusedTasks).toMatchObject([{ message: 'Task has duplicate ID: a' }]);
  });

  it('wants no id of its own', () => {
    const named = { ...launch(aTask('a')), id: { value: 'op' } };
    expect(plan([named]).refusedTasks).toMatchObject([
      { message: "The 'id' field must not be set for LAUNCH operations" },
    ]);
  });

  it.each([
    [[], 'TASK_LOST'],
    [['PARTITION_AWARE'], 'TASK_DROPPED'],
  ])('gives back what is too much for one call (%j): %s', (capabilities, state) => {
    const tasks = Array.from({ length: 101 }, (_, n) => aTask(`t${n}`));
    const { operations, refusedTasks } = plan([launch(...tasks.slice(0, 99)), launch(...tasks.slice(99))], {
      capabilities,
    });
    expect(operations.map((planned) => planned.tasks.length)).toEqual([99, 1]);
    expect(refusedTasks).toMatchObject([{ task: { name: 't100' }, state, reason: 'REASON_INVALID_OFFERS' }]);
    const group = {
      type: 'LAUNCH_GROUP',
      launch_group: { executor: EXECUTOR, task_group: { tasks: tasks.slice(99) } },
    };
    expect(plan([launch(...tasks.slice(0, 99)), group]).refusedTasks).toHaveLength(2);
  });

  it('takes from reservations what it says, over as many of one identity as it needs', () => {
    const resources = [scalar('cpus', 2.5, OWN), scalar('cpus', 0.5), scalar('mem', 64)];
    const planned = plan([
      launch(
        aTask('a', { resources }),
        aTask('b', { resources: [scalar('cpus', 0.5, OWN)] }),
        aTask('c', { resources: [scalar('cpus', 0.1, OWN)] }),
      ),
    ]);
    expect(natives(planned)).toMatchObject([
      {
        tasks: [
          { task: 'a', resources: { cpus: 3 }, reserved: { r1: { cpus: 1 }, r2: { cpus: 1.5 } } },
          { task: 'b', reserved: { r2: { cpus: 0.5 } } },
        ],
      },
    ]);
    expect(planned.refusedTasks).toMatchObject([
      {
        task: { name: 'c' },
        message: expect.stringContaining('cpus(reservations: [(DYNAMIC,eng,p)]):0.1 required by task'),
      },
    ]);
    const { ledger, tasks } = carriedOut([launch(aTask('a', { resources }))]);
    expect(tasks.map(({ state }) => state)).toEqual(['staging']);
    expect(Object.values(ledger.entries)[0]?.reserved).toMatchObject({ r1: { cpus: 1 }, r2: { cpus: 1.5 } });
  });

  it('takes from reservations of any name', () => {
    const reservations = [aReservation({ ...KEPT, id: 'constructor' }), aReservation({ ...MORE, id: 'r2' })];
    const resources = [scalar('cpus', 2, OWN), scalar('cpus', 0)];
    expect(natives(plan([launch(aTask('a', { resources }))], { reservations }))).toMatchObject([
      { tasks: [{ reserved: { constructor: { cpus: 1 }, r2: { cpus: 1 } } }] },
    ]);
  });

  it('takes nothing from reservations without saying so, but from those that are for everybody', () => {
    expect(natives(plan([launch(aTask('a'))]))).toMatchObject([{ tasks: [{ reserved: {} }] }]);
    const everybody = aReservation({ id: 'r1', role: 'default', scalars: scalars({ cpus: 0.25 }) });
    expect(natives(plan([launch(aTask('a'))], { reservations: [everybody] }))).toMatchObject([
      { tasks: [{ resources: { cpus: 1 }, reserved: { r1: { cpus: 0.25 } } }] },
    ]);
  });

  it('has no ports to reserve', () => {
    const ports = { name: 'ports', type: 'RANGES', ranges: { range: [{ begin: 31_000, end: 31_000 }] }, ...OWN };
    const { refusedTasks } = plan([launch(aTask('a', { resources: [scalar('cpus', 1, OWN), ports] }))]);
    expect(refusedTasks).toMatchObject([
      { message: expect.stringContaining('ports(reservations: [(DYNAMIC,eng,p)]):[31000-31000]') },
    ]);
  });
});

const EXECUTOR = {
  type: 'DEFAULT',
  executor_id: { value: 'e' },
  framework_id: { value: 'F1' },
  resources: [scalar('cpus', 0.1), scalar('mem', 32), scalar('disk', 10)],
};

describe('launching a group', () => {
  const image = { type: 'MESOS', mesos: { image: { type: 'DOCKER', docker: { name: 'web:1' } } } };
  const member = (id: string, change: object = {}) => aTask(id, { container: image, ...change });
  const group = (tasks: object[], executor: object = EXECUTOR) => ({
    type: 'LAUNCH_GROUP',
    launch_group: { executor, task_group: { tasks } },
  });

  it('makes one operation of it, and the executor takes nothing', () => {
    const planned = plan([group([member('a'), member('b', { executor: EXECUTOR })])]);
    expect(natives(planned)).toMatchObject([
      {
        type: 'launch-group',
        tasks: [
          {
            task: 'a',
            network: 'host',
            resources: { cpus: 1, memMiB: 64, diskMiB: 0 },
            env: { MESOS_EXECUTOR_ID: 'e' },
          },
          { task: 'b' },
        ],
      },
    ]);
    const [operation] = natives(planned);
    const [task] = operation?.type === 'launch-group' ? operation.tasks : [];
    expect(JSON.parse(task?.annotations['mesos'] ?? '')).toMatchObject({ executor_id: 'e' });
  });

  it.each([
    [[member('a'), aTask('b')], EXECUTOR, "Task 'b' is invalid: Docker ContainerInfo is not supported on the task"],
    [[member('a'), member('a')], EXECUTOR, "Task 'a' is invalid: Task has duplicate ID: a"],
    [
      [member('a', { command: undefined }), member('b')],
      EXECUTOR,
      "Task 'a' is invalid: 'TaskInfo.command' must be set",
    ],
    [
      [member('a', { executor: { ...EXECUTOR, executor_id: { value: 'x' } } }), member('b')],
      EXECUTOR,
      "Task 'a' is invalid: The `ExecutorInfo` of task 'a' is different from executor 'e'",
    ],
    [[member('a'), member('b')], { ...EXECUTOR, type: undefined }, "'ExecutorInfo.type' must be set"],
    [[member('a'), member('b')], { ...EXECUTOR, type: 'UNKNOWN' }, 'Unknown executor type'],
    [
      [member('a'), member('b')],
      { ...EXECUTOR, type: 'CUSTOM' },
      "'launch_group.executor' is not supported here: of the type CUSTOM; use DEFAULT",
    ],
    [[member('a'), member('b')], { ...EXECUTOR, executor_id: { value: '' } }, 'ID must not be empty'],
    [
      [member('a'), member('b')],
      { ...EXECUTOR, command: {} },
      "'ExecutorInfo.command' must not be set for 'DEFAULT' executor",
    ],
    [
      [member('a'), member('b')],
      { ...EXECUTOR, container: { type: 'DOCKER' } },
      "'ExecutorInfo.container.type' must be 'MESOS' for 'DEFAULT' executor",
    ],
    [
      [member('a'), member('b')],
      { ...EXECUTOR, container: image },
      "'ExecutorInfo.container.mesos.image' must not be set for 'DEFAULT' executor",
    ],
    [
      [member('a'), member('b')],
      { ...EXECUTOR, container: { type: 'MESOS', network_infos: [{ name: 'web' }] } },
      "'launch_group.executor.container.network_infos' is not supported",
    ],
    [
      [member('a'), member('b')],
      { ...EXECUTOR, resources: [scalar('mem', 32)] },
      "Executor 'e' uses less CPUs (None) than the minimum required (0.01)",
    ],
    [
      [member('a'), member('b')],
      { ...EXECUTOR, resources: [scalar('cpus', 1), scalar('mem', 31)] },
      "Executor 'e' uses less memory (31) than the minimum required (32MB)",
    ],
    [
      [member('a'), member('b')],
      { ...EXECUTOR, resources: [scalar('cpus', 1), scalar('mem', 32)] },
      "Executor 'e' uses no disk",
    ],
  ])('launches none where one is wrong', (tasks, executor, message) => {
    const { operations, refusedTasks } = plan([group(tasks, executor), launch(aTask('c'))]);
    expect(operations).toMatchObject([{ place: 1 }]);
    expect(refusedTasks).toMatchObject(
      tasks.map(() => ({
        state: 'TASK_ERROR',
        reason: 'REASON_TASK_GROUP_INVALID',
        message: expect.stringContaining(message),
      })),
    );
  });

  it('leaves the names and reservations of a refused one to others', () => {
    const reserved = { resources: [scalar('cpus', 1, OWN)] };
    const planned = plan([
      group([member('a', reserved), aTask('b')]),
      launch(aTask('a', { resources: [scalar('cpus', 3, OWN)] })),
    ]);
    expect(natives(planned)).toMatchObject([
      { tasks: [{ task: 'a', reserved: { r1: { cpus: 1 }, r2: { cpus: 2 } } }] },
    ]);
  });
});

describe('reserving', () => {
  it('makes one reservation of each identity, which tasks after it can use', () => {
    const resources = [scalar('cpus', 1, OWN), scalar('mem', 100, OWN)];
    const labeled = scalar('cpus', 1, {
      role: 'eng',
      reservation: { principal: 'p', labels: { labels: [{ key: 'k', value: 'v' }] } },
    });
    const user = aTask('a', { resources: [scalar('cpus', 1, OWN), scalar('mem', 80, OWN)] });
    const operations = [reserve(...resources, labeled), launch(user)];
    const planned = plan(operations, { reservations: [] });
    const [first, second, third] = planned.operations;
    expect(first).toMatchObject({
      ...{ place: 0, operationId: 'op', tasks: [] },
      native: {
        type: 'reserve',
        reservation: { scalars: scalars({ cpus: 1, memMiB: 100 }), labels: { mesos: '{"principal":"p"}' } },
      },
    });
    expect(second).toMatchObject({ place: 0, native: { reservation: { labels: { k: 'v' } } } });
    // It is told of once, when both are made.
    expect([first, second].map((one) => one?.native)).toMatchObject([{}, { operation: 'op' }]);
    expect(first?.native).not.toHaveProperty('operation');
    const id = first?.native.type === 'reserve' ? first.native.reservation.id : undefined;
    expect(id).toMatch(/^m[a-z0-9]{20}$/);
    expect(third?.native).toMatchObject({ tasks: [{ reserved: { [id ?? '']: { cpus: 1, memMiB: 80 } } }] });
    expect(plan(operations, { reservations: [] })).toEqual(planned);
    const { ledger, tasks } = carriedOut(operations, { reservations: [] });
    expect(Object.keys(ledger.reservations)).toHaveLength(2);
    expect(tasks).toMatchObject([{ state: 'staging' }]);
  });

  it.each([
    [scalar('cpus', -1, OWN), 'Invalid resources: Invalid resources: Resource'],
    [scalar('cpus', 1), 'Resource cpus:1 is not dynamically reserved'],
    [scalar('cpus', 1, { role: 'eng' }), 'Resource cpus(reservations: [(STATIC,eng)]):1 is not dynamically reserved'],
    [disk('v'), 'must already be reserved'],
    [
      scalar('cpus', 1, { role: 'eng', reservation: {} }),
      "A reserve operation was attempted by principal 'p', but there is a reserved resource in the request with no principal set",
    ],
    [
      scalar('cpus', 1, { role: 'eng', reservation: { principal: 'q' } }),
      "A reserve operation was attempted by authenticated principal 'p', which does not match a reserved resource in the request with principal 'q'",
    ],
    [
      scalar('cpus', 1, { ...OWN, role: 'ops' }),
      "A reserve operation was attempted for a resource with role 'ops', but the resource was allocated to role 'eng'",
    ],
    [
      { name: 'ports', type: 'RANGES', ranges: { range: [{ begin: 1, end: 1 }] }, ...OWN },
      "'reservations of 'ports'' is not supported here: reserve scalars only",
    ],
  ])('%j is refused: %s', (resource, message) => {
    const planned = plan([reserve(scalar('cpus', 1, OWN), resource), launch(aTask('a'))]);
    expect(planned.operations).toMatchObject([{ place: 1 }]);
    expect(planned.refusedOperations).toMatchObject([
      { place: 0, operationId: 'op', message: expect.stringContaining(message) },
    ]);
  });

  it('beyond the bounds of Berth is refused by the name of the field', () => {
    const labels = { labels: [{ key: 'k', value: 'v'.repeat(1025) }] };
    const resource = scalar('cpus', 1, { role: 'eng', reservation: { principal: 'p', labels } });
    const message =
      "Operation can't be carried out as it is told: reservation.labels must take at most 1024 bytes together";
    expect(messageOf(plan([reserve(resource)]))).toBe(message);
  });

  it('of nothing is refused', () => {
    expect(messageOf(plan([reserve(scalar('cpus', 0, OWN))]))).toContain('is empty');
  });

  it('from what is reserved already is refused', () => {
    const refined = {
      type: 'RESERVE',
      reserve: { source: [scalar('cpus', 1, OWN)], resources: [scalar('cpus', 1, OWN)] },
    };
    expect(messageOf(plan([refined]))).toContain("'reserve.source with reserved resources' is not supported");
  });

  it('asks for no principal where the framework has none', () => {
    const resource = scalar('cpus', 1, { role: 'eng', reservation: {} });
    expect(natives(plan([reserve(resource)], { principal: null }))).toMatchObject([
      { reservation: { labels: { mesos: '{"principal":null}' } } },
    ]);
  });
});

describe('unreserving', () => {
  it('gives back of as many reservations of the identity as it needs, for what follows', () => {
    const planned = plan([unreserve(scalar('cpus', 2.5, OWN))]);
    expect(natives(planned)).toEqual([
      { type: 'unreserve', reservation: 'r1', scalars: scalars({ cpus: 1 }) },
      { type: 'unreserve', reservation: 'r2', scalars: scalars({ cpus: 1.5 }) },
    ]);
    const { ledger } = carriedOut([unreserve(scalar('cpus', 2.5, OWN)), reserve(scalar('cpus', 5, OWN))]);
    expect(ledger.reservations['r2']?.scalars.cpus).toBe(0.5);
  });

  it('takes back what was reserved by an operation before it', () => {
    const { ledger } = carriedOut([reserve(scalar('mem', 64, OWN)), unreserve(scalar('mem', 64, OWN))], {
      reservations: [],
    });
    expect(ledger.reservations).toEqual({});
  });

  it.each([
    [scalar('cpus', 3.5, OWN), 'The offers do not contain cpus(reservations: [(DYNAMIC,eng,p)]):3.5'],
    [scalar('cpus', 1, { role: 'eng', reservation: { principal: 'q' } }), 'The offers do not contain'],
    [scalar('cpus', 1, { role: 'eng' }), 'is not dynamically reserved'],
    [scalar('cpus', 1), 'is not dynamically reserved'],
    [
      disk('v'),
      'cannot be unreserved directly. Please destroy the persistent volume first then unreserve the resource',
    ],
  ])('%j is refused: %s', (resource, message) => {
    expect(messageOf(plan([unreserve(resource)]))).toContain(message);
  });
});

describe('volumes', () => {
  const note = { id: 'app#1', principal: 'p', containerPath: 'data' };
  const STANDING = aVolume({ id: 'app-1', reservation: 'r1', labels: volumeLabels(note) });
  const mounting = aTask('a', { resources: [scalar('cpus', 1), disk('app#1')] });

  it('are made of one reservation with enough disk, and can be mounted by tasks after them', () => {
    const operations = [create(disk('app#1')), launch(mounting)];
    const [made, used] = natives(plan(operations));
    expect(made).toMatchObject({
      type: 'create',
      volume: { reservation: 'r1', sizeMiB: 100, labels: volumeLabels(note) },
    });
    const source = made?.type === 'create' ? made.volume.id : '';
    expect(source).toMatch(/^app-1-[0-9a-f]{8}$/);
    expect(used).toMatchObject({
      tasks: [{ mounts: [{}, { type: 'persistent', source, target: '/mnt/mesos/sandbox/data' }] }],
    });
    const { ledger, tasks } = carriedOut(operations);
    expect(ledger.volumes[source]).toMatchObject({ sizeMiB: 100, labels: volumeLabels(note) });
    expect(tasks).toMatchObject([{ state: 'staging' }]);
  });

  it('that stand are mounted and destroyed by the ids that their frameworks gave them', () => {
    const staged = { volumes: { 'app-1': STANDING } };
    const planned = plan(
      [launch(mounting), destroy(disk('app#1')), launch({ ...mounting, task_id: { value: 'b' } })],
      staged,
    );
    expect(natives(planned)).toMatchObject([
      { tasks: [{ mounts: [{}, { source: 'app-1' }] }] },
      { type: 'destroy', volume: 'app-1' },
    ]);
    expect(planned.refusedTasks).toMatchObject([
      { message: expect.stringContaining('[app#1:data]:100 required by task') },
    ]);
    const { ledger } = carriedOut([destroy(disk('app#1'))], staged);
    expect(ledger.volumes['app-1']?.removing).toBe(true);
    const leaving = { volumes: { 'app-1': { ...STANDING, removing: true } } };
    expect(messageOf(plan([destroy(disk('app#1'))], leaving))).toBe('Persistent volumes not found');
  });

  it.each([
    [
      [scalar('disk', 1, OWN)],
      'Not a persistent volume: Resource disk(reservations: [(DYNAMIC,eng,p)]):1 does not have DiskInfo',
    ],
    [[scalar('disk', 1, { ...OWN, disk: {} })], "Not a persistent volume: 'persistence' is not set in DiskInfo"],
    [
      [scalar('disk', 1, { ...OWN, disk: { persistence: { id: 'v' } } })],
      "Expecting 'volume' to be set for persistent volume",
    ],
    [[changed({ mode: 'RO' })], 'Read-only persistent volume not supported'],
    [[changed({ host_path: '/srv' })], "Expecting 'host_path' to be unset for persistent volume"],
    [[disk('a/b')], "Invalid persistence ID for persistent volume: 'a/b' contains invalid characters"],
    [[disk('v', 100, {})], 'Persistent volumes cannot be created from unreserved resources'],
    [[disk('v'), disk('v')], "Persistence ID 'v' is not unique"],
    [[disk('v', 300), disk('w', 300)], 'The offers do not contain the disk of disk'],
    [[disk('v', 1.5)], "Volume 'v' has 1.5 MB"],
    [[disk('v', 1, { role: 'eng', reservation: { principal: 'q' } })], 'The offers do not contain the disk'],
    [
      [
        {
          ...disk('v'),
          disk: { persistence: { id: 'v', principal: 'q' }, volume: { container_path: 'd', mode: 'RW' } },
        },
      ],
      "there is a volume in the operation with principal 'q' set in 'DiskInfo.Persistence'",
    ],
    [
      [{ ...disk('v'), disk: { persistence: { id: 'v' }, volume: { container_path: 'd', mode: 'RW' } } }],
      "there is a volume in the operation with no principal set in 'DiskInfo.Persistence'",
    ],
  ])('are not created of %j: %s', (volumes, message) => {
    const planned = plan([create(...volumes)]);
    expect(planned.operations).toEqual([]);
    expect(messageOf(planned)).toContain(message);
  });

  it('that are not there are not destroyed', () => {
    expect(messageOf(plan([destroy(disk('app#1'))]))).toBe('Persistent volumes not found');
    expect(messageOf(plan([destroy(scalar('disk', 1, OWN))]))).toContain('does not have DiskInfo');
  });

  it.each([
    [
      { type: 'GROW_VOLUME', grow_volume: { volume: disk('v'), addition: scalar('disk', 1, OWN) } },
      "'operations of the type GROW_VOLUME' is not supported here",
    ],
    [{ type: 'SHRINK_VOLUME' }, "'operations of the type SHRINK_VOLUME' is not supported here"],
    [{ type: 'CREATE_DISK' }, 'CREATE_DISK'],
    [{ type: 'SOMETHING' }, 'Unknown offer operation'],
  ])('%j is refused: %s', (operation, message) => {
    const planned = plan([{ ...operation, id: { value: 'op' } }, launch(aTask('a'))]);
    expect(planned.refusedOperations).toEqual([
      { place: 0, operationId: 'op', message: expect.stringContaining(message) },
    ]);
    expect(planned.operations).toHaveLength(1);
  });

  function changed(change: object) {
    return scalar('disk', 1, {
      ...OWN,
      disk: { persistence: { id: 'v', principal: 'p' }, volume: { container_path: 'd', mode: 'RW', ...change } },
    });
  }
});

it('plans no more operations than one call may have', () => {
  const many = Array.from({ length: 101 }, () => reserve(scalar('cpus', 0.001, OWN)));
  const planned = plan([...many, launch(aTask('a'))]);
  expect(planned.operations).toHaveLength(100);
  expect(planned.refusedOperations).toMatchObject([
    { place: 100, message: expect.stringContaining('at most 100 operations') },
  ]);
  expect(planned.refusedTasks).toMatchObject([{ reason: 'REASON_INVALID_OFFERS' }]);
});

describe('a plan without what was found wrong with it', () => {
  const image = { type: 'MESOS', mesos: { image: { type: 'DOCKER', docker: { name: 'web:1' } } } };
  const group = {
    type: 'LAUNCH_GROUP',
    launch_group: {
      executor: EXECUTOR,
      task_group: { tasks: [aTask('d', { container: image }), aTask('e', { container: image })] },
    },
  };
  const whole = plan([reserve(scalar('cpus', 1, OWN)), launch(aTask('a'), aTask('b')), group]);
  const left = (...paths: string[]) =>
    withoutFaulted(
      whole,
      paths.map((path) => ({ path, message: `wrong at ${path}` })),
    );

  it('goes on without an operation', () => {
    expect(left('/operations/0/reservation/scalars')).toEqual({
      operations: whole.operations.slice(1),
      refusedTasks: [],
      refusedOperations: [{ place: 0, operationId: 'op', message: 'wrong at /operations/0/reservation/scalars' }],
    });
  });

  it('goes on without all that an operation comes to, if a part of it is wrong', () => {
    const labeled = scalar('cpus', 1, {
      role: 'eng',
      reservation: { principal: 'p', labels: { labels: [{ key: 'k', value: 'v' }] } },
    });
    const parts = plan([reserve(scalar('cpus', 1, OWN), labeled), launch(aTask('a'))], { reservations: [] });
    expect(parts.operations.map(({ place }) => place)).toEqual([0, 0, 1]);
    for (const part of [0, 1]) {
      const fault = { path: `/operations/${part}/reservation`, message: 'wrong' };
      expect(withoutFaulted(parts, [fault])).toEqual({
        operations: parts.operations.slice(2),
        refusedTasks: [],
        refusedOperations: [{ place: 0, operationId: 'op', message: 'wrong' }],
      });
    }
    const both = [0, 1].map((part) => ({ path: `/operations/${part}`, message: `wrong ${part}` }));
    expect(withoutFaulted(parts, both)?.refusedOperations).toEqual([
      { place: 0, operationId: 'op', message: 'wrong 0' },
    ]);
  });

  it('goes on without a task, or without all of them', () => {
    const rest = left('/operations/1/tasks/0/task');
    expect(rest?.operations[1]).toMatchObject({
      native: { type: 'launch', tasks: [{ task: 'b' }] },
      tasks: [{ name: 'b' }],
    });
    expect(rest?.refusedTasks).toMatchObject([
      { task: { name: 'a' }, reason: 'REASON_TASK_INVALID', message: 'wrong at /operations/1/tasks/0/task' },
    ]);
    expect(left('/operations/1/tasks/0', '/operations/1/tasks/1')?.operations).toHaveLength(2);
    expect(left('/operations/1')?.refusedTasks.map(({ task }) => task.name)).toEqual(['a', 'b']);
  });

  it('goes on without a group where one of it is wrong', () => {
    const rest = left('/operations/2/tasks/1/task');
    expect(rest?.operations).toHaveLength(2);
    expect(rest?.refusedTasks).toMatchObject(
      ['d', 'e'].map((name) => ({
        task: { name },
        reason: 'REASON_TASK_GROUP_INVALID',
        message: 'wrong at /operations/2/tasks/1/task',
      })),
    );
  });

  it('is none where nothing of it is named', () => {
    expect(left('/offers/0', '/operations/9', '/operations')).toBeNull();
  });
});
