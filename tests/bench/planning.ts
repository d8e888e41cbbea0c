/** How long one round thinks: pure, no store, a thousand nodes and a thousand tasks. */
import { planRound } from '../../control-plane/scheduler/round.ts';
import { aGroup, aJob, aNode, aTask, clusterOf, someResources, T0 } from '../support/builders.ts';
import { ProcessorMeter } from './processor-time.ts';
import type { Section } from './report.ts';
import { Rest } from './rest.ts';
import { distributionOf } from './statistics.ts';

const NODES = 1000;
const TASKS = 1000;
const JOBS = 10;
const ROUNDS = 10;
const REST_MS = 1000;

export async function measurePlanning(): Promise<Section> {
  const rest = new Rest();
  await rest.take(REST_MS);
  const cluster = crowd();
  const meter = new ProcessorMeter([]);
  const took: number[] = [];
  let placed = 0;
  // The first round only warms up.
  planRound({ cluster, nowMs: T0 });
  meter.resume();
  for (let round = 0; round < ROUNDS; round += 1) {
    const beganAtMs = performance.now();
    placed = planRound({ cluster, nowMs: T0 }).placements.length;
    took.push(performance.now() - beganAtMs);
  }
  meter.pause();
  const { p50, min, max } = distributionOf(took);
  const name = `planning: ${NODES} nodes × ${TASKS} tasks`;
  return {
    name: 'planning',
    figures: [{ name, unit: 'ms', measured: p50, target: null, note: `one round, ${placed} placed` }],
    tables: [{ title: 'One round, ms', columns: ['', 'p50', 'min', 'max'], rows: [['planRound', p50, min, max]] }],
    processor: meter.use(0),
    othersPercent: rest.busyPercent,
  };
}

function crowd() {
  const nodes = Array.from({ length: NODES }, (_, at) =>
    aNode({
      id: `node-${at}`,
      resources: someResources({ cpus: 2 + (at % 15) }),
      attributes: { zone: `zone-${at % 10}` },
    }),
  );
  const jobs = Array.from({ length: JOBS }, (_, at) => {
    const constraint = { attribute: 'zone', operator: '=', value: `zone-${at}` } as const;
    const constraints = at % 2 === 0 ? [] : [constraint];
    return aJob({ spec: { name: `job-${at}`, groups: [aGroup({ count: TASKS / JOBS, constraints })] } });
  });
  const tasks = jobs.flatMap((job) => Array.from({ length: TASKS / JOBS }, (_, index) => aTask(job, { index })));
  return clusterOf({ nodes, jobs, tasks });
}
