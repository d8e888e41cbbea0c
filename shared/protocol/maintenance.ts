/** Maintenance windows, as they are asked for, as the API shows them, and what frameworks answer. */
import { z } from 'zod';
import { MAINTENANCE_ANSWERS, MAINTENANCE_DURATION_MS_MAX } from '../domain/maintenance.ts';
import { FILTER_SECONDS_DEFAULT } from '../domain/offer.ts';
import { sessionSchema } from './framework.ts';
import { maintenanceWindowViewSchema, timeSchema } from './views.ts';

const NOTICE_LENGTH_MAX = 64;

export const maintenanceRequestSchema = z
  .strictObject({
    startsAt: z.iso
      .datetime({ offset: true, error: 'must be a time such as "2026-12-24T18:00:00Z"' })
      .describe('May be past: then it has begun.'),
    durationSeconds: z
      .number()
      .positive()
      .max(MAINTENANCE_DURATION_MS_MAX / 1000)
      .nullable()
      .default(null)
      .describe('Null: nobody knows for how long, so it lasts until it is taken back.'),
  })
  .meta({ id: 'MaintenanceRequest' });

export const maintenanceViewSchema = z
  .object({
    id: z.string().describe('What frameworks answer it by. A window that is changed is another one.'),
    node: z.string(),
    host: z.string().nullable(),
    ...maintenanceWindowViewSchema.shape,
    endsAt: timeSchema.nullable(),
    state: z
      .enum(['coming', 'running', 'over'])
      .describe('`running`: the node is given nothing new. `over`: it will be taken off at once.'),
    setAt: timeSchema,
    setBy: z.string(),
    frameworks: z
      .array(
        z.object({
          framework: z.string(),
          frameworkName: z.string().nullable(),
          answer: z.enum(MAINTENANCE_ANSWERS).nullable().describe('Null: none so far.'),
          answeredAt: timeSchema.nullable(),
          askAgainAt: timeSchema.nullable().describe('When it is told of the window again.'),
        }),
      )
      .describe('Those that have a task or an offer there, and those that have answered.'),
  })
  .meta({ id: 'Maintenance' });

export const maintenanceAnswerSchema = z
  .strictObject({
    session: sessionSchema,
    notice: z.string().min(1).max(NOTICE_LENGTH_MAX).describe('Its id.'),
    answer: z
      .enum(MAINTENANCE_ANSWERS)
      .describe('`accepts`: it will have left the node by then, or does not mind. `declines`: it will not.'),
    refuseSeconds: z
      .number()
      .min(0)
      .default(FILTER_SECONDS_DEFAULT)
      .describe('For how long it is not to be told of it again. At least 1 s and at most 365 days.'),
  })
  .meta({ id: 'MaintenanceAnswer' });

export const maintenanceAnsweredSchema = z
  .object({ notice: z.string(), answer: z.enum(MAINTENANCE_ANSWERS), askAgainAt: timeSchema })
  .meta({ id: 'MaintenanceAnswered' });

export type MaintenanceView = z.output<typeof maintenanceViewSchema>;
export type MaintenanceRequest = z.input<typeof maintenanceRequestSchema>;
export type MaintenanceAnswerRequest = z.input<typeof maintenanceAnswerSchema>;
export type MaintenanceAnswered = z.output<typeof maintenanceAnsweredSchema>;
