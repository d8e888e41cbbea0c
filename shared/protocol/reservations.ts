/** Reservations and volumes, as they are asked for and as the API shows them. */
import { z } from 'zod';
import { RESERVATION_ID_PATTERN } from '../domain/ids.ts';
import { RESERVATION_SOURCES } from '../domain/reservation.ts';
import { roleSchema } from './job.ts';
import { scalarAmountsSchema } from './roles.ts';
import { scalarsViewSchema, timeSchema } from './views.ts';

const ID_RULE = 'must be lower-case letters, digits and inner hyphens, 1 to 63 characters';
export const reservationIdSchema = z.string().regex(RESERVATION_ID_PATTERN, ID_RULE);

const LABELS_MAX = 20;
const VOLUME_MIB_MAX = 1e9;

const labelsSchema = z
  .record(z.string().min(1).max(63), z.string().max(256))
  .refine((labels) => Object.keys(labels).length <= LABELS_MAX, `must be at most ${LABELS_MAX}`)
  .default({});

export const reservationRequestSchema = z
  .strictObject({
    id: reservationIdSchema.optional().describe('Absent: one is made up.'),
    role: roleSchema.describe('Only it and the roles below it may use what is reserved.'),
    amounts: scalarAmountsSchema.refine(
      (amounts) => Object.values(amounts).some((amount) => amount > 0),
      'must name something, such as {"cpus": 2}',
    ),
    labels: labelsSchema,
  })
  .meta({ id: 'ReservationRequest' });

export const reservationViewSchema = z
  .object({
    node: z.string(),
    id: z.string(),
    role: roleSchema,
    source: z
      .enum(RESERVATION_SOURCES)
      .describe("`static`: set at the node's agent, and changed only there. `dynamic`: made over the API."),
    amounts: scalarsViewSchema,
    free: scalarsViewSchema.describe('Of that, what neither tasks, offers nor volumes hold.'),
    labels: z.record(z.string(), z.string()),
    by: z.string(),
    at: timeSchema,
    tasks: z.array(z.string()).describe('Those that use it.'),
    volumes: z.array(z.string()).describe('Those on it.'),
  })
  .meta({ id: 'Reservation' });

export const volumeRequestSchema = z
  .strictObject({
    id: reservationIdSchema.optional().describe('What jobs name it by; unique on the node. Absent: one is made up.'),
    reservation: reservationIdSchema.describe('Whose disk it is made of.'),
    sizeMiB: z.number().int().min(1).max(VOLUME_MIB_MAX).describe('Of disk, counted, not enforced.'),
    labels: labelsSchema.optional(),
  })
  .meta({ id: 'VolumeRequest' });

export const volumeViewSchema = z
  .object({
    node: z.string(),
    id: z.string(),
    role: roleSchema.describe('Of its reservation: tasks of it and of the roles below it may mount the volume.'),
    reservation: z.string(),
    sizeMiB: z.number(),
    labels: z.record(z.string(), z.string()).default({}).describe('For whoever made it.'),
    removing: z.boolean().describe('It is being deleted with all that is in it; it goes once its agent has done so.'),
    by: z.string(),
    at: timeSchema,
    tasks: z.array(z.string()).describe('Those on the node that mount it.'),
  })
  .meta({ id: 'Volume' });

export type ReservationRequest = z.output<typeof reservationRequestSchema>;
export type ReservationRequestInput = z.input<typeof reservationRequestSchema>;
export type ReservationView = z.output<typeof reservationViewSchema>;
export type VolumeRequest = z.output<typeof volumeRequestSchema>;
export type VolumeView = z.output<typeof volumeViewSchema>;
