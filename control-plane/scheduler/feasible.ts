/**
 * How many tasks the constraints of a group could ever let run, whatever room there is: told before anybody waits for a place that will never be
 * there.
 */

import type { NodeAttributes } from '../../shared/domain/constraint.ts';
import { describeConstraint } from '../../shared/domain/constraint.ts';
import type { Demand } from './demand.ts';
import { mostByRule } from './peer-rules.ts';
import { attributeOf } from './peers.ts';
import type { Room } from './room.ts';

export interface Feasibility {
  /** Each constraint by itself, and how many nodes satisfy it. */
  readonly constraints: readonly { readonly constraint: string; readonly nodes: number }[];
  /** How many nodes satisfy all of them. */
  readonly nodes: number;
  /** The most tasks of the group that could ever run on the nodes that there are; null: the constraints set no bound. */
  readonly most: number | null;
  /** Why it can never be what is wanted, in a sentence; null: it can. */
  readonly impossible: string | null;
  /** Of the tasks that are wanted, so many can never run; infinite: none can. 0 where it can be what is wanted. */
  readonly tooMany: number;
}

/** `rooms` are all nodes that have joined. */
export function feasibilityOf(rooms: readonly Room[], demand: Demand): Feasibility {
  const attributes = rooms.map(({ node }) => node.attributes);
  const constraints = demand.constraints.map((condition) => ({
    attribute: condition.constraint.attribute,
    constraint: describeConstraint(condition.constraint),
    nodes: attributes.filter((one) => condition.holds(one)).length,
  }));
  const fitting = attributes.filter((one) => demand.constraints.every((condition) => condition.holds(one)));
  const bounds = demand.peers.map((rule) => {
    const values = fitting.flatMap((one) => attributeOf(one, rule.attribute) ?? []);
    return { rule, values: new Set(values).size, most: mostByRule(rule, values) };
  });
  const most = Math.min(fitting.length === 0 ? 0 : Number.POSITIVE_INFINITY, ...bounds.map((bound) => bound.most));
  const hasAny = demand.constraints.length + demand.peers.length > 0;
  const tightest = bounds.find((bound) => bound.most === most);
  const impossible =
    hasAny && rooms.length > 0 ? whyImpossible({ attributes, constraints, fitting, most, tightest, demand }) : null;
  return {
    constraints: constraints.map(({ constraint, nodes }) => ({ constraint, nodes })),
    nodes: fitting.length,
    most: hasAny && most !== Number.POSITIVE_INFINITY ? most : null,
    impossible,
    tooMany: impossible === null ? 0 : most === 0 ? Number.POSITIVE_INFINITY : (demand.wanted ?? 0) - most,
  };
}

interface Findings {
  readonly attributes: readonly NodeAttributes[];
  readonly constraints: readonly { readonly attribute: string; readonly constraint: string; readonly nodes: number }[];
  readonly fitting: readonly NodeAttributes[];
  readonly most: number;
  readonly tightest: { readonly rule: Demand['peers'][number]; readonly values: number } | undefined;
  readonly demand: Demand;
}

function whyImpossible({ attributes, constraints, fitting, most, tightest, demand }: Findings): string | null {
  const total = `${attributes.length} ${attributes.length === 1 ? 'node' : 'nodes'}`;
  const unsatisfied = constraints.find(({ nodes }) => nodes === 0);
  if (unsatisfied !== undefined) {
    const { attribute, constraint } = unsatisfied;
    const isAnywhere = attributes.some((one) => attributeOf(one, attribute) !== undefined);
    const why = isAnywhere ? 'has a value that does' : `has the attribute "${attribute}"`;
    return `None of ${total} satisfies "${constraint}": none ${why}. Change the constraint, or the attributes that agents are started with.`;
  }
  if (fitting.length === 0) {
    const list = constraints.map(({ constraint, nodes }) => `"${constraint}" (${nodes})`).join(', ');
    return `Its constraints contradict each other: of ${total}, each is satisfied by some, and all of them together by none: ${list}.`;
  }
  if (tightest === undefined || demand.wanted === null || most >= demand.wanted) return null;
  const { rule, values } = tightest;
  return `"${rule.text}" lets at most ${most} tasks of the group run, where ${demand.wanted} are wanted: the nodes that satisfy its constraints (${fitting.length}) have ${values} values of "${rule.attribute}". Lower the count, or add nodes with other values.`;
}
