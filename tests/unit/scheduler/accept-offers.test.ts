import { describe, expect, it } from 'vitest';
import { type Acceptance, type Accepted, acceptOffers } from '../../../control-plane/scheduler/accept-offers.ts';
import { endedOffers } from '../../../control-plane/services/framework-offers.ts';
import { addEntries, freeResources } from '../../../shared/domain/ledger.ts';
import type { LaunchRequest, OfferOperation } from '../../../shared/domain/offer-operation.ts';
import { isNothing, NO_SCALARS, type Scalars } from '../../../shared/domain/resources.ts';
import { present } from '../../../shared/util/assert.ts';
import { launchRequest } from '../../support/answers.ts';
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
  someResources,
  T0,
} from '../../support/builders.ts';

const scalars = (change: Partial<Scalars>): Scalars => ({ ...NO_SCALARS, ...change });
const HALF = anOffer({ resources: { cpus: 2, memMiB: 2048, ports: [{ first: 31_000, last: 31_003 }] } });

function accept(operations: readonly OfferOperation[], change: Partial<Acceptance> = {}): Accepted {
  const { offers = [HALF] } = change;
  return acceptOffers({
    ledger: aLedger({ offers: [...offers] }),
    node: aNode(),
    framework: aFramework(),
    offers,
    operations,
    refuseSeconds: 5,
    mounted: new Set(),
    by: 'alice',
    nowMs: T0,
    ...change,
  });
}

function done(accepted: Accepted) {
  if (!accepted.ok) throw new Error(JSON.stringify(accepted.faults));
  return accepted;
}

function faultsOf(accepted: Accepted) {
  if (accepted.ok) throw new Error('it was accepted');
  return accepted.faults;
}

function mountOf(source: string) {
  return { type: 'persistent', source, target: '/data', readOnly: false } as const;
}

function launchOf(...tasks: LaunchRequest[]): OfferOperation {
  return { type: 'launch', tasks };
}

