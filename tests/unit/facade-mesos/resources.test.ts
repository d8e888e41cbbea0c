import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  identityKey,
  identityOf,
  reservationLabels,
  reservationOf,
} from '../../../control-plane/facade-mesos/translate/reservation-identity.ts';
import {
  amountsOf,
  checkResources,
  resourcesText,
  toThousandths,
} from '../../../control-plane/facade-mesos/translate/resource-amounts.ts';
import {
  offerResources,
  plainResources,
  type ResourceDialect,
  reservedResources,
  resourceSummary,
} from '../../../control-plane/facade-mesos/translate/resources.ts';
import { volumeIdFor, volumeLabels, volumeNoteOf } from '../../../control-plane/facade-mesos/translate/volume-note.ts';
import { translated } from '../../../control-plane/facade-mesos/translate/wire-fault.ts';
import { resourceListSchema } from '../../../control-plane/facade-mesos/wire/resource.ts';
import { addPorts, NO_RESOURCES, NO_SCALARS, type Resources } from '../../../shared/domain/resources.ts';
import { aReservation } from '../../support/builders.ts';

const wireRole = (role: string) => (role === 'default' ? '*' : role);
const PLAIN: ResourceDialect = { isRefined: false, allocatedTo: null, wireRole };
const REFINED: ResourceDialect = { isRefined: true, allocatedTo: 'eng', wireRole };

const half: Resources = { ...NO_RESOURCES, cpus: 1.5, memMiB: 512, ports: [{ first: 31_000, last: 31_001 }] };
const mem = (value: number, more: object = {}) => ({ name: 'mem', type: 'SCALAR', scalar: { value }, ...more });

describe('resources without reservations', () => {
  it.each([
    ['of a framework of one role', PLAIN, { role: '*' }],
    ['of one of many roles', { ...PLAIN, allocatedTo: 'eng' }, { role: '*', allocation_info: { role: 'eng' } }],
    ['of one that knows of refinement', REFINED, { allocation_info: { role: 'eng' } }],
  ] as const)('are written for the eyes %s', (_who, dialect, marks) => {
    expect(plainResources(half, dialect)).toEqual([
      { name: 'cpus', type: 'SCALAR', scalar: { value: 1.5 }, ...marks },
      mem(512, marks),
      { name: 'ports', type: 'RANGES', ranges: { range: [{ begin: 31_000, end: 31_001 }] }, ...marks },
    ]);
  });

  it('name custom scalars as they are, and leave out what there is nothing of', () => {
    const resources = { ...NO_RESOURCES, gpus: 2, diskMiB: 10, custom: { fpga: 0.5, none: 0 } };
    expect(plainResources(resources, PLAIN).map(({ name, scalar }) => [name, scalar?.value])).toEqual([
      ['gpus', 2],
      ['disk', 10],
      ['fpga', 0.5],
    ]);
  });

  it.each([
    [1.0005, 1.001],
    [-1.0005, -1.001],
    [0.1 + 0.2, 0.3],
    [1.00049, 1],
  ])('keep three decimals: %d is %d', (value, rounded) => {
    expect(toThousandths(value)).toBe(rounded);
  });

  const milli = fc.integer({ min: 0, max: 10_000_000 }).map((amount) => amount / 1000);
  const range = fc
    .tuple(fc.integer({ min: 1, max: 65_535 }), fc.integer({ min: 0, max: 50 }))
    .map(([first, more]) => ({ first, last: Math.min(65_535, first + more) }));
  const anything: fc.Arbitrary<Resources> = fc.record({
    cpus: milli,
    memMiB: milli,
    diskMiB: milli,
    gpus: fc.integer({ min: 0, max: 16 }),
    custom: fc.dictionary(fc.constantFrom('fpga', 'license', 'constructor'), milli),
    ports: fc.array(range, { maxLength: 8 }).map((ranges) => addPorts(ranges, [])),
  });

  it('keep amounts and ranges on the way to the wire and back, whole or in parts', () => {
    fc.assert(
      fc.property(anything, fc.constantFrom(PLAIN, REFINED), fc.boolean(), (resources, dialect, inParts) => {
        const written = JSON.parse(JSON.stringify(plainResources(resources, dialect)));
        const read = resourceListSchema.parse(inParts ? written.flatMap(parted) : written);
        const { scalars, ports, others } = amountsOf(read);
        const custom = Object.fromEntries(Object.entries(resources.custom).filter(([, amount]) => amount > 0));
        expect({ ...scalars, ports, others }).toEqual({ ...resources, custom, others: [] });
      }),
    );
  });

  /** The same as two resources: a thousandth apart, and each range cut in two. */
  function parted(resource: { scalar?: { value: number }; ranges?: { range: { begin: number; end: number }[] } }) {
    if (resource.scalar !== undefined) {
      const rest = toThousandths(resource.scalar.value - 0.001);
      return [0.001, rest].map((value) => ({ ...resource, scalar: { value } }));
    }
    const range = (resource.ranges?.range ?? []).flatMap(({ begin, end }) =>
      begin === end
        ? [{ begin, end }]
        : [
            { begin: begin + 1, end },
            { begin, end: begin },
          ],
    );
    return [{ ...resource, ranges: { range } }];
  }
});

