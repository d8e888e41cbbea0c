/**
 * How long a round thinks that places a thousand tasks on a thousand nodes: those of a service that is spread over zones and grouped by racks,
 * where each that is placed changes where the next may be, against those of a batch job that only looks for room.
 */
import { planRound } from '../../control-plane/scheduler/round.ts';
import type { ClusterView } from '../../shared/domain/cluster.ts';
import type { GroupSpec, JobKind } from '../../shared/domain/job.ts';
import { invariant } from '../../shared/util/assert.ts';
import { aGroup, aJob, aNode, aTask, clusterOf, T0 } from '../support/builders.ts';
import { usedMs } from './processor-time.ts';
import { median } from './statistics.ts';

const SIZE = 1000;
const RACKS = 100;
const ZONES = 10;
const ROUNDS = 9;

export interface PlacingCost {
  readonly service: number;
  readonly batch: number;
}

/** In ms of processor time, each at the median. */
export function costOfPlacing(): PlacingCost {
  return {
    service: costOf(
      clusterWith('service', {
        constraints: [{ attribute: 'rack', operator: 'groupBy' }],
        spread: [{ attribute: 'zone', weight: 50 }],
      }),
    ),
    batch: costOf(clusterWith('batch', {})),
  };
}

function costOf(cluster: ClusterView): number {
  const times = Array.from({ length: ROUNDS }, () => {
    const beganAtMs = usedMs();
    const { placements } = planRound({ cluster, nowMs: T0 });
    invariant(placements.length === SIZE, 'every task has been placed');
    return usedMs() - beganAtMs;
  });
  return median(times);
}

function clusterWith(kind: JobKind, change: Partial<GroupSpec>): ClusterView {
  const group = aGroup({ count: SIZE, resources: { cpus: 0.1, memMiB: 32 }, ...change });
  const job = aJob({ spec: { kind, groups: [group] } });
  const nodes = Array.from({ length: SIZE }, (_, at) =>
    aNode({ id: `node-${at}`, attributes: { rack: `rack-${at % RACKS}`, zone: `zone-${at % ZONES}` } }),
  );
  return clusterOf({ nodes, jobs: [job], tasks: Array.from({ length: SIZE }, (_, index) => aTask(job, { index })) });
}
