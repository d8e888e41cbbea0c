/** Everything that a history must not show. Pure: history in, violations out, so that a kept history can be checked again. */
import type { History } from '../history.ts';
import { checkCluster } from './cluster.ts';
import { checkContainers } from './containers.ts';
import { checkFeed } from './feed.ts';
import { checkOutcomes } from './outcomes.ts';
import { checkRequests } from './requests.ts';
import type { Violation } from './violation.ts';

export type { Violation } from './violation.ts';

export function checkHistory(history: History): Violation[] {
  return [checkRequests, checkOutcomes, checkContainers, checkFeed, checkCluster].flatMap((check) => check(history));
}