describe('what is wrong with resources', () => {
  it.each([
    [[mem(1, { name: '' })], "Invalid resources: Resource ':1' is invalid: Empty resource name"],
    [[{ name: 'mem', type: 'SCALAR' }], "Invalid resources: Resource 'mem:' is invalid: Invalid scalar resource"],
    [[mem(-1)], "Invalid resources: Resource 'mem:-1' is invalid: Invalid scalar resource: value < 0"],
    [[mem(1), { ...mem(1), scalar: { value: 'Infinity' } }], 'value is not finite'],
    [[{ name: 'gpus', type: 'SCALAR', scalar: { value: 0.5 } }], "The 'gpus' resource must be an unsigned integer"],
    [[ports([2, 1])], "Resource 'ports:[2-1]' is invalid: Invalid ranges resource: begin > end"],
    [[ports([1, 3], [3, 4])], 'Invalid ranges resource: overlapping ranges'],
    [[{ name: 'ports', type: 'RANGES' }], 'Invalid ranges resource'],
    [
      [{ name: 'disks', type: 'SET', set: { item: ['a', 'a'] } }],
      "Resource 'disks:{a, a}' is invalid: Invalid set resource: duplicated elements",
    ],
    [[{ name: 'x', type: 'TEXT' }], 'Invalid resource type'],
    [[mem(1, { revocable: {} })], 'Revocable resources are not offered'],
    [[mem(1, { shared: {} })], 'Shared resources are not supported'],
    [[mem(1, { provider_id: { value: 'p' } })], 'Resource providers are not supported'],
    [[mem(1, { disk: { source: { type: 'MOUNT' } } })], 'Disk sources are not supported'],
  ])('%j is told: %s', (resources, message) => {
    const checked = translated(() => checkResources(resourceListSchema.parse(resources)));
    expect(checked).toEqual({ ok: false, message: expect.stringContaining(message) });
  });

  it.each([[[mem(1)]], [[ports([1, 3], [4, 5])]], [[{ name: 'gpus', type: 'SCALAR', scalar: { value: 2 } }]]])(
    'nothing is with %j',
    (resources) => {
      expect(translated(() => checkResources(resourceListSchema.parse(resources))).ok).toBe(true);
    },
  );

  function ports(...ranges: [number, number][]) {
    return { name: 'ports', type: 'RANGES', ranges: { range: ranges.map(([begin, end]) => ({ begin, end })) } };
  }
});

