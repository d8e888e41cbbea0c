/** `/v1/status`, `/v1/tokens` and `/metrics`. */
import { z } from 'zod';
import {
  recoveryViewSchema,
  statusViewSchema,
  tokenRequestSchema,
  tokenViewSchema,
} from '../../../shared/protocol/views.ts';
import type { Gauge } from '../../../shared/util/metrics.ts';
import { type Gauges, readGauges } from '../../services/gauges.ts';
import { recoverCluster } from '../../services/recovery.ts';
import { getStatus } from '../../services/status.ts';
import { createToken } from '../../services/tokens.ts';
import { type Endpoint, endpoint } from '../http/endpoint.ts';
import type { ApiParts } from '../parts.ts';
import { replyTo } from './answers.ts';

/** Of Prometheus' text format. */
const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

const base = { tag: 'Cluster', admits: ['user'] } as const;

export function clusterEndpoints({ ctx, mint, metrics }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...base,
        method: 'get',
        path: '/v1/status',
        summary: 'Read how the cluster is',
        answers: { 200: { description: 'The cluster at a glance.', schema: statusViewSchema } },
      },
      async ({ principal }) => {
        const status = await getStatus(ctx, principal);
        return { status: 200, body: status, revision: status.revision };
      },
    ),
    endpoint(
      {
        ...base,
        method: 'post',
        path: '/v1/cluster/recover',
        summary: 'Recover the cluster after its store was restored from an older snapshot',
        description:
          'Raises the incarnation: agents join anew and accept the older state, and what they run beyond it is kept aside. Clients that come with a revision or an event id from before are answered 410 once. Takes `cluster:recover`.',
        body: z.strictObject({}).meta({ id: 'RecoverRequest' }),
        bodyOptional: true,
        repeatable: true,
        answers: { 200: { description: 'The new incarnation.', schema: recoveryViewSchema } },
      },
      async ({ call }) => replyTo(await recoverCluster(ctx, call)),
    ),
    endpoint(
      {
        ...base,
        method: 'post',
        path: '/v1/tokens',
        summary: 'Make a token',
        description: 'Nobody can hand out more than their own token allows; a join token takes `node:admit`.',
        body: tokenRequestSchema,
        repeatable: true,
        answers: { 201: { description: 'The token. It is shown only now.', schema: tokenViewSchema } },
      },
      async ({ call, body }) => replyTo(await createToken(ctx, mint, call, body), { 'cache-control': 'no-store' }),
    ),
    endpoint(
      {
        ...base,
        method: 'get',
        path: '/metrics',
        summary: 'Read metrics',
        description: "In Prometheus' text format.",
        answers: { 200: { description: 'The metrics.', text: ['text/plain'] } },
      },
      async ({ principal }) => {
        const gauges = gaugesOf(await readGauges(ctx, principal));
        return new Response(metrics.expose(gauges), { headers: { 'content-type': METRICS_TYPE } });
      },
    ),
  ];
}

function gaugesOf(gauges: Gauges): Gauge[] {
  const one = (name: string, help: string, value: number): Gauge => ({ name, help, values: [{ value }] });
  return [
    byState('berth_nodes', 'Nodes by state.', gauges.nodes),
    byState('berth_jobs', 'Jobs on record by state.', gauges.jobs),
    byState('berth_tasks', 'Tasks on record by state.', gauges.tasks),
    one('berth_mirror_revision', 'The revision of the state that this replica has seen.', gauges.revision),
    one('berth_rounds_claimed', 'The number of the last round of the allocator.', gauges.round),
    one('berth_replicas', 'Replicas of the control plane.', gauges.replicas),
    one('berth_drives', '1 where this replica runs rounds and passes.', gauges.drives ? 1 : 0),
    one('berth_store_quota_bytes', "The store's quota, as the control plane was told.", gauges.quotaBytes),
    ...(gauges.database === null
      ? []
      : [
          one('berth_store_size_bytes', "Size of the file of the store's database.", gauges.database.sizeBytes),
          one('berth_store_in_use_bytes', 'Of that, what holds something.', gauges.database.inUseBytes),
        ]),
  ];
}

function byState(name: string, help: string, counts: Readonly<Record<string, number>>): Gauge {
  const values = Object.entries(counts).map(([state, value]) => ({ labelValues: [state], value }));
  return { name, help, labels: ['state'], values };
}
