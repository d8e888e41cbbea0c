/** What several endpoints take and answer in the same way. */
import { z } from 'zod';
import { roleSchema } from '../../../shared/protocol/job.ts';
import { type JobView, jobViewSchema } from '../../../shared/protocol/views.ts';
import type { Answer } from '../../services/context.ts';
import type { Reply } from '../http/endpoint.ts';
import { REPLAYED_HEADER } from '../input/headers.ts';

export const PAGE_MAX = 1000;
const PAGE_DEFAULT = 100;

/** Parameters of every list. */
export const pageQuery = {
  limit: z.number().int().min(1).max(PAGE_MAX).default(PAGE_DEFAULT).describe('How many items at most.'),
  after: z.string().min(1).max(512).optional().describe('The cursor `next` of the page before.'),
};

export const roleQuery = { role: roleSchema.default('default').describe("The job's role.") };

/** Why somebody wants an end, as it will stand in records and events. */
export const stopBodySchema = z
  .strictObject({
    reason: z
      .string()
      .min(1)
      .max(1000)
      .refine((value) => !value.includes('\0'), 'must not contain NUL')
      .default('no reason given'),
  })
  .meta({ id: 'StopRequest' });

export function pageOfQuery({ limit, after }: { limit: number; after?: string | undefined }): {
  limit: number;
  after: string | null;
} {
  return { limit, after: after ?? null };
}

export function replyTo<T>(answer: Answer<T>, headers: Readonly<Record<string, string>> = {}): Reply {
  const replayed: Record<string, string> = answer.replayed ? { [REPLAYED_HEADER]: 'true' } : {};
  return { status: answer.status, body: answer.body, revision: answer.revision, headers: { ...headers, ...replayed } };
}

export function etag(version: number): string {
  return `"${version}"`;
}

/** What calls answer that are about one job. */
export const jobAnswer = {
  description: 'The job.',
  schema: jobViewSchema,
  headers: { ETag: 'Its version, in quotes.' },
};

export function jobReply(answer: Answer<JobView>): Reply {
  const { name, role, version } = answer.body;
  const headers: Record<string, string> = { etag: etag(version) };
  if (answer.status === 201) headers['location'] = `/v1/jobs/${name}?role=${encodeURIComponent(role)}`;
  return replyTo(answer, headers);
}