describe('launching tasks', () => {
  it('turns what the offer holds into the place of a task, and gives back the rest', () => {
    const task = launchRequest('web', { cpus: 0.5, memMiB: 256 });
    const { ledger, tasks, filter } = done(accept([launchOf(task)]));
    expect(Object.values(ledger.entries)).toMatchObject([
      {
        task: 'painter-web-0-f000000000001-v1a0',
        role: 'default',
        framework: 'f000000000001',
        resources: { cpus: 0.5 },
      },
    ]);
    expect(ledger.offers).toEqual({});
    expect(freeResources(ledger)).toMatchObject({ cpus: 3.5, memMiB: 3840 });
    expect(ledger.assignmentGeneration).toBe(2);
    expect(tasks).toMatchObject([
      {
        id: 'painter-web-0-f000000000001-v1a0',
        jobUid: 'f000000000001',
        jobName: 'painter',
        node: 'edge-1',
        state: 'staging',
        template: task.template,
        framework: { id: 'f000000000001', name: 'web', acknowledged: 2, labels: { color: 'blue' } },
        history: [{ state: 'pending' }, { state: 'staging', reason: 'launched' }],
      },
    ]);
    expect(filter).toMatchObject({ because: 'unused', refused: { cpus: 1.5, memMiB: 1792 }, untilMs: T0 + 5000 });
    expect(ledger.filters).toEqual([filter]);
  });

  it('gives each task GPUs of its own, of those that nobody holds', () => {
    const gpus = ['A', 'B', 'C'].map((id) => ({ id, product: 'x', memoryMiB: 1, driver: '1', parent: null }));
    const other = aJob({ spec: { name: 'other', groups: [aGroup({ resources: { gpus: 1 } })] } });
    const entries = [anEntry(other, aTask(other, { state: 'running', node: 'edge-1' }), { devices: ['A'] })];
    const offer = anOffer({ resources: { cpus: 2, memMiB: 2048, gpus: 2 } });
    const two = [launchRequest('a', { gpus: 1 }), launchRequest('b', { gpus: 1 })];
    const launchedOn = (found: typeof gpus, count = found.length) => {
      const ledger = aLedger({ offers: [offer], entries, total: someResources({ gpus: count }) });
      const { ledger: after, tasks } = done(
        accept([launchOf(...two)], { offers: [offer], ledger, node: aNode({ gpus: found }) }),
      );
      return { devices: Object.values(after.entries).map(({ devices }) => devices), tasks };
    };
    expect(launchedOn(gpus).devices).toEqual([['A'], ['B'], ['C']]);
    expect(launchedOn([], 3).devices).toEqual([['A'], [], []]);
    expect(launchedOn([], 0).devices).toEqual([['A']]);
    const { devices, tasks } = launchedOn(gpus.slice(0, 2));
    expect(devices).toEqual([['A'], ['B']]);
    expect(tasks.map(({ state, history }) => [state, history.at(-1)?.message])).toEqual([
      ['staging', expect.any(String)],
      ['error', expect.stringMatching(/it needs 1 GPUs, of which the node has lost some since the offer was made$/)],
    ]);
  });

  it('leaves nothing to refuse of an offer that is used up', () => {
    const offer = anOffer({ resources: { cpus: 1, memMiB: 100 } });
    const { ledger, filter } = done(
      accept([launchOf(launchRequest('a', { cpus: 1, memMiB: 100 }))], { offers: [offer] }),
    );
    expect(filter).toBeNull();
    expect(ledger.filters).toEqual([]);
  });

  it('puts offers of one node together', () => {
    const other = anOffer({ id: '1-1-1', resources: { cpus: 1, memMiB: 512 } });
    const large = launchRequest('large', { cpus: 3, memMiB: 2560 });
    const { tasks } = done(accept([launchOf(large)], { offers: [HALF, other] }));
    expect(tasks).toMatchObject([{ state: 'staging' }]);
    expect(done(accept([launchOf(large)])).tasks).toMatchObject([{ state: 'error' }]);
  });

  it('without an operation refuses everything', () => {
    const { ledger, tasks, filter } = done(accept([]));
    expect(tasks).toEqual([]);
    expect(filter).toMatchObject({ refused: { cpus: 2 }, offer: '1-1-0' });
    expect(ledger.assignmentGeneration).toBe(1);
  });

  it('spells the names of tasks so that they can stand in ids', () => {
    const { tasks } = done(accept([launchOf(launchRequest('Web 1'), launchRequest('web-1'), launchRequest('web_1'))]));
    const groups = tasks.map(({ group }) => group);
    expect(groups[1]).toBe('web-1');
    expect(new Set(groups).size).toBe(3);
    expect(groups.every((group) => /^web-1(-[0-9a-f]{8})?$/.test(group))).toBe(true);
    expect(tasks.map(({ framework }) => framework?.name)).toEqual(['Web 1', 'web-1', 'web_1']);
  });

  it.each([
    ['more than is offered', launchRequest('x', { cpus: 2.001 }), /needs 2.001 of cpus, and 1.9 is left of the offer/],
    ['what the node never had', launchRequest('x', { custom: { license: 1 } }), /1 of license, and 0 is left/],
    ['half a GPU', launchRequest('x', { gpus: 0.5 }), /asks for 0.5 GPUs, and they are given whole: ask for 1/],
    ['a GPU that is not offered', launchRequest('x', { gpus: 1 }), /needs 1 of gpus, and 0 is left/],
    [
      'a port that the offer does not hold',
      launchRequest('x', {}, { ports: [{ name: 'http', hostPort: 31_004, protocol: 'tcp' }] }),
      /the host port 31004, which the offer doesn't hold/,
    ],
    [
      'more ports than are offered',
      launchRequest('x', {}, { ports: ['a', 'b', 'c', 'd', 'e'].map((name) => ({ name, protocol: 'tcp' })) }),
      /needs 5 host ports, and 4 are left/,
    ],
    [
      "what the node's operator doesn't allow",
      launchRequest('x', {}, { network: 'host' }),
      /allow: the host's network/,
    ],
  ])('ends one that asks for %s, and no other', (_what, misfit, why) => {
    const { tasks, ledger } = done(accept([launchOf(launchRequest('a'), misfit, launchRequest('b'))]));
    expect(tasks.map(({ state }) => state)).toEqual(['staging', 'error', 'staging']);
    expect(tasks[1]).toMatchObject({ node: null, framework: { acknowledged: 1 } });
    expect(tasks[1]?.history.at(-1)).toMatchObject({ reason: 'launch-refused', message: expect.stringMatching(why) });
    expect(Object.keys(ledger.entries)).toHaveLength(2);
  });

  it('gives each task its own ports, those asked for by number first', () => {
    const http = { name: 'http', protocol: 'tcp' } as const;
    const tasks = [
      launchRequest('a', {}, { ports: [http] }),
      launchRequest('b', {}, { ports: [http, { ...http, name: 'admin', hostPort: 31_002 }] }),
    ];
    const accepted = done(accept([launchOf(...tasks.reverse())]));
    const ports = accepted.tasks.flatMap((task) => Object.values(task.ports));
    expect(new Set(ports).size).toBe(3);
    expect(accepted.tasks[0]?.ports['admin']).toBe(31_002);
    expect(freeResources(accepted.ledger).ports.reduce((sum, { first, last }) => sum + last - first + 1, 0)).toBe(997);
  });

  it('gives tasks GPUs of their own, as long as the node has them', () => {
    const gpu = (id: string) => ({ id, product: 'A', memoryMiB: 1, driver: '1', parent: null });
    const offer = anOffer({ resources: { cpus: 1, memMiB: 512, gpus: 3 } });
    const node = aNode({ gpus: [gpu('g0'), gpu('g1')] });
    const requests = [
      launchRequest('a', { gpus: 1 }),
      launchRequest('b', { gpus: 1 }),
      launchRequest('c', { gpus: 1 }),
    ];
    const { ledger, tasks } = done(accept([launchOf(...requests)], { offers: [offer], node }));
    expect(Object.values(ledger.entries).map(({ devices }) => devices)).toEqual([['g0'], ['g1']]);
    expect(tasks[2]?.history.at(-1)?.message).toContain('needs 1 GPUs, of which the node has lost some');
  });

  it("keeps to the bounds of the node's ledger", () => {
    const job = aJob({ spec: { groups: [aGroup({ resources: { cpus: 0, memMiB: 0 } })] } });
    const entries = Array.from({ length: 999 }, (_, index) => anEntry(job, aTask(job, { index })));
    const ledger = addEntries(aLedger({ offers: [HALF] }), entries);
    const { tasks } = done(accept([launchOf(launchRequest('a'), launchRequest('b'))], { ledger }));
    expect(tasks.map(({ state }) => state)).toEqual(['staging', 'error']);
    expect(tasks[1]?.history.at(-1)?.message).toContain('1000 that a node may hold');
  });
});

