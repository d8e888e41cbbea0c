import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addPorts,
  addResources,
  addScalars,
  countPorts,
  hasPort,
  missingScalars,
  NO_RESOURCES,
  NO_SCALARS,
  type PortRange,
  portsOf,
  type Resources,
  type Scalars,
  scalarNames,
  scalarOf,
  subtractPorts,
  subtractResources,
  subtractScalars,
  sumResources,
  toMilli,
} from '../../../shared/domain/resources.ts';

const scalars = (change: Partial<Scalars>): Scalars => ({ ...NO_SCALARS, ...change });
const range = (first: number, last: number): PortRange => ({ first, last });

const thousandths = fc.integer({ min: 0, max: 5_000_000 }).map((milli) => milli / 1000);
const customs = fc.dictionary(fc.constantFrom('slots', 'licenses', 'constructor', 'tapes'), thousandths);
/** A set of ports, small enough to be counted one by one. */
const portNumbers = fc.uniqueArray(fc.integer({ min: 1, max: 40 }), { maxLength: 30 });

const resources: fc.Arbitrary<Resources> = fc
  .record({ cpus: thousandths, memMiB: fc.nat(100_000), diskMiB: fc.nat(100_000), gpus: fc.nat(8), custom: customs })
  .chain((amounts) => portNumbers.map((numbers) => ({ ...amounts, ports: portsOf(numbers) })));

/** Zero amounts left out, since a scalar that isn't there is zero. */
const canonical = (value: Resources) => ({
  ...value,
  custom: Object.fromEntries(Object.entries(value.custom).filter(([, amount]) => amount !== 0)),
});

describe('scalars', () => {
  it('add up in thousandths', () => {
    const sum = addScalars(
      scalars({ cpus: 0.1, custom: { slots: 0.1 } }),
      scalars({ cpus: 0.2, custom: { slots: 0.2 } }),
    );
    expect(sum).toEqual(scalars({ cpus: 0.3, custom: { slots: 0.3 } }));
    const ten = Array.from({ length: 10 }).reduce<Scalars>(
      (held) => addScalars(held, scalars({ cpus: 0.1 })),
      NO_SCALARS,
    );
    expect(ten.cpus).toBe(1);
  });

  it('may go below zero, and come back', () => {
    const short = subtractScalars(scalars({ gpus: 1 }), scalars({ gpus: 2, custom: { slots: 1 } }));
    expect(short).toEqual(scalars({ gpus: -1, custom: { slots: -1 } }));
    expect(addScalars(short, scalars({ gpus: 1 })).gpus).toBe(0);
  });

  it.each([
    { need: scalars({ cpus: 1 }), free: scalars({ cpus: 1 }), missing: [] },
    {
      need: scalars({ cpus: 0.3 }),
      free: subtractScalars(scalars({ cpus: 0.4 }), scalars({ cpus: 0.1 })),
      missing: [],
    },
    { need: scalars({ cpus: 1.001 }), free: scalars({ cpus: 1 }), missing: ['cpus'] },
    { need: scalars({ memMiB: 2, cpus: 1 }), free: scalars({}), missing: ['cpus', 'memMiB'] },
    { need: scalars({ custom: { b: 1, a: 1 } }), free: scalars({ custom: { a: 0.5 } }), missing: ['a', 'b'] },
    { need: scalars({ custom: { constructor: 1 } as never }), free: scalars({}), missing: ['constructor'] },
    { need: scalars({ cpus: 1 }), free: scalars({ cpus: 1, gpus: -1 }), missing: [] },
    { need: scalars({ custom: { a: 0 } }), free: scalars({}), missing: [] },
  ])('are missing where there is too little: $missing', ({ need, free, missing }) => {
    expect(missingScalars(need, free)).toEqual(missing);
  });

  it('are named in a fixed order, and read by name', () => {
    const all = { cpus: 1, memMiB: 2, diskMiB: 3, gpus: 4, custom: { z: 6, a: 5 } };
    expect(scalarNames(all)).toEqual(['cpus', 'memMiB', 'diskMiB', 'gpus', 'a', 'z']);
    expect(scalarNames(all).map((name) => scalarOf(all, name))).toEqual([1, 2, 3, 4, 5, 6]);
    expect(scalarOf(all, 'unheard-of')).toBe(0);
    expect(scalarOf(all, 'constructor')).toBe(0);
  });

  it('are rounded to the nearest thousandth', () => {
    expect([0.0004, 0.0006, 1.0005, -0.25].map(toMilli)).toEqual([0, 0.001, 1.001, -0.25]);
  });
});

