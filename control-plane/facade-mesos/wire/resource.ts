/** `Resource`, in both of its formats: reservations as a list (RESERVATION_REFINEMENT), or as `role` and `reservation`. */
import { z } from 'zod';
import { doubleSchema, integerSchema, labelsSchema, optionalList } from './values.ts';

const rangeSchema = z.object({ begin: integerSchema, end: integerSchema });

const reservationInfoSchema = z.object({
  type: z.string().optional(),
  role: z.string().optional(),
  principal: z.string().optional(),
  labels: labelsSchema.optional(),
});

const diskInfoSchema = z.object({
  persistence: z.object({ id: z.string(), principal: z.string().optional() }).optional(),
  volume: z
    .object({ container_path: z.string(), mode: z.enum(['RW', 'RO']), host_path: z.string().optional() })
    .optional(),
  source: z.looseObject({}).optional(),
});

export const resourceSchema = z.object({
  name: z.string(),
  type: z.enum(['SCALAR', 'RANGES', 'SET', 'TEXT']),
  scalar: z.object({ value: doubleSchema }).optional(),
  ranges: z.object({ range: optionalList(rangeSchema) }).optional(),
  set: z.object({ item: optionalList(z.string()) }).optional(),
  provider_id: z.looseObject({}).optional(),
  role: z.string().optional(),
  allocation_info: z.object({ role: z.string().optional() }).optional(),
  reservation: reservationInfoSchema.optional(),
  reservations: optionalList(reservationInfoSchema),
  disk: diskInfoSchema.optional(),
  revocable: z.looseObject({}).optional(),
  shared: z.looseObject({}).optional(),
});

export const resourceListSchema = optionalList(resourceSchema);

export type WireReservationInfo = z.output<typeof reservationInfoSchema>;
type WireDiskInfo = z.output<typeof diskInfoSchema>;
/** As it is read. */
export type WireResource = z.output<typeof resourceSchema>;

/** As it is written: without what is empty. */
export interface WrittenResource {
  readonly name: string;
  readonly type: 'SCALAR' | 'RANGES';
  readonly scalar?: { readonly value: number };
  readonly ranges?: { readonly range: readonly { readonly begin: number; readonly end: number }[] };
  readonly role?: string;
  readonly allocation_info?: { readonly role: string };
  readonly reservation?: WireReservationInfo;
  readonly reservations?: readonly WireReservationInfo[];
  readonly disk?: WireDiskInfo;
}
