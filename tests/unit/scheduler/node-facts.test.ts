import { beforeEach, describe, expect, it } from 'vitest';
import { type Inquiry, NodeFacts } from '../../../control-plane/scheduler/node-facts.ts';

interface Colour {
  readonly key: string;
}

let facts: NodeFacts<Colour>;
let colours: Map<string, string>;
let looked: string[];

beforeEach(() => {
  facts = new NodeFacts();
  colours = new Map([
    ['n1', 'red'],
    ['n2', 'blue'],
    ['n3', 'red'],
    ['n4', 'none'],
  ]);
  looked = [];
});

function ask(
  passing: readonly string[] = [],
  change: Partial<Inquiry<Colour>> = {},
): Record<string, readonly string[]> {
  looked = [];
  const found = facts.of({
    question: 'colour',
    nodes: () => [...colours.keys()],
    nodesTotal: colours.size,
    passing: new Set(passing),
    factOf: (node) => {
      looked.push(node);
      const key = colours.get(node) ?? 'none';
      return key === 'none' ? null : { key };
    },
    ...change,
  });
  return Object.fromEntries(found.map(({ fact, nodes }) => [fact.key, nodes]));
}

describe('facts of nodes', () => {
  it('are told by the answer, and nothing is looked at twice', () => {
    expect(ask()).toEqual({ red: ['n1', 'n3'], blue: ['n2'] });
    expect(looked).toEqual(['n1', 'n2', 'n3', 'n4']);
    expect(ask()).toEqual({ red: ['n1', 'n3'], blue: ['n2'] });
    expect(looked).toEqual([]);
  });

  it('are looked for again where a node has been touched, and only there', () => {
    ask();
    for (const [node, colour] of Object.entries({ n1: 'blue', n3: 'none', n4: 'red', n5: 'green' })) {
      colours.set(node, colour);
      facts.touch(node);
    }
    expect(ask()).toEqual({ red: ['n4'], blue: ['n1', 'n2'], green: ['n5'] });
    expect(looked).toEqual(['n1', 'n3', 'n4', 'n5']);
  });

  it('of nodes that are something else for a time are told, but not kept', () => {
    ask();
    colours.set('n1', 'green').set('n2', 'none');
    expect(ask(['n1', 'n2'])).toEqual({ red: ['n3'], green: ['n1'] });
    colours.set('n1', 'red').set('n2', 'blue');
    expect(ask()).toEqual({ red: ['n1', 'n3'], blue: ['n2'] });
    expect(looked).toEqual([]);
  });

  it('of such nodes are found out later, where they were not known before', () => {
    expect(ask(['n1'])).toEqual({ red: ['n1', 'n3'], blue: ['n2'] });
    colours.set('n1', 'blue');
    expect(ask()).toEqual({ red: ['n3'], blue: ['n1', 'n2'] });
    expect(looked).toEqual(['n1']);
  });

  it('are found out anew once they are forgotten, or have not been asked for while many others were', () => {
    ask();
    facts.forget();
    ask();
    expect(looked).toHaveLength(4);
    ask([], { question: 'weight', nodesTotal: 200_000 });
    ask();
    expect(looked).toHaveLength(4);
  });

  it('are kept apart for each question', () => {
    ask();
    expect(ask([], { question: 'weight', factOf: () => ({ key: 'heavy' }) })).toEqual({
      heavy: ['n1', 'n2', 'n3', 'n4'],
    });
    expect(ask()).toEqual({ red: ['n1', 'n3'], blue: ['n2'] });
    expect(looked).toEqual([]);
  });
});