describe('launching a group', () => {
  const fits = [launchRequest('a'), launchRequest('b')];

  it('starts all of it', () => {
    const { tasks } = done(accept([{ type: 'launch-group', tasks: fits }]));
    expect(tasks.map(({ state }) => state)).toEqual(['staging', 'staging']);
  });

  it('notes which tasks end together', () => {
    const [c, d, e] = [launchRequest('c'), launchRequest('d'), launchRequest('e')];
    const groups = [
      { type: 'launch-group', tasks: fits },
      { type: 'launch-group', tasks: [c] },
    ] as const;
    const { tasks } = done(accept([...groups, launchOf(d, e)]));
    const [a] = tasks;
    expect(tasks.map(({ framework }) => framework?.together)).toEqual([a?.id, a?.id, tasks[2]?.id, null, null]);
  });

  it('starts none of it where one can not start, and says which', () => {
    const { tasks, ledger, filter } = done(
      accept([{ type: 'launch-group', tasks: [...fits, launchRequest('c', { gpus: 0.5 })] }]),
    );
    expect(tasks.map(({ state }) => state)).toEqual(['error', 'error', 'error']);
    expect(tasks[0]?.history.at(-1)?.message).toContain('"c" of it can\'t be');
    expect(tasks[2]?.history.at(-1)?.message).toContain('0.5 GPUs');
    expect(ledger.entries).toEqual({});
    expect(filter?.refused).toMatchObject({ cpus: 2, memMiB: 2048 });
  });

  it('leaves what it gives back to the operations after it', () => {
    const misfit = { type: 'launch-group', tasks: [...fits, launchRequest('c', { cpus: 9 })] } as const;
    const { tasks } = done(accept([misfit, launchOf(launchRequest('d', { cpus: 2, memMiB: 2048 }))]));
    expect(tasks.map(({ state }) => state)).toEqual(['error', 'error', 'error', 'staging']);
  });
});

const reserve = (change: Partial<Scalars>, id = 'r1'): OfferOperation => {
  return { type: 'reserve', reservation: { id, scalars: scalars(change), labels: { for: 'cache' } } };
};
const own = aReservation({ scalars: scalars({ cpus: 2, diskMiB: 1000 }) });
const reservedOffer = anOffer({ resources: { cpus: 2, memMiB: 0, diskMiB: 1000 }, reserved: { r1: own.scalars } });
const onReserved = (operations: readonly OfferOperation[], reservation = own, change: Partial<Acceptance> = {}) =>
  accept(operations, {
    offers: [reservedOffer],
    ledger: aLedger({ offers: [reservedOffer], reservations: [reservation] }),
    ...change,
  });

