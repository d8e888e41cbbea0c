import { describe, expect, it } from 'vitest';
import { type AgentMemory, aheadOf, type NodeState, nextEpoch } from '../../../control-plane/services/node-session.ts';
import type { Epoch } from '../../../shared/domain/node.ts';
import type { AssignmentPosition } from '../../../shared/protocol/agent.ts';
import { aJob, aLedger, anEntry, aTask } from '../../support/builders.ts';

const STOP = { atMs: 1, by: 'ann', reason: 'enough' };

function stateOf(change: Partial<NodeState> = {}): NodeState {
  return {
    incarnation: 1,
    revision: 100,
    before: { epoch: 7, unreachableSinceMs: null },
    ledger: aLedger({ assignmentGeneration: 5 }),
    isUnbegun: () => false,
    ...change,
  };
}

function memoryOf(change: Partial<AgentMemory> = {}): AgentMemory {
  return { seen: { incarnation: 1, generation: 5, revision: 90 }, tasks: [], ended: [], ...change };
}

function epochOf(change: Partial<Epoch> = {}): Epoch {
  return { epoch: 7, unreachableSinceMs: null, ...change };
}

describe('whether an agent has seen a later state', () => {
  const ahead = { incarnation: 1, generation: 9 };
  const cases: readonly [string, Partial<NodeState>, AssignmentPosition | null, Epoch['ahead']][] = [
    ['not when it has seen what stands', {}, { incarnation: 1, generation: 5, revision: 100 }, undefined],
    ['not when it has seen less', {}, { incarnation: 1, generation: 4 }, undefined],
    ['when it has seen a later generation', {}, { incarnation: 1, generation: 6 }, { incarnation: 1, generation: 6 }],
    [
      'when it has seen a later revision, though other changes have brought the ledger as far',
      {},
      { incarnation: 1, generation: 5, revision: 101 },
      { incarnation: 1, generation: 5 },
    ],
    ['when it has seen another incarnation', {}, { incarnation: 2, generation: 1 }, { incarnation: 2, generation: 1 }],
    [
      'when the state knows nothing of its node',
      { ledger: undefined, before: undefined },
      { incarnation: 1, generation: 1 },
      { incarnation: 1, generation: 1 },
    ],
    ['not after a recovery', { incarnation: 2 }, { incarnation: 1, generation: 9, revision: 900 }, undefined],
    ['still, once the state has come as far', { before: epochOf({ ahead }) }, memoryOf().seen, ahead],
    ['no longer, once the cluster was recovered', { incarnation: 2, before: epochOf({ ahead }) }, ahead, undefined],
    ['not when it remembers nothing', { before: epochOf({ ahead }) }, null, undefined],
  ];
  it.each(cases)('%s', (_, change, seen, expected) => {
    expect(aheadOf(stateOf(change), seen)).toEqual(expected);
  });
});

describe('the number of a session', () => {
  it('rises by one, and is the first of a node that is new', () => {
    expect(nextEpoch(stateOf(), memoryOf()).epoch).toBe(8);
    expect(nextEpoch(stateOf({ before: undefined, ledger: undefined }), memoryOf({ seen: null })).epoch).toBe(1);
  });

  it('leaves all that a lost history gave out behind, once after each recovery', () => {
    const first = nextEpoch(stateOf({ incarnation: 1_800_000_000 }), memoryOf());
    expect(first).toMatchObject({ epoch: 1_800_000_000_000, incarnation: 1_800_000_000 });
    expect(nextEpoch(stateOf({ incarnation: 1_800_000_000, before: first }), memoryOf()).epoch).toBe(1_800_000_000_001);
    const again = nextEpoch(stateOf({ incarnation: 1_800_000_001, before: first }), memoryOf()).epoch;
    expect(again).toBe(1_800_000_001_000);
  });

  it('is no less for a node that the state has lost', () => {
    const lost = stateOf({ incarnation: 1_800_000_000, before: undefined, ledger: undefined });
    expect(nextEpoch(lost, memoryOf()).epoch).toBe(1_800_000_000_000);
  });

  it('rises even where the incarnation is low', () => {
    const state = stateOf({ incarnation: 2, before: epochOf({ epoch: 5000 }) });
    expect(nextEpoch(state, memoryOf()).epoch).toBe(5001);
  });

  it('forgets that the node was away, and keeps when its tasks were given up', () => {
    const before = epochOf({ unreachableSinceMs: 5, lastGiveUpMs: 3 });
    expect(nextEpoch(stateOf({ before }), memoryOf())).toMatchObject({ unreachableSinceMs: null, lastGiveUpMs: 3 });
  });
});

describe('what a node keeps aside', () => {
  const job = aJob();
  const placed = aTask(job, { node: 'edge-1', state: 'running' });
  const ledger = aLedger({ assignmentGeneration: 5, entries: [anEntry(job, placed)] });
  const tasks = [placed.id, 'lost-1'];
  const recovered = { incarnation: 2, ledger } as const;

  it('is what runs there beyond what the state places there, once the cluster was recovered', () => {
    expect(nextEpoch(stateOf(recovered), memoryOf({ tasks })).keptAside).toEqual([{ task: 'lost-1', stop: null }]);
  });

  it('is known even before, when the agent has seen a later state', () => {
    const seen = { incarnation: 1, generation: 6 };
    expect(nextEpoch(stateOf({ ledger }), memoryOf({ tasks, seen })).keptAside).toEqual([
      { task: 'lost-1', stop: null },
    ]);
  });

  it('is nothing in a state that was never restored', () => {
    expect(nextEpoch(stateOf({ ledger }), memoryOf({ tasks }))).not.toHaveProperty('keptAside');
  });

  it('stays so over sessions, with what was asked of it, for as long as it runs', () => {
    const before = epochOf({ incarnation: 2, keptAside: [{ task: 'lost-1', stop: STOP }] });
    const seen = { incarnation: 2, generation: 5 };
    const state = stateOf({ ...recovered, before });
    expect(nextEpoch(state, memoryOf({ tasks, seen })).keptAside).toEqual(before.keptAside);
    expect(nextEpoch(state, memoryOf({ tasks: [placed.id], seen }))).not.toHaveProperty('keptAside');
  });

  it('tells beside it which tasks have ended there that have not begun here, and no others', () => {
    const state = stateOf({ ...recovered, isUnbegun: (task) => task === 'lost-2' });
    expect(nextEpoch(state, memoryOf({ ended: ['lost-2', 'lost-3'] })).endedBefore).toEqual(['lost-2']);
    const ordinary = stateOf({ ledger, isUnbegun: () => true });
    expect(nextEpoch(ordinary, memoryOf({ ended: ['lost-2'] }))).not.toHaveProperty('endedBefore');
  });
});
