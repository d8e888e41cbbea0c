/** Which GPUs a task gets, and which nodes are kept for those that ask for some. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseDevices, heldDevices } from '../../../control-plane/scheduler/devices.ts';
import { planRound } from '../../../control-plane/scheduler/round.ts';
import type { GpuDevice } from '../../../shared/domain/node.ts';
import type { GpuNodePolicy } from '../../../shared/domain/settings.ts';
import { aGroup, aJob, aLedger, aNode, anEntry, aTask, clusterOf, someResources, T0 } from '../../support/builders.ts';

function device(id: string, parent: string | null = null): GpuDevice {
  return { id, product: 'NVIDIA H100', memoryMiB: 81_559, driver: '580.1', parent };
}

const cards = ['A', 'B', 'C', 'D'].map((id) => device(id));
/** Two whole cards, and two in parts. */
const mixed = [
  device('A'),
  device('X0', 'X'),
  device('X1', 'X'),
  device('X2', 'X'),
  device('Y0', 'Y'),
  device('Y1', 'Y'),
  device('B'),
];

describe('the devices of a task', () => {
  it.each<[string, readonly GpuDevice[], readonly string[], number, readonly string[]]>([
    ['the first ones in the order of the node', cards, [], 2, ['A', 'B']],
    ['none that another task holds', cards, ['A', 'C'], 2, ['B', 'D']],
    ['all that are left', cards, ['B'], 3, ['A', 'C', 'D']],
    ['none where none is asked for', cards, [], 0, []],
    ['none by name where the node only states a number', [], [], 2, []],
    ['for one, a part of the card of which least is left', mixed, [], 1, ['Y0']],
    ['for one, not of a card of which nothing is left', mixed, ['Y0', 'Y1'], 1, ['X0']],
    ['for one, a whole card once all parts are taken', mixed, ['X0', 'X1', 'X2', 'Y0', 'Y1'], 1, ['A']],
    ['for several, whole cards', mixed, [], 2, ['A', 'B']],
    ['for several, else parts of one card, of the one that they fill best', mixed, ['A'], 2, ['Y0', 'Y1']],
    ['for more than a card has left, parts of the one that has', mixed, ['Y0'], 3, ['X0', 'X1', 'X2']],
    ['for more than any has together, cards first', mixed, [], 4, ['A', 'X0', 'X1', 'B']],
    ['an id that the node no longer has is in nobody else’s way', cards, ['gone'], 4, ['A', 'B', 'C', 'D']],
  ])('are %s', (_, devices, held, count, expected) => {
    expect(chooseDevices({ devices, held: new Set(held), count })).toEqual(expected);
  });

  it('are as many as asked for, free, and the same each time', () => {
    const arbitrary = fc.uniqueArray(fc.nat(20), { minLength: 1 }).chain((ids) =>
      fc.record({
        devices: fc.tuple(
          ...ids.map((id) => fc.constantFrom(null, 'X', 'Y').map((parent) => device(`d${id}`, parent))),
        ),
        held: fc.subarray(ids).map((some) => new Set(some.map((id) => `d${id}`))),
      }),
    );
    fc.assert(
      fc.property(arbitrary, fc.nat(20), ({ devices, held }, most) => {
        const count = Math.min(most, devices.length - held.size);
        const chosen = chooseDevices({ devices, held, count });
        expect(new Set(chosen).size).toBe(count);
        for (const id of chosen) {
          expect(held.has(id)).toBe(false);
          expect(devices.map((each) => each.id)).toContain(id);
        }
        expect(chooseDevices({ devices, held, count })).toEqual(chosen);
      }),
    );
  });

  it('are a mistake to ask for where too few are free', () => {
    expect(() => chooseDevices({ devices: cards, held: new Set(['A']), count: 4 })).toThrow('3 are free');
  });
});

