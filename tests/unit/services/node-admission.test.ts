import { describe, expect, it } from 'vitest';
import {
  type Admission,
  admissionOf,
  holderOf,
  type Newcomer,
} from '../../../control-plane/services/node-admission.ts';
import type { Epoch } from '../../../shared/domain/node.ts';
import type { Stamp } from '../../../shared/protocol/agent.ts';

const HOLDER = { stamp: 'stamp-2', instance: 'first' };

function aRecord(change: Partial<Epoch> = {}): Epoch {
  return { epoch: 5, unreachableSinceMs: null, incarnation: 1, holder: HOLDER, ...change };
}

function aStamp(change: Partial<Stamp> = {}): Stamp {
  return { instance: 'second', last: 'stamp-2', epoch: 5, next: 'stamp-3', ...change };
}

/** The next registration of a node that is not connected, by another process with its memory. */
function aNewcomer(change: Partial<Newcomer> = {}): Newcomer {
  const seen = { incarnation: 1, generation: 7 };
  return {
    ...{ incarnation: 1, before: aRecord(), isAlive: false, isJoin: false },
    ...{ seen, isAhead: false, stamp: aStamp(), ...change },
  };
}

const COPY = aStamp({ last: 'stamp-1', next: 'stamp-2b' });
const BLANK = { seen: null, stamp: aStamp({ last: null, epoch: 0 }) };
const GONE = { atMs: 1, by: 'admin', stamp: 'stamp-2' };

const CASES: readonly [string, Partial<Newcomer>, Admission][] = [
  ['a node that nobody knows', { before: undefined, ...BLANK }, 'admitted'],
  ['the next step', {}, 'admitted'],
  [
    'the same step again, its answer having been lost',
    { stamp: aStamp({ last: 'stamp-1', next: 'stamp-2' }) },
    'admitted',
  ],
  ['the stamp before once more, where no new one could be written', { stamp: aStamp({ next: 'stamp-2' }) }, 'admitted'],
  ['a copy that fell behind', { stamp: COPY }, 'mismatch'],
  ['a copy that fell behind while nobody is connected, with a join token', { stamp: COPY, isJoin: true }, 'mismatch'],
  ['an empty disk under a known name', { ...BLANK, isJoin: true }, 'mismatch'],
  ['an agent without stamps where there was one with', { stamp: undefined }, 'mismatch'],
  ['the first stamp of a node that had none', { before: aRecord({ holder: undefined }), stamp: COPY }, 'admitted'],
  [
    'an agent without stamps where there never was one',
    { before: aRecord({ holder: undefined }), stamp: undefined },
    'admitted',
  ],
  ['another process while the holder may live', { isAlive: true }, 'contested'],
  ['the holder itself', { isAlive: true, stamp: aStamp({ instance: 'first' }) }, 'admitted'],
  [
    'a clone with the memory of the process too, which fell behind',
    { stamp: { ...COPY, instance: 'first' } },
    'mismatch',
  ],
  ['one whose epochs the state has never come to', { stamp: { ...COPY, epoch: 6 } }, 'admitted'],
  ['one that has seen more than the state', { stamp: COPY, isAhead: true }, 'admitted'],
  [
    'the same, once that is on record',
    { stamp: COPY, isAhead: true, before: aRecord({ ahead: { incarnation: 1, generation: 9 } }) },
    'mismatch',
  ],
  ['one from before a recovery', { stamp: COPY, incarnation: 2 }, 'admitted'],
  [
    'the same, once it has registered after it',
    { stamp: COPY, incarnation: 2, before: aRecord({ incarnation: 2 }) },
    'mismatch',
  ],
  ['an empty disk after a recovery', { ...BLANK, incarnation: 2 }, 'mismatch'],
  ['a machine that was declared gone', { before: aRecord({ holder: undefined, gone: GONE }) }, 'gone'],
  ['the same with a join token', { before: aRecord({ holder: undefined, gone: GONE }), isJoin: true }, 'gone'],
  [
    'a new one under its name',
    { before: aRecord({ holder: undefined, gone: GONE }), isJoin: true, ...BLANK },
    'admitted',
  ],
  ['a new one with the token of the old one', { before: aRecord({ holder: undefined, gone: GONE }), ...BLANK }, 'gone'],
  [
    'the old one after a new one has joined, with its longer history',
    { isAhead: true, before: aRecord({ holder: { ...HOLDER, stamp: 'other' }, scrapped: 'stamp-2' }) },
    'gone',
  ],
  ['a copy of the new one', { before: aRecord({ scrapped: 'stamp-0' }), stamp: COPY }, 'mismatch'],
];

describe('who is admitted under a name', () => {
  it.each(CASES)('%s', (_what, change, admission) => {
    expect(admissionOf(aNewcomer(change))).toBe(admission);
  });

  it('is on record with its next stamp', () => {
    expect(holderOf(aNewcomer())).toEqual({ holder: { stamp: 'stamp-3', instance: 'second' } });
  });

  it('does not let it be forgotten who was here before', () => {
    const before = aRecord({ holder: undefined, gone: GONE });
    expect(holderOf(aNewcomer({ before, ...BLANK }))).toMatchObject({ scrapped: 'stamp-2' });
    expect(holderOf({ before: aRecord({ scrapped: 'stamp-0' }), stamp: aStamp() })).toMatchObject({
      scrapped: 'stamp-0',
    });
  });
});

describe('two agents with the same memory', () => {
  /** An agent as far as its stamps go. */
  interface Copy {
    instance: string;
    last: string | null;
    epoch: number;
    next?: string;
  }

  function register(state: { record: Epoch | undefined; made: number }, copy: Copy): Admission {
    const { next = `made-${state.made + 1}`, ...known } = copy;
    state.made += 1;
    const stamp = { ...known, next };
    const newcomer = aNewcomer({ before: state.record, stamp, seen: null });
    const admission = admissionOf(newcomer);
    if (admission !== 'admitted') return admission;
    state.record = { ...aRecord({ epoch: (state.record?.epoch ?? 0) + 1 }), ...holderOf(newcomer) };
    Object.assign(copy, { last: next, epoch: state.record.epoch });
    delete copy.next;
    return admission;
  }

  it.each(['before', 'after'] as const)('are told apart as soon as both have registered %s the other', (order) => {
    const state = { record: undefined, made: 0 };
    const original: Copy = { instance: 'a', last: null, epoch: 0 };
    expect(register(state, original)).toBe('admitted');
    const clone = { ...original, instance: 'b' };
    const [first, second] = order === 'before' ? [clone, original] : [original, clone];
    expect(register(state, first)).toBe('admitted');
    expect(register(state, second)).toBe('mismatch');
    expect(register(state, first)).toBe('admitted');
    expect(register(state, second)).toBe('mismatch');
  });
});