describe('resources', () => {
  it('are the same whichever is added first, and however they are grouped', () => {
    fc.assert(
      fc.property(resources, resources, resources, (a, b, c) => {
        expect(canonical(addResources(a, b))).toEqual(canonical(addResources(b, a)));
        expect(canonical(addResources(addResources(a, b), c))).toEqual(canonical(addResources(a, addResources(b, c))));
      }),
    );
  });

  it('are unchanged by adding nothing, and nothing is left when all is taken', () => {
    fc.assert(
      fc.property(resources, (a) => {
        expect(addResources(a, NO_RESOURCES)).toEqual(a);
        expect(canonical(subtractResources(a, a))).toEqual(NO_RESOURCES);
      }),
    );
  });

  it('give back exactly what was added, in scalars', () => {
    fc.assert(
      fc.property(resources, resources, (a, b) => {
        const back = subtractScalars(addScalars(a, b), b);
        for (const name of scalarNames(addScalars(a, b))) expect(scalarOf(back, name)).toBe(scalarOf(a, name));
      }),
    );
  });

  it('sum up in one pass to what one by one adds up to', () => {
    fc.assert(
      fc.property(fc.array(resources, { maxLength: 5 }), (list) => {
        expect(canonical(sumResources(list))).toEqual(canonical(list.reduce(addResources, NO_RESOURCES)));
      }),
    );
  });
});

describe('ports', () => {
  it.each([
    { a: [range(1, 3)], b: [range(4, 6)], union: [range(1, 6)], difference: [range(1, 3)] },
    { a: [range(1, 3)], b: [range(5, 6)], union: [range(1, 3), range(5, 6)], difference: [range(1, 3)] },
    { a: [range(1, 9)], b: [range(4, 6)], union: [range(1, 9)], difference: [range(1, 3), range(7, 9)] },
    { a: [range(4, 6)], b: [range(1, 9)], union: [range(1, 9)], difference: [] },
    { a: [range(1, 5)], b: [range(5, 9)], union: [range(1, 9)], difference: [range(1, 4)] },
    { a: [range(5, 9)], b: [range(1, 5)], union: [range(1, 9)], difference: [range(6, 9)] },
    { a: [], b: [range(7, 7)], union: [range(7, 7)], difference: [] },
  ])('$a and $b', ({ a, b, union, difference }) => {
    expect(addPorts(a, b)).toEqual(union);
    expect(subtractPorts(a, b)).toEqual(difference);
  });

  it('behave as sets of numbers do', () => {
    fc.assert(
      fc.property(portNumbers, portNumbers, (some, others) => {
        const [a, b] = [portsOf(some), portsOf(others)];
        const sorted = (numbers: Iterable<number>) => [...numbers].sort((x, y) => x - y);
        expect(numbersIn(addPorts(a, b))).toEqual(sorted(new Set([...some, ...others])));
        expect(numbersIn(subtractPorts(a, b))).toEqual(sorted(some.filter((port) => !others.includes(port))));
        expect(countPorts(a)).toBe(some.length);
        for (let port = 0; port <= 41; port += 1) expect(hasPort(a, port)).toBe(some.includes(port));
      }),
    );
  });

  it('are kept sorted, in ranges that do not touch', () => {
    fc.assert(
      fc.property(portNumbers, portNumbers, (some, others) => {
        for (const ports of [addPorts(portsOf(some), portsOf(others)), subtractPorts(portsOf(some), portsOf(others))]) {
          for (const [place, { first, last }] of ports.entries()) {
            expect(first).toBeLessThanOrEqual(last);
            const next = ports[place + 1];
            if (next !== undefined) expect(next.first).toBeGreaterThan(last + 1);
          }
        }
      }),
    );
  });
});

function numbersIn(ports: readonly PortRange[]): number[] {
  return ports.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, offset) => first + offset));
}