describe('changing what is reserved', () => {
  it('reserves for the role of the offer, and a task draws on it in the same call', () => {
    const { ledger, filter } = done(accept([reserve({ cpus: 1 }), launchOf(launchRequest('a', { cpus: 1.5 }))]));
    expect(ledger.reservations['r1']).toMatchObject({ role: 'default', by: 'alice', source: 'dynamic', atMs: T0 });
    expect(Object.values(ledger.entries)[0]?.reserved).toEqual({ r1: scalars({ cpus: 1 }) });
    expect(freeResources(ledger).cpus).toBe(2.5);
    expect(filter?.refused.cpus).toBe(0.5);
  });

  it('draws on what a task names, and on no more than that', () => {
    const named = { ...launchRequest('a', { cpus: 1.5 }), reserved: { r1: scalars({ cpus: 0.25 }) } };
    const mixed = anOffer({ resources: { cpus: 4 }, reserved: { r1: scalars({ cpus: 2 }) } });
    const ledger = aLedger({ offers: [mixed], reservations: [own] });
    const { ledger: after } = done(accept([launchOf(named)], { ledger, offers: [mixed] }));
    expect(Object.values(after.entries)[0]?.reserved).toEqual({ r1: scalars({ cpus: 0.25 }) });
    const { tasks } = done(
      onReserved([
        launchOf(
          { ...launchRequest('b', { cpus: 1, memMiB: 0 }), reserved: {} },
          { ...launchRequest('c', { cpus: 1, memMiB: 0 }), reserved: { r2: scalars({ cpus: 1 }) } },
          { ...launchRequest('d', { cpus: 1, memMiB: 0 }), reserved: { r1: scalars({ cpus: 1.5 }) } },
        ),
      ]),
    );
    expect(tasks.map(({ history }) => history.at(-1)?.message)).toEqual([
      expect.stringContaining('needs 1 of cpus, and 0 is left of the offer beside what is reserved'),
      expect.stringContaining('1 of cpus, and 0 is left of reservation "r2"'),
      expect.stringContaining('takes more cpus from reservations than it asks for'),
    ]);
  });

  it('frees what was reserved, for use as anything else', () => {
    const { ledger, tasks } = done(
      onReserved([
        { type: 'unreserve', reservation: 'r1', scalars: scalars({ cpus: 1 }) },
        launchOf({ ...launchRequest('a', { cpus: 1, memMiB: 0 }), reserved: {} }),
      ]),
    );
    expect(ledger.reservations['r1']?.scalars).toEqual(scalars({ cpus: 1, diskMiB: 1000 }));
    expect(tasks).toMatchObject([{ state: 'staging' }]);
    expect(done(onReserved([{ type: 'unreserve', reservation: 'r1', scalars: null }])).ledger.reservations).toEqual({});
  });

  it('makes a volume of reserved disk, which then is neither offered nor given to tasks', () => {
    const create = { type: 'create', volume: { id: 'v1', reservation: 'r1', sizeMiB: 600 } } as const;
    const { ledger, tasks, filter } = done(
      onReserved([create, launchOf(launchRequest('a', { cpus: 1, memMiB: 0, diskMiB: 401 }))]),
    );
    expect(ledger.volumes['v1']).toMatchObject({ sizeMiB: 600, by: 'alice', removing: false });
    expect(tasks[0]?.history.at(-1)?.message).toContain('401 of diskMiB');
    expect(filter?.refused.diskMiB).toBe(400);
  });

  it('asks for the end of a volume, unless a task has it', () => {
    const volume = { id: 'v1', reservation: 'r1', sizeMiB: 600, by: 'alice', atMs: T0, removing: false };
    const ledger = { ...aLedger({ offers: [reservedOffer], reservations: [own] }), volumes: { v1: volume } };
    const destroy = { type: 'destroy', volume: 'v1' } as const;
    expect(done(onReserved([destroy], own, { ledger })).ledger.volumes['v1']?.removing).toBe(true);
    expect(faultsOf(onReserved([destroy], own, { ledger, mounted: new Set(['v1']) }))).toMatchObject([
      { path: '/operations/0/volume', message: expect.stringContaining('a task on node "edge-1" has volume "v1"') },
    ]);
  });

  it('mounts a volume that the node has, also one that it has just made, which then has to stay', () => {
    const request = launchRequest('a', { cpus: 1, memMiB: 0 });
    const group = { ...request.template.group, mounts: [mountOf('v1')] };
    const launch = launchOf({ ...request, template: { ...request.template, group } });
    const create = { type: 'create', volume: { id: 'v1', reservation: 'r1', sizeMiB: 600 } } as const;
    expect(done(onReserved([create, launch])).tasks).toMatchObject([{ state: 'staging' }]);
    expect(done(onReserved([launch])).tasks).toMatchObject([{ state: 'error' }]);
    expect(done(onReserved([launch])).tasks[0]?.history.at(-1)?.message).toContain('the node has no volume "v1"');
    expect(faultsOf(onReserved([create, launch, { type: 'destroy', volume: 'v1' }]))).toMatchObject([
      { path: '/operations/2/volume', message: expect.stringContaining('a task on node "edge-1" has volume "v1"') },
    ]);
  });

  it.each<[string, Accepted, string, RegExp]>([
    [
      'more than is offered',
      accept([reserve({ cpus: 2.5 })]),
      '/operations/0/reservation/scalars',
      /2.5 of cpus, and 2 is left/,
    ],
    [
      'under an id twice',
      accept([reserve({ cpus: 1 }), reserve({ cpus: 1 })]),
      '/operations/1/reservation',
      /"r1" already/,
    ],
    ['of nothing', accept([reserve({})]), '/operations/0/reservation', /would hold nothing/],
    [
      'that is not there',
      accept([{ type: 'unreserve', reservation: 'r9', scalars: null }]),
      '/operations/0/reservation',
      /has no reservation "r9"/,
    ],
    [
      'that is for another role, which is as none',
      onReserved([{ type: 'unreserve', reservation: 'r1', scalars: null }], { ...own, role: 'above' }),
      '/operations/0/reservation',
      /has no reservation "r1"/,
    ],
    [
      'that was set at the agent',
      onReserved([{ type: 'unreserve', reservation: 'r1', scalars: null }], { ...own, source: 'static' }),
      '/operations/0/reservation',
      /changed only there/,
    ],
    [
      'of more disk for a volume than is offered',
      onReserved([{ type: 'create', volume: { id: 'v1', reservation: 'r1', sizeMiB: 1001 } }]),
      '/operations/0/volume/sizeMiB',
      /1001 MiB of disk, and the offer holds 1000/,
    ],
    [
      'that is not there, for a volume',
      accept([{ type: 'create', volume: { id: 'v1', reservation: 'r9', sizeMiB: 1 } }]),
      '/operations/0/volume',
      /node "edge-1" has no reservation "r9"/,
    ],
    [
      'with a volume that is not there',
      accept([{ type: 'destroy', volume: 'v1' }]),
      '/operations/0/volume',
      /no volume "v1"/,
    ],
  ])('changes nothing for a reservation %s', (_what, accepted, path, message) => {
    expect(faultsOf(accepted)).toEqual([{ path, message: expect.stringMatching(message) }]);
  });
});

