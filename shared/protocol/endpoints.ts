/** Where the tasks of services are reached: what the API shows, and what its watch tells. */
import { z } from 'zod';
import { nameSchema, roleSchema } from './job.ts';
import { publishSchema } from './service.ts';

/**
 * `ready`: give it requests. `starting`: it runs, and its checks have not passed yet. `unhealthy`: a check for health fails.
 * `unready`: it is healthy, and a check for readiness fails. `held`: it is ready, and belongs to a version that is not promoted.
 * `draining`: its end was asked for; give it no new requests. `unreachable`: its node has not been heard of, and it was ready.
 */
export const ENDPOINT_STATES = [
  'ready',
  'starting',
  'unhealthy',
  'unready',
  'held',
  'draining',
  'unreachable',
] as const;

export const endpointViewSchema = z
  .object({
    id: z.string().describe('The task and the name of the port, joined by "/": no two endpoints share one.'),
    role: roleSchema,
    job: nameSchema,
    jobUid: z.string(),
    version: z.number().int().describe('The version of the job that the task is of.'),
    group: z.string(),
    index: z.number().int(),
    task: z.string(),
    node: z.string(),
    host: z.string().describe("The node's host name."),
    address: z.string().describe('What to connect to: an IP address, or a name where the node has told none.'),
    portName: z.string(),
    port: z.number().int().describe('Of the node.'),
    containerPort: z.number().int().nullable().describe('Within the container; null: the same, or it says none.'),
    protocol: z.enum(['tcp', 'udp']),
    state: z.enum(ENDPOINT_STATES),
    since: z.iso.datetime({ precision: 3 }).describe('When the task came to be placed, or its health last changed.'),
    publish: publishSchema.nullable().describe('How balancers offer it; null: they do not.'),
    labels: z.record(z.string(), z.string()).describe("The job's."),
  })
  .meta({ id: 'Endpoint' });

/** All of it, as it stood at `revision`. */
export const endpointListSchema = z
  .object({ revision: z.number().int(), items: z.array(endpointViewSchema) })
  .meta({ id: 'EndpointList' });

/** What has become different: resume after `revision`. Taken in order, from a list on, it gives the list at that revision. */
export const endpointChangeSchema = z
  .object({
    revision: z.number().int(),
    put: z.array(endpointViewSchema).describe('New, or other than before.'),
    gone: z.array(z.string()).describe('Ids.'),
  })
  .meta({ id: 'EndpointChange' });

export type EndpointView = z.output<typeof endpointViewSchema>;
export type EndpointList = z.output<typeof endpointListSchema>;
export type EndpointChange = z.output<typeof endpointChangeSchema>;
