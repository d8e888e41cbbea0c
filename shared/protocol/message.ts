/** What frameworks and their executors say to each other: a text, which nobody on its way looks into. */
import { z } from 'zod';
import { utf8Length } from '../util/codec.ts';
import { MESSAGE_BYTES_MAX } from './agent.ts';

export const messageDataSchema = z
  .string()
  .refine((data) => utf8Length(data) <= MESSAGE_BYTES_MAX, `must be at most ${MESSAGE_BYTES_MAX} bytes of UTF-8`);