describe('a round on a node with four GPUs', () => {
  const node = aNode({ gpus: cards, resources: someResources({ gpus: 4 }) });
  const pair = aJob({ spec: { name: 'pair', groups: [aGroup({ count: 2, resources: { cpus: 0.1, gpus: 1 } })] } });

  it('gives no device twice, neither of those held before nor of its own', () => {
    const held = aJob({ spec: { name: 'held', groups: [aGroup({ resources: { gpus: 1 } })] } });
    const running = aTask(held, { state: 'running', node: 'edge-1' });
    const entry = anEntry(held, running, { devices: ['B'] });
    const ledger = aLedger({ total: node.resources, entries: [entry] });
    expect(heldDevices(ledger)).toEqual(new Set(['B']));
    const tasks = [0, 1].map((index) => aTask(pair, { index }));
    const cluster = clusterOf({ nodes: [node], ledgers: [ledger], jobs: [held, pair], tasks: [running, ...tasks] });
    const { placements } = planRound({ cluster, nowMs: T0 });
    expect(placements.map(({ entry: { devices } }) => devices)).toEqual([['A'], ['C']]);
  });

  it('gives those of an ended task to the next', () => {
    const ended = aTask(pair, { index: 7, state: 'finished', node: 'edge-1' });
    const ledger = aLedger({ total: node.resources, entries: [anEntry(pair, ended, { devices: ['A'] })] });
    const cluster = clusterOf({ nodes: [node], ledgers: [ledger], jobs: [pair], tasks: [ended, aTask(pair)] });
    expect(planRound({ cluster, nowMs: T0 }).placements.map(({ entry }) => entry.devices)).toEqual([['A']]);
  });

  it('gives none by name on a node that only states how many it has', () => {
    const cluster = clusterOf({ nodes: [{ ...node, gpus: [] }], jobs: [pair], tasks: [aTask(pair)] });
    const [placement] = planRound({ cluster, nowMs: T0 }).placements;
    expect(placement?.entry).toMatchObject({ devices: [], resources: { gpus: 1 } });
  });
});

describe('a task that asks for no GPU', () => {
  const plain = { node: 'plain', total: someResources({ cpus: 1 }) };
  const withGpus = { node: 'gpus', total: someResources({ cpus: 4, gpus: 1 }) };

  function placed({ setting, own }: { setting?: GpuNodePolicy; own?: GpuNodePolicy }, count = 1, place = 'pack') {
    const placement = place === 'spread' ? 'spread' : 'pack';
    const job = aJob({
      spec: { placement, groups: [aGroup({ count })], ...(own === undefined ? {} : { gpuNodes: own }) },
    });
    const cluster = clusterOf({
      nodes: [aNode({ id: 'gpus' }), aNode({ id: 'plain' })],
      ledgers: [aLedger(plain), aLedger(withGpus)],
      jobs: [job],
      tasks: Array.from({ length: count }, (_, index) => aTask(job, { index })),
      ...(setting === undefined ? {} : { settings: { gpuNodes: setting } }),
    });
    return planRound({ cluster, nowMs: T0 }).placements;
  }
  const nodesOf = (...args: Parameters<typeof placed>) => placed(...args).map(({ node }) => node);

  it('is kept off nodes with GPUs by default, and by the settings', () => {
    expect(nodesOf({}, 2)).toEqual(['plain']);
    expect(nodesOf({ setting: 'restricted' }, 2)).toEqual(['plain']);
  });

  it('goes anywhere where they are unrestricted', () => {
    expect(nodesOf({ setting: 'unrestricted' }, 3).toSorted()).toEqual(['gpus', 'gpus', 'plain']);
  });

  it.each(['pack', 'spread'])(
    'goes to a node with GPUs only when no other has room, where others are preferred (%s)',
    (place) => {
      const placements = placed({ setting: 'preferred' }, 3, place);
      expect(placements.map(({ node }) => node)).toEqual(['plain', 'gpus', 'gpus']);
      expect(placements[0]?.why).toMatch(/^2 of 2 nodes had room; plain .*; nodes with GPUs come last$/);
    },
  );

  it('follows its job where that says otherwise', () => {
    expect(nodesOf({ setting: 'restricted', own: 'unrestricted' }, 2).toSorted()).toEqual(['gpus', 'plain']);
    expect(nodesOf({ setting: 'unrestricted', own: 'restricted' }, 2)).toEqual(['plain']);
    expect(nodesOf({ setting: 'unrestricted', own: 'preferred' })).toEqual(['plain']);
  });

  it('is kept off whatever is left of the GPUs', () => {
    const holder = aJob({ spec: { name: 'holder', groups: [aGroup({ resources: { gpus: 1 } })] } });
    const running = aTask(holder, { state: 'running', node: 'gpus' });
    const job = aJob();
    const ledger = aLedger({ ...withGpus, entries: [anEntry(holder, running)] });
    const cluster = clusterOf({
      nodes: [aNode({ id: 'gpus' })],
      ledgers: [ledger],
      jobs: [holder, job],
      tasks: [running, aTask(job)],
    });
    expect(planRound({ cluster, nowMs: T0 }).placements).toEqual([]);
  });
});
