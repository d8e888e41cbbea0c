/** The job's and the group's constraints over the attributes that the node reports. */
import { type Condition, describeConstraint } from '../../../shared/domain/constraint.ts';
import { allOrNothing, type Filter } from './filter.ts';

export const constraintFilter: Filter = {
  obstacle: 'constraint',
  applies: (demand) => demand.constraints.length > 0,
  admits: (room, demand) => demand.constraints.every((condition) => condition.holds(room.node.attributes)),
  shortage: allOrNothing,
  explain: (room, demand) => {
    const { attributes } = room.node;
    const broken = demand.constraints.filter((condition) => !condition.holds(attributes));
    return `doesn't satisfy ${broken.map((condition) => describeBroken(attributes, condition)).join(' and ')}`;
  },
  sum: (nodes, demand) =>
    `${nodes === 1 ? "doesn't" : "don't"} satisfy the constraints (${demand.constraints.map(({ constraint }) => describeConstraint(constraint)).join(', ')})`,
};

function describeBroken(attributes: Readonly<Record<string, string>>, { constraint }: Condition): string {
  const actual = Object.hasOwn(attributes, constraint.attribute) ? attributes[constraint.attribute] : undefined;
  return `"${describeConstraint(constraint)}" (it ${actual === undefined ? 'is not set' : `is ${actual}`} there)`;
}