describe('reserved resources', () => {
  const identity = {
    type: 'DYNAMIC' as const,
    role: 'eng',
    principal: 'p',
    labels: [{ key: 'k', value: 'v' }],
  };
  const scalars = { ...NO_SCALARS, memMiB: 64 };
  const labels = { labels: [{ key: 'k', value: 'v' }] };

  it('are written in either format', () => {
    expect(reservedResources(scalars, identity, PLAIN)).toEqual([
      mem(64, { role: 'eng', reservation: { principal: 'p', labels } }),
    ]);
    const reservations = [{ type: 'DYNAMIC', role: 'eng', principal: 'p', labels }];
    expect(reservedResources(scalars, identity, REFINED)).toEqual([
      mem(64, { reservations, allocation_info: { role: 'eng' } }),
    ]);
    const fixed = { type: 'STATIC' as const, role: 'eng', principal: null, labels: [] };
    expect(reservedResources(scalars, fixed, PLAIN)).toEqual([mem(64, { role: 'eng' })]);
    expect(reservedResources(scalars, fixed, REFINED)).toMatchObject([
      { reservations: [{ type: 'STATIC', role: 'eng' }] },
    ]);
  });

  it('are known again by their identity in either format', () => {
    for (const one of [
      identity,
      { ...identity, principal: null, labels: [] },
      { ...identity, type: 'STATIC' as const, principal: null, labels: [] },
    ]) {
      for (const dialect of [PLAIN, REFINED]) {
        const [resource] = resourceListSchema.parse(reservedResources(scalars, one, dialect));
        const read = resource === undefined ? null : reservationOf(resource);
        expect(read === null ? null : identityKey(read)).toBe(identityKey(one));
      }
    }
  });

  it.each([
    [mem(1), null],
    [mem(1, { role: '*' }), null],
    [mem(1, { role: 'eng' }), { type: 'STATIC', role: 'eng', principal: null, labels: [] }],
    [mem(1, { role: 'eng', reservation: {} }), { type: 'DYNAMIC', role: 'eng', principal: null, labels: [] }],
    [
      mem(1, { reservations: [{ role: 'eng', type: 'STATIC' }] }),
      { type: 'STATIC', role: 'eng', principal: null, labels: [] },
    ],
  ])('%j is of %j', (resource, expected) => {
    const [read] = resourceListSchema.parse([resource]);
    expect(read && reservationOf(read)).toEqual(expected);
  });

  it.each([
    [mem(1, { reservation: {} }), 'role "*" cannot be dynamically reserved'],
    [mem(1, { reservations: [{ type: 'STATIC' }] }), 'role "*" cannot be statically reserved'],
    [mem(1, { reservations: [{ role: 'eng' }, { role: 'eng/ml' }] }), "'mem' is reserved to 'eng' and 'eng/ml'"],
  ])('%j is refused: %s', (resource, message) => {
    const [read] = resourceListSchema.parse([resource]);
    expect(translated(() => read && reservationOf(read))).toEqual({
      ok: false,
      message: expect.stringContaining(message),
    });
  });

  it('are one identity whatever the order of labels, and another with others', () => {
    const two = [{ key: 'a', value: '1' }, { key: 'b' }];
    const key = identityKey({ ...identity, labels: two });
    expect(identityKey({ ...identity, labels: [...two].reverse() })).toBe(key);
    for (const change of [
      { labels: [] },
      { labels: [...two, ...two] },
      { labels: two, role: 'ops' },
      { labels: two, principal: null },
    ]) {
      expect(identityKey({ ...identity, ...change })).not.toBe(key);
    }
  });

  it.each([
    ['plain', 'alice', [{ key: 'k', value: 'v' }], { k: 'v' }],
    ['of another principal', 'p', [{ key: 'k', value: 'v' }], { k: 'v', mesos: '{"principal":"p"}' }],
    ['of none', null, [], { mesos: '{"principal":null}' }],
    [
      'with labels that a map does not hold',
      'alice',
      [{ key: 'k' }, { key: 'k' }],
      { mesos: '{"labels":[{"key":"k"},{"key":"k"}]}' },
    ],
    [
      'with a label of our own name',
      'alice',
      [{ key: 'mesos', value: 'v' }],
      { mesos: '{"labels":[{"key":"mesos","value":"v"}]}' },
    ],
  ])('%s come back from the record as they were made', (_what, principal, list, expected) => {
    const kept = reservationLabels({ principal, labels: list }, 'alice');
    expect(kept).toEqual(expected);
    const record = aReservation({ role: 'eng', by: 'alice', labels: kept });
    expect(identityOf(record, wireRole)).toEqual({ type: 'DYNAMIC', role: 'eng', principal, labels: list });
  });

  it('of operators are told by who made them, even with labels like ours', () => {
    const record = aReservation({ role: 'default', by: 'op', labels: { mesos: 'not ours' } });
    expect(identityOf(record, wireRole)).toEqual({
      type: 'DYNAMIC',
      role: '*',
      principal: 'op',
      labels: [{ key: 'mesos', value: 'not ours' }],
    });
  });
});

