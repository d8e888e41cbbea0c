/** What the API says to "why isn't it running?". */
import { z } from 'zod';
import { nameSchema, roleSchema } from './job.ts';

const time = z.iso.datetime({ precision: 3 });
const count = z.number().int().min(0);

export const funnelRowSchema = z
  .object({
    stage: z
      .string()
      .describe(
        '`role`, `constraint`, `reservation`, `maintenance` (nodes that take nothing now), `cpu`, `memory`, `disk`, `gpu`, `ports`, `scarce-resource`, `limit`, `backoff`.',
      ),
    processed: count.describe('How many nodes the rows before have left.'),
    declined: count.describe('How many of these are refused here; each node once, under the first that does.'),
    reasons: z.array(z.string()),
  })
  .meta({ id: 'FunnelRow' });

export const waitingTasksSchema = z
  .object({
    group: z.string(),
    version: z.number().int().describe('The version that they are made from.'),
    waiting: count.describe('How many tasks wait.'),
    tasks: z.array(z.string()).describe('The first of them.'),
    notBefore: time.nullable().describe('When a backoff ends; null: they may be placed now.'),
    displaces: z.array(z.string()).describe('Tasks that make room for them, and have not ended yet.'),
    nodesTotal: count,
    nodesLeft: count.describe('Nodes that would take one.'),
    funnel: z.array(funnelRowSchema).describe('All rows, always in the same order.'),
    nearest: z
      .object({
        node: z.string(),
        missing: z.array(z.object({ code: z.string(), message: z.string() })),
        message: z.string(),
      })
      .nullable()
      .describe('Of nodes that all refuse, the one that lacks least.'),
    constraints: z.array(z.object({ constraint: z.string(), nodes: count.describe('How many satisfy it.') })),
    most: count
      .nullable()
      .describe('The most tasks that the constraints could ever let run on these nodes; null: no bound.'),
    impossible: z.string().nullable().describe('Why the constraints can never be satisfied as wanted; null: they can.'),
    summary: z.string(),
  })
  .meta({ id: 'WaitingTasks' });

export const HOLD_CODES = [
  'job-stopped',
  'job-ended',
  'job-suspended',
  'deployment-waiting',
  'deployment-paused',
  'awaiting-health',
  'awaiting-promotion',
  'deployment-cancelled',
  'deployment-failed',
  'dependency',
  'never-two',
  'volume-away',
  'superseded',
  'stop-requested',
  'unhealthy',
  'not-ready',
  'unreachable',
  'image-unavailable',
  'secret-unavailable',
  'task-failed',
] as const;

export const jobExplanationSchema = z
  .object({
    job: z.object({ uid: z.string(), name: nameSchema, role: roleSchema, version: z.number().int() }),
    summary: z.string(),
    holds: z
      .array(z.object({ code: z.enum(HOLD_CODES), task: z.string().nullable(), message: z.string() }))
      .describe('What holds it up beside a lack of places.'),
    groups: z.array(waitingTasksSchema).describe('Tasks that wait for a place, together where they ask for the same.'),
    more: count.describe('Of these, how many are left out here.'),
  })
  .meta({ id: 'JobExplanation' });

export type FunnelRowView = z.output<typeof funnelRowSchema>;
export type WaitingTasksView = z.output<typeof waitingTasksSchema>;
export type JobExplanationView = z.output<typeof jobExplanationSchema>;
export type HoldCode = (typeof HOLD_CODES)[number];
