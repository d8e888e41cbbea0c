/** `Offer.Operation`: what a framework does with what it was offered. */
import { z } from 'zod';
import { resourceListSchema, resourceSchema } from './resource.ts';
import { executorInfoSchema, taskInfoSchema } from './task-info.ts';
import { enumSchema, idSchema, optionalList } from './values.ts';

export const OPERATION_TYPES = [
  'LAUNCH',
  'LAUNCH_GROUP',
  'RESERVE',
  'UNRESERVE',
  'CREATE',
  'DESTROY',
  'GROW_VOLUME',
  'SHRINK_VOLUME',
  'CREATE_DISK',
  'DESTROY_DISK',
] as const;

export const offerOperationSchema = z.object({
  type: enumSchema(OPERATION_TYPES),
  id: idSchema.optional(),
  launch: z.object({ task_infos: optionalList(taskInfoSchema) }).optional(),
  launch_group: z
    .object({
      executor: executorInfoSchema,
      task_group: z.object({ tasks: optionalList(taskInfoSchema) }),
    })
    .optional(),
  reserve: z.object({ source: resourceListSchema, resources: resourceListSchema }).optional(),
  unreserve: z.object({ resources: resourceListSchema }).optional(),
  create: z.object({ volumes: resourceListSchema }).optional(),
  destroy: z.object({ volumes: resourceListSchema }).optional(),
  grow_volume: z.object({ volume: resourceSchema }).optional(),
  shrink_volume: z.object({ volume: resourceSchema }).optional(),
});

export type WireOfferOperation = z.output<typeof offerOperationSchema>;