describe('what an offer holds', () => {
  const scalars = (change: Partial<typeof NO_SCALARS>) => ({ ...NO_SCALARS, ...change });
  const note = { id: 'app#data#1', principal: 'p', containerPath: 'data' };
  const volume = {
    id: volumeIdFor(note.id),
    reservation: 'r1',
    sizeMiB: 100,
    by: 'alice',
    labels: volumeLabels(note),
    removing: false,
    tasks: [] as string[],
  };
  const holdings = {
    reservations: [aReservation({ id: 'r1', role: 'eng', by: 'alice' }), aReservation({ id: 'r2', role: 'default' })],
    volumes: [volume],
  };
  const offer = {
    role: 'eng/ml',
    resources: { ...NO_RESOURCES, cpus: 4, memMiB: 1000 },
    reserved: [
      { reservation: 'r1', role: 'eng', resources: scalars({ cpus: 1, memMiB: 100 }), labels: {} },
      { reservation: 'r2', role: 'default', resources: scalars({ cpus: 1 }), labels: {} },
    ],
  };

  it('is told apart by reservation, and what is kept for everybody is not reserved', () => {
    expect(resourcesText(resourceListSchema.parse(offerResources(offer, holdings, PLAIN)))).toBe(
      'cpus:3; mem:900; cpus(reservations: [(DYNAMIC,eng,alice)]):1; mem(reservations: [(DYNAMIC,eng,alice)]):100; disk(reservations: [(DYNAMIC,eng,alice)])[app#data#1:data]:100',
    );
  });

  it('has the volumes of its role and those above it that nobody uses', () => {
    const shown = (change: Partial<typeof volume>, role = 'eng/ml') =>
      offerResources({ ...offer, role }, { ...holdings, volumes: [{ ...volume, ...change }] }, PLAIN).filter(
        ({ disk }) => disk,
      );
    expect(shown({})).toEqual([
      {
        name: 'disk',
        type: 'SCALAR',
        scalar: { value: 100 },
        role: 'eng',
        reservation: { principal: 'alice' },
        disk: {
          persistence: { id: 'app#data#1', principal: 'p' },
          volume: { container_path: 'data', mode: 'RW' },
        },
      },
    ]);
    expect(shown({ removing: true })).toEqual([]);
    expect(shown({ tasks: ['t'] })).toEqual([]);
    expect(shown({}, 'ops')).toEqual([]);
    expect(shown({ reservation: 'gone' })).toEqual([]);
  });

  it('names volumes that others have made as Berth does', () => {
    expect(volumeNoteOf({ id: 'data', by: 'op', labels: {} })).toEqual({
      id: 'data',
      principal: 'op',
      containerPath: 'data',
    });
    expect(volumeNoteOf({ id: 'data', by: 'op', labels: { mesos: '{' } }).id).toBe('data');
    expect(volumeIdFor('data')).toBe('data');
    expect(volumeIdFor('app#data#1')).toMatch(/^app-data-1-[0-9a-f]{8}$/);
  });
});

describe('the summary of resources', () => {
  it('always has the four, ports as text, and custom scalars by their names', () => {
    expect(resourceSummary(NO_RESOURCES)).toEqual({ cpus: 0, gpus: 0, mem: 0, disk: 0 });
    const ports = [
      { first: 31_000, last: 31_001 },
      { first: 31_005, last: 31_005 },
    ];
    expect(resourceSummary({ ...half, custom: { fpga: 1 }, ports })).toEqual({
      cpus: 1.5,
      gpus: 0,
      mem: 512,
      disk: 0,
      fpga: 1,
      ports: '[31000-31001, 31005-31005]',
    });
    expect(resourceSummary(NO_SCALARS)).toEqual({ cpus: 0, gpus: 0, mem: 0, disk: 0 });
  });
});
