/** Whether a node may ever have tasks of a group, whatever is free there: its attributes, its operator's consent and its engine. */
import { missingConsents } from './consent.ts';
import { conditionOf, isPeerOperator } from './constraint.ts';
import type { JobSpec, TaskGroup } from './job.ts';
import { NO_ENGINE, type Node } from './node.ts';

/** Where other tasks are isn't asked: that is for whoever places. */
export function isSuitable(node: Node, spec: Pick<JobSpec, 'constraints'>, group: TaskGroup): boolean {
  if (group.runtime === 'docker' && node.engine === NO_ENGINE) return false;
  if (missingConsents(group, node.consent).length > 0) return false;
  return [...spec.constraints, ...group.constraints]
    .filter(({ operator }) => !isPeerOperator(operator))
    .every((constraint) => conditionOf(constraint).holds(node.attributes));
}
