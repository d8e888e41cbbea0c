/** What it takes to change jobs that stand: how many, anew, not now, as before. */
import { z } from 'zod';
import { COUNT_MAX, nameSchema } from './job.ts';

const flag = z.boolean().default(false);

/** For changes of services: whether a deployment that is under way is to make room. */
export const forceQuery = {
  force: flag.describe('Cancels the deployment of the job that is under way; without it, that is a `conflict`.'),
};

export const scaleBodySchema = z
  .strictObject({
    group: nameSchema.optional().describe('May be left out where the job has only one.'),
    count: z.number().int().min(0).max(COUNT_MAX).optional().describe('How many tasks there are to be.'),
    by: z
      .number()
      .int()
      .min(-COUNT_MAX)
      .max(COUNT_MAX)
      .optional()
      .describe('How many more than now; fewer, if it is below 0.'),
  })
  .superRefine(({ count, by }, context) => {
    if (count !== undefined && by !== undefined) {
      context.addIssue({ code: 'custom', path: ['by'], message: 'goes without `count`: say one of the two' });
    }
    if (count === undefined && by === undefined) {
      context.addIssue({ code: 'custom', path: ['count'], message: 'is required, or `by`' });
    }
  })
  .meta({ id: 'Scale' });

export const revertBodySchema = z
  .strictObject({
    version: z
      .number()
      .int()
      .min(1)
      .optional()
      .describe('Absent: the last that was rolled out with success, or else the last that was another one.'),
  })
  .meta({ id: 'Revert' });

export const abortBodySchema = z
  .strictObject({
    revert: z
      .boolean()
      .default(true)
      .describe('Whether what was wanted before is rolled out again; else things stay as far as they have come.'),
  })
  .meta({ id: 'Abort' });

export type ScaleRequest = z.input<typeof scaleBodySchema>;

export const versionChangesSchema = z
  .object({
    version: z.number().int(),
    since: z.number().int(),
    changes: z.array(z.object({ path: z.string(), before: z.unknown(), after: z.unknown() })),
  })
  .meta({ id: 'VersionChanges', description: 'What differs between two versions, field by field.' });

export type VersionChangesView = z.output<typeof versionChangesSchema>;

/** What a change of a service will do to the tasks of one group. */
export const groupPlanSchema = z
  .object({
    group: z.string(),
    made: z.number().int().min(0).describe('Tasks that are made, in the place of others or beside them.'),
    replaced: z.number().int().min(0).describe('Tasks that run and are replaced by those.'),
    stopped: z.number().int().min(0).describe('Tasks that run and are stopped without being replaced.'),
    kept: z.number().int().min(0).describe('Tasks that go on as they are.'),
    why: z.string(),
  })
  .meta({ id: 'GroupPlan' });

export type GroupPlan = z.output<typeof groupPlanSchema>;
