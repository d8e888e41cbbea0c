/** What the API shows of deployments, and what it takes to steer them. */
import { z } from 'zod';
import { DEPLOYMENT_CAUSES } from '../domain/deployment.ts';
import { UPDATE_STRATEGIES } from '../domain/service.ts';
import { nameSchema, roleSchema } from './job.ts';

const time = z.iso.datetime({ precision: 3 });
const count = z.number().int().min(0);

/**
 * `waiting`: for what its job depends on. `running`, `paused`. `awaiting-promotion`: all that is to be promoted is healthy. The other three are how it came out.
 */
export const DEPLOYMENT_VIEW_STATES = [
  'waiting',
  'running',
  'awaiting-promotion',
  'paused',
  'succeeded',
  'failed',
  'cancelled',
] as const;

export const deploymentGroupViewSchema = z
  .object({
    group: z.string(),
    wanted: count.describe('How many tasks the version wants.'),
    new: count.describe('Live tasks of the version that is rolled out.'),
    healthy: count.describe('Those among them that are healthy and ready.'),
    old: count.describe('Live tasks of versions before.'),
  })
  .meta({ id: 'DeploymentGroup' });

export const deploymentViewSchema = z
  .object({
    id: z.string(),
    job: z.object({ uid: z.string(), name: nameSchema, role: roleSchema }),
    cause: z.enum(DEPLOYMENT_CAUSES),
    strategy: z.enum(UPDATE_STRATEGIES),
    fromVersion: z.number().int().nullable(),
    toVersion: z.number().int(),
    state: z.enum(DEPLOYMENT_VIEW_STATES),
    message: z.string().describe('Where it stands, or how it came out, in a sentence.'),
    groups: z.array(deploymentGroupViewSchema).describe('As things stand now; empty once it is over.'),
    createdAt: time,
    createdBy: z.string(),
    startedAt: time.nullable(),
    progressAt: time.describe('When a further task last came to count.'),
    deadline: time
      .nullable()
      .describe('When it fails unless a further task comes to count; null: it has no deadline now.'),
    promotedAt: time.nullable(),
    promotedBy: z.string().nullable(),
    pausedBy: z.string().nullable(),
    endedAt: time.nullable(),
    revertOf: z.string().nullable().describe('The failed deployment that it takes back.'),
    revertedBy: z.string().nullable().describe('The deployment that takes it back.'),
  })
  .meta({ id: 'Deployment' });

/** The deployment of a job that isn't over, as the job shows it. */
export const deploymentMarkSchema = deploymentViewSchema.pick({
  id: true,
  state: true,
  message: true,
  toVersion: true,
});

/** Of tasks that are to run for ever: how many there are to be, and how many of them do what they should. */
export const healthCountsSchema = z
  .object({
    wanted: count,
    healthy: count.describe('Live tasks that are healthy and ready, of whichever version.'),
    outdated: count.describe('Live tasks that are made from something else than what is wanted now.'),
  })
  .meta({ id: 'HealthCounts' });

export const groupHealthSchema = healthCountsSchema
  .extend({ name: z.string(), live: count.describe('Tasks that have not ended, of whichever version.') })
  .meta({ id: 'GroupHealth' });

export type DeploymentView = z.output<typeof deploymentViewSchema>;
export type DeploymentGroupView = z.output<typeof deploymentGroupViewSchema>;
export type HealthCounts = z.output<typeof healthCountsSchema>;
export type GroupHealth = z.output<typeof groupHealthSchema>;