describe('what is left of the offers', () => {
  it('asks for the end of a volume only with an offer of what its reservation has left, if it has anything', () => {
    const own = aReservation({ scalars: scalars({ cpus: 2, diskMiB: 1000 }) });
    const volume = { id: 'v1', reservation: 'r1', sizeMiB: 600, by: 'alice', atMs: T0, removing: false };
    const destroy = { type: 'destroy', volume: 'v1' } as const;
    const of = (reservation: typeof own) =>
      accept([destroy], {
        ledger: { ...aLedger({ offers: [HALF], reservations: [reservation] }), volumes: { v1: volume } },
      });
    expect(faultsOf(of(own))).toEqual([
      { path: '/operations/0/volume', message: '"v1" is of reservation "r1", of which the offer holds nothing' },
    ]);
    const usedUp = { ...own, scalars: scalars({ diskMiB: 600 }) };
    expect(done(of(usedUp)).ledger.volumes['v1']?.removing).toBe(true);
  });

  it('is a trace of the answer, where they were used up and nothing was launched', () => {
    const reservation = { id: 'r1', scalars: scalars({ diskMiB: 100 }), labels: {} };
    const operations = [
      { type: 'reserve', reservation },
      { type: 'create', volume: { id: 'v1', reservation: 'r1', sizeMiB: 100 } },
    ] as const;
    const whole = anOffer({ resources: { cpus: 0, memMiB: 0, diskMiB: 100, ports: [] } });
    const { ledger, filter } = done(accept(operations, { offers: [whole], refuseSeconds: 600 }));
    expect(filter).toBeNull();
    expect(ledger.filters).toMatchObject([{ offer: whole.id, because: 'unused', untilMs: T0 + 1000 }]);
    expect(isNothing(present(ledger.filters[0], 'the trace').refused)).toBe(true);
    const before = aLedger({ offers: [whole] });
    expect(endedOffers({ before, after: ledger })).toEqual([]);
    const used = launchOf(launchRequest('a', { cpus: 2, memMiB: 64 }));
    const core = anOffer({ resources: { cpus: 2, memMiB: 64, ports: [] } });
    expect(done(accept([used], { offers: [core] })).ledger.filters).toEqual([]);
  });
});

