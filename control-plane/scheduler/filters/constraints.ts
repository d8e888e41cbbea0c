/** The job's and the group's constraints over the attributes that the node reports. */
import { type Constraint, describeConstraint, satisfies } from '../../../shared/domain/constraint.ts';
import { allOrNothing, type Filter } from './filter.ts';

export const constraintFilter: Filter = {
  obstacle: 'constraint',
  applies: (demand) => demand.constraints.length > 0,
  admits: (room, demand) => demand.constraints.every((constraint) => satisfies(room.node.attributes, constraint)),
  shortage: allOrNothing,
  explain: (room, demand) => {
    const { attributes } = room.node;
    const broken = demand.constraints.filter((constraint) => !satisfies(attributes, constraint));
    return `doesn't satisfy ${broken.map((constraint) => describeBroken(attributes, constraint)).join(' and ')}`;
  },
  sum: (nodes, demand) =>
    `${nodes === 1 ? "doesn't" : "don't"} satisfy the constraints (${demand.constraints.map(describeConstraint).join(', ')})`,
};

function describeBroken(attributes: Readonly<Record<string, string>>, constraint: Constraint): string {
  const actual = Object.hasOwn(attributes, constraint.attribute) ? attributes[constraint.attribute] : undefined;
  return `"${describeConstraint(constraint)}" (it ${actual === undefined ? 'is not set' : `is ${actual}`} there)`;
}
