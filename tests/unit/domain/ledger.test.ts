import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addEntries,
  entryBytesMax,
  freeResources,
  isOpen,
  markStop,
  removeEntries,
  STOP_REASON_BYTES_MAX,
  usedResources,
} from '../../../shared/domain/ledger.ts';
import { InvariantError } from '../../../shared/util/assert.ts';
import { utf8Length } from '../../../shared/util/codec.ts';
import { aGroup, aJob, aLedger, anEntry, aTask, someResources, T0 } from '../../support/builders.ts';

const job = aJob({ spec: { groups: [aGroup({ count: 3, resources: { cpus: 0.1, memMiB: 10 } })] } });
const entry = (index: number, ports: Record<string, number> = {}) => anEntry(job, aTask(job, { index, ports }));
const [a, b, c] = [entry(0, { web: 31_000 }), entry(1, { web: 31_001 }), entry(2)];
const mark = { atMs: T0, graceMs: 10_000, reason: 'enough' };

describe('resources of a ledger', () => {
  const ledger = aLedger({ entries: [a, b, c], total: someResources({ ports: [{ first: 31_000, last: 31_009 }] }) });

  it('are used by all entries together', () => {
    expect(usedResources(ledger)).toMatchObject({ cpus: 0.3, memMiB: 30, ports: [{ first: 31_000, last: 31_001 }] });
  });

  it('are free as far as they are left', () => {
    expect(freeResources(ledger)).toMatchObject({ cpus: 3.7, memMiB: 4066, ports: [{ first: 31_002, last: 31_009 }] });
  });

  it('may be less than nothing on a node that shrank', () => {
    expect(freeResources({ ...ledger, total: someResources({ cpus: 0.2, ports: [] }) })).toMatchObject({
      cpus: -0.1,
      ports: [],
    });
  });
});

describe('entries', () => {
  const ledger = aLedger({ entries: [a], assignmentGeneration: 5 });

  it('are added, and the agent is told', () => {
    const more = addEntries(ledger, [b, c]);
    expect(Object.keys(more.entries)).toEqual([a.task, b.task, c.task]);
    expect(more.assignmentGeneration).toBe(6);
    expect(Object.keys(ledger.entries)).toEqual([a.task]);
  });

  it('are never added twice', () => {
    expect(() => addEntries(ledger, [a])).toThrow(InvariantError);
    expect(() => addEntries(ledger, [b, b])).toThrow(`task ${b.task} already holds a place on node edge-1`);
  });

  it('are removed, and the agent is told', () => {
    const fewer = removeEntries(addEntries(ledger, [b]), [a.task, 'unheard-of']);
    expect(Object.keys(fewer.entries)).toEqual([b.task]);
    expect(fewer.assignmentGeneration).toBe(7);
  });

  it('leave the very same ledger where nothing changes', () => {
    expect(addEntries(ledger, [])).toBe(ledger);
    expect(removeEntries(ledger, [b.task])).toBe(ledger);
    expect(markStop(ledger, b.task, mark)).toBe(ledger);
  });
});

describe('a stop mark', () => {
  const ledger = aLedger({ entries: [a, b], assignmentGeneration: 5 });
  const stopped = markStop(ledger, a.task, mark);

  it('is set on its task alone, and the agent is told', () => {
    expect(stopped.entries).toEqual({ [a.task]: { ...a, stop: mark }, [b.task]: b });
    expect(stopped.assignmentGeneration).toBe(6);
  });

  it('stays as it is once set', () => {
    expect(markStop(stopped, a.task, { ...mark, graceMs: 0 })).toBe(stopped);
  });

  it('still lets its task be disowned, once', () => {
    const disowned = markStop(stopped, a.task, { ...mark, graceMs: 0 }, true);
    expect(disowned.entries[a.task]).toEqual({ ...a, stop: mark, disowned: true });
    expect(disowned.assignmentGeneration).toBe(7);
    expect(markStop(disowned, a.task, mark, true)).toBe(disowned);
    expect(markStop(disowned, a.task, mark)).toBe(disowned);
  });
});

describe('isOpen', () => {
  const drain = { startedAtMs: T0, deadlineMs: null, by: 'bob' };
  it.each([
    { eligible: true, draining: false, open: true },
    { eligible: false, draining: false, open: false },
    { eligible: true, draining: true, open: false },
    { eligible: false, draining: true, open: false },
  ])('eligible $eligible, draining $draining: $open', ({ eligible, draining, open }) => {
    expect(isOpen(aLedger({ eligible, drain: draining ? drain : null }))).toBe(open);
  });
});

describe('the size of an entry', () => {
  const name = fc.stringMatching(/^[a-z0-9]{1,63}$/);
  const milli = fc.integer({ min: 0, max: 1e15 }).map((amount) => amount / 1000);
  const port = fc.integer({ min: 1, max: 65_535 });
  const drawn = fc.record({
    spec: fc.record({ name, role: name }),
    group: name,
    attempt: fc.integer({ min: 0, max: 1_000_000 }),
    cpus: fc.integer({ min: 1, max: 10_000_000 }).map((amount) => amount / 1000),
    memMiB: fc.integer({ min: 0, max: 100_000_000 }),
    custom: fc.dictionary(name, milli, { maxKeys: 32 }),
    ports: fc.dictionary(name, port, { maxKeys: 100 }),
    reason: fc.string({ unit: 'binary', maxLength: 1000 }),
    devices: fc.array(fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$/), { maxLength: 16 }),
    disowned: fc.boolean(),
  });

  it('is never more than what is kept free for it, neither before it is stopped nor after', () => {
    fc.assert(
      fc.property(drawn, ({ spec, group, attempt, cpus, memMiB, custom, ports, reason, devices, disowned }) => {
        const named = aJob({
          spec: { ...spec, groups: [aGroup({ name: group, resources: { cpus, memMiB, custom } })] },
        });
        const held = anEntry(named, aTask(named, { attempt, ports }), { devices });
        const bytes = entryBytesMax(held);
        const before = aLedger({ entries: [held] });
        const empty = utf8Length(JSON.stringify(aLedger()));
        expect(utf8Length(JSON.stringify(before)) - empty).toBeLessThanOrEqual(bytes);
        const after = markStop(before, held.task, { atMs: T0, graceMs: 3_600_000, reason }, disowned);
        expect(utf8Length(JSON.stringify(after)) - empty).toBeLessThanOrEqual(bytes);
        expect(after.entries[held.task]).toSatisfy((marked: typeof held) => entryBytesMax(marked) === bytes);
      }),
    );
  });

  it('counts a reason that is longer than marks are made with', () => {
    const long = { ...a, stop: { ...mark, reason: '\u0001'.repeat(1000) } };
    expect(entryBytesMax(long)).toBeGreaterThan(6000);
  });

  it('leaves of a long reason the beginning', () => {
    const ledger = markStop(aLedger({ entries: [a] }), a.task, { ...mark, reason: 'x'.repeat(1000) });
    expect(ledger.entries[a.task]?.stop?.reason).toBe(`${'x'.repeat(STOP_REASON_BYTES_MAX - 3)}…`);
  });
});