describe('launching what an executor runs', () => {
  const node = aNode({ consent: { ...aNode().consent, executors: true } });
  const runner = (): LaunchRequest => asExecutor(launchRequest('runner'));

  function asExecutor(request: LaunchRequest): LaunchRequest {
    const { template } = request;
    return { ...request, template: { ...template, group: { ...template.group, isExecutor: true } } };
  }

  function hosted(name: string, executor = 'runner'): LaunchRequest {
    const request = launchRequest(name, {}, { image: '' });
    const { template } = request;
    return { ...request, executor, template: { ...template, group: { ...template.group, runtime: 'executor' } } };
  }

  it('names its executor by its id, and holds resources like any other task', () => {
    const { ledger, tasks } = done(accept([launchOf(runner(), hosted('a'))], { node }));
    const id = 'painter-runner-0-f000000000001-v1a0';
    expect(tasks.map(({ state }) => state)).toEqual(['staging', 'staging']);
    expect(tasks[1]?.template?.group).toMatchObject({ runtime: 'executor', executor: id });
    expect(ledger.entries[id]).toMatchObject({ isExecutor: true });
    expect(freeResources(ledger)).toMatchObject({ cpus: 3.8 });
    const later = done(accept([launchOf(hosted('b'))], { node, ledger: { ...ledger, offers: { [HALF.id]: HALF } } }));
    expect(later.tasks).toMatchObject([{ state: 'staging' }]);
  });

  it('finds its executor also once their framework is called otherwise', () => {
    const { ledger } = done(accept([launchOf(runner())], { node }));
    const standing = { ...ledger, offers: { [HALF.id]: HALF } };
    const framework = aFramework({ name: 'sculptor' });
    const { tasks } = done(accept([launchOf(hosted('a'))], { node, framework, ledger: standing }));
    const executor = 'painter-runner-0-f000000000001-v1a0';
    expect(tasks).toMatchObject([{ state: 'staging', template: { group: { executor } } }]);
  });

  it.each<[string, readonly LaunchRequest[], string]>([
    ['there is none of that name', [hosted('a')], 'is to be run by "runner", which holds no place on node "edge-1"'],
    ['it comes later', [hosted('a'), runner()], 'is to be run by "runner", which holds no place'],
    ['it is none', [launchRequest('runner'), hosted('a')], 'which was not launched as an executor'],
  ])('fails where %s', (_, requests, why) => {
    const { tasks } = done(accept([launchOf(...requests)], { node }));
    expect(tasks.find(({ framework }) => framework?.name === 'a')).toMatchObject({ state: 'error' });
    expect(tasks.flatMap(({ history }) => history.map(({ message }) => message)).join()).toContain(why);
  });

  it('fails where its executor is ending', () => {
    const { ledger } = done(accept([launchOf(runner())], { node }));
    const id = 'painter-runner-0-f000000000001-v1a0';
    const entry = ledger.entries[id];
    if (entry === undefined) throw new Error('it has no place');
    const entries = { [id]: { ...entry, stop: { atMs: T0, graceMs: 0, reason: 'enough' } } };
    const ending = { ...ledger, entries, offers: { [HALF.id]: HALF } };
    const { tasks } = done(accept([launchOf(hosted('a'))], { node, ledger: ending }));
    expect(tasks[0]?.history.at(-1)?.message).toContain('is to be run by "runner", which is ending');
  });

  it('takes the consent of the node', () => {
    const { tasks } = done(accept([launchOf(runner(), hosted('a'))]));
    expect(tasks.map(({ state }) => state)).toEqual(['error', 'error']);
    expect(tasks[0]?.history.at(-1)?.message).toContain('executors of frameworks');
  });
});
