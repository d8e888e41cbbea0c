/** The cluster at a glance. */

import { usedResources } from '../../shared/domain/ledger.ts';
import { addScalars, NO_SCALARS } from '../../shared/domain/resources.ts';
import type { NodeView, StatusView } from '../../shared/protocol/views.ts';
import { present } from '../../shared/util/assert.ts';
import type { Principal } from '../auth/principal.ts';
import { demand } from './access.ts';
import type { ServiceContext } from './context.ts';
import { countTasks, nodeState, timeView } from './views.ts';

export async function getStatus(ctx: ServiceContext, principal: Principal): Promise<StatusView> {
  demand(principal, 'status:read', null);
  const { snapshot } = ctx.mirror;
  const cluster = present(snapshot.cluster, 'the cluster record');
  const { sizeBytes, inUseBytes } = await ctx.room.read();
  const ledgers = [...snapshot.ledgers.values()];
  const states = nodeStates(ctx);
  const count = (state: NodeView['state']) => states.filter((other) => other === state).length;
  return {
    cluster: cluster.id,
    incarnation: cluster.incarnation,
    version: ctx.config.version,
    revision: ctx.mirror.revision,
    replica: ctx.replica.id,
    replicas: [...snapshot.replicas.values()].map(({ id, url, startedAtMs }) => ({
      id,
      url,
      startedAt: timeView(startedAtMs),
    })),
    driver: snapshot.driver?.replica ?? null,
    round: snapshot.round?.number ?? 0,
    nodes: {
      total: states.length,
      ready: count('ready'),
      ineligible: count('ineligible'),
      unreachable: count('unreachable'),
      draining: count('draining') + count('drained'),
      maintenance: count('maintenance'),
      ahead: count('ahead'),
      keepingAside: [...snapshot.epochs.values()].filter(({ keptAside = [] }) => keptAside.length > 0).length,
    },
    recoveredAt: cluster.recoveredAtMs === undefined ? null : timeView(cluster.recoveredAtMs),
    jobs: { total: snapshot.jobs.size, live: [...snapshot.unsettledJobs()].length },
    tasks: countTasks(snapshot.tasks.values()),
    resources: {
      total: scalars(ledgers.map((ledger) => ledger.total).reduce(addScalars, NO_SCALARS)),
      used: scalars(ledgers.map(usedResources).reduce(addScalars, NO_SCALARS)),
    },
    secrets: secretCounts(ctx),
    database: { sizeBytes, inUseBytes, quotaBytes: ctx.room.quotaBytes, isTight: ctx.room.isTight },
  };
}

function secretCounts({ envelope, mirror }: ServiceContext): StatusView['secrets'] {
  const notes = [...mirror.snapshot.secretNotes()];
  const elsewhere = notes.filter((note) => note.envelopeKey !== envelope?.current);
  const unopenable = elsewhere.filter((note) => envelope?.opens(note) !== true).length;
  return { total: notes.length, envelopeKey: envelope?.current ?? null, elsewhere: elsewhere.length, unopenable };
}

function scalars({ cpus, memMiB, diskMiB, gpus, custom }: typeof NO_SCALARS): StatusView['resources']['total'] {
  return { cpus, memMiB, diskMiB, gpus, custom: { ...custom } };
}

function nodeStates(ctx: ServiceContext): NodeView['state'][] {
  const { snapshot } = ctx.mirror;
  return [...snapshot.nodes.values()].flatMap((node) => {
    const ledger = snapshot.ledgers.get(node.id);
    return ledger === undefined ? [] : [nodeState(snapshot, ledger)];
  });
}
