/** `/v1/jobs` and `/v1/plan`. */
import { z } from 'zod';
import type { Fault } from '../../../shared/domain/errors.ts';
import { Refusal } from '../../../shared/domain/errors.ts';
import type { JobSpec } from '../../../shared/domain/job.ts';
import { jobSpecSchema, nameSchema, roleSchema } from '../../../shared/protocol/job.ts';
import { forceQuery, versionChangesSchema } from '../../../shared/protocol/job-changes.ts';
import {
  JOB_STATES,
  jobSummarySchema,
  jobVersionViewSchema,
  pageOf,
  planViewSchema,
} from '../../../shared/protocol/views.ts';
import { utf8Encode } from '../../../shared/util/codec.ts';
import { planJob } from '../../services/job-plan.ts';
import {
  deleteJob,
  getJob,
  getVersion,
  listJobs,
  listVersions,
  stopJob,
  submitJob,
  updateJob,
  versionChanges,
} from '../../services/jobs.ts';
import { type Endpoint, endpoint, invalidRequest } from '../http/endpoint.ts';
import type { ApiParts } from '../parts.ts';
import { etag, jobAnswer, jobReply, pageOfQuery, pageQuery, roleQuery, stopBodySchema } from './answers.ts';

/**
 * Of a job's spec, defaults filled in. The spec is written up to three times in one transaction (job, version, remembered
 * answer, where it is quoted once more), and that has to stay under what etcd takes.
 */
const SPEC_BYTES_MAX = 262_144;

const base = { tag: 'Jobs', admits: ['user'] } as const;
const named = { ...base, params: z.object({ name: nameSchema }) };
const versionParams = z.object({
  name: nameSchema,
  version: z.string().regex(/^[1-9]\d{0,8}$/, 'must be the number of a version'),
});
const byName = { ...named, query: z.strictObject(roleQuery) };

export function jobEndpoints(parts: ApiParts): readonly Endpoint[] {
  return [...writingEndpoints(parts), ...readingEndpoints(parts), ...versionEndpoints(parts), planEndpoint(parts)];
}

function writingEndpoints({ ctx }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...base,
        method: 'post',
        path: '/v1/jobs',
        summary: 'Submit a job',
        body: jobSpecSchema,
        repeatable: true,
        answers: { 201: { ...jobAnswer, headers: { ...jobAnswer.headers, Location: 'Where the job is.' } } },
      },
      async ({ call, body }) => jobReply(await submitJob(ctx, call, withinSize(body))),
    ),
    endpoint(
      {
        ...named,
        query: z.strictObject({ ...roleQuery, ...forceQuery }),
        method: 'put',
        path: '/v1/jobs/{name}',
        summary: 'Say what a job should be',
        description:
          'Makes the body what is wanted under this name: a new job, the next version of one, or nothing if it is so already.',
        body: jobSpecSchema,
        conditions: ['If-Match', 'If-None-Match'],
        answers: { 200: jobAnswer, 201: { ...jobAnswer, description: 'The job is new.' } },
      },
      async ({ call, params, query, body, ifVersion, onlyCreate }) => {
        checkNames(body, { name: params.name, role: query.role });
        return jobReply(await updateJob(ctx, call, withinSize(body), { ifVersion, onlyCreate, force: query.force }));
      },
    ),
    endpoint(
      {
        ...byName,
        method: 'post',
        path: '/v1/jobs/{name}/stop',
        summary: 'Stop a job',
        description: 'Asks for the end of all that runs of it. Its record stays.',
        body: stopBodySchema,
        bodyOptional: true,
        repeatable: true,
        conditions: ['If-Match'],
        answers: { 200: jobAnswer },
      },
      async ({ call, params, query, body, ifVersion }) =>
        jobReply(await stopJob(ctx, call, { role: query.role, name: params.name }, { reason: body.reason, ifVersion })),
    ),
    endpoint(
      {
        ...byName,
        method: 'delete',
        path: '/v1/jobs/{name}',
        summary: 'Delete a job',
        description: 'Stops what runs; the record goes when all of it has ended.',
        conditions: ['If-Match'],
        answers: { 202: { ...jobAnswer, description: 'The job will go.' } },
      },
      async ({ call, params, query, ifVersion }) =>
        jobReply(await deleteJob(ctx, call, { role: query.role, name: params.name }, { ifVersion })),
    ),
  ];
}

function readingEndpoints({ ctx }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...base,
        method: 'get',
        path: '/v1/jobs',
        summary: 'List jobs',
        query: z.strictObject({
          role: roleSchema.optional().describe('This role and those below it. Absent: all that the token may see.'),
          state: z.array(z.enum(JOB_STATES)).min(1).max(JOB_STATES.length).optional().describe('May be repeated.'),
          ...pageQuery,
        }),
        answers: { 200: { description: 'One page of jobs.', schema: pageOf(jobSummarySchema) } },
      },
      ({ principal, query }) => {
        const filter = { role: query.role ?? null, states: query.state ?? null };
        return { status: 200, body: listJobs(ctx, principal, filter, pageOfQuery(query)) };
      },
    ),
    endpoint(
      { ...byName, method: 'get', path: '/v1/jobs/{name}', summary: 'Read a job', answers: { 200: jobAnswer } },
      ({ principal, params, query }) => {
        const job = getJob(ctx, principal, { role: query.role, name: params.name });
        return { status: 200, body: job, headers: { etag: etag(job.version) } };
      },
    ),
  ];
}

function versionEndpoints({ ctx }: ApiParts): readonly Endpoint[] {
  return [
    endpoint(
      {
        ...named,
        query: z.strictObject({ ...roleQuery, ...pageQuery }),
        method: 'get',
        path: '/v1/jobs/{name}/versions',
        summary: "List a job's versions",
        answers: {
          200: { description: 'One page of versions, the newest last.', schema: pageOf(jobVersionViewSchema) },
        },
      },
      ({ principal, params, query }) => {
        const key = { role: query.role, name: params.name };
        return { status: 200, body: listVersions(ctx, principal, key, pageOfQuery(query)) };
      },
    ),
    endpoint(
      {
        ...byName,
        params: versionParams,
        method: 'get',
        path: '/v1/jobs/{name}/versions/{version}',
        summary: "Read one of a job's versions",
        answers: { 200: { description: 'The version.', schema: jobVersionViewSchema } },
      },
      ({ principal, params, query }) => {
        const key = { role: query.role, name: params.name };
        return { status: 200, body: getVersion(ctx, principal, key, Number(params.version)) };
      },
    ),
    endpoint(
      {
        ...named,
        params: versionParams,
        query: z.strictObject({
          ...roleQuery,
          since: z.number().int().min(1).optional().describe('Absent: the version before it.'),
        }),
        method: 'get',
        path: '/v1/jobs/{name}/versions/{version}/changes',
        summary: "Tell two of a job's versions apart",
        answers: { 200: { description: 'What differs, field by field.', schema: versionChangesSchema } },
      },
      ({ principal, params, query }) => {
        const key = { role: query.role, name: params.name };
        const which = { version: Number(params.version), since: query.since ?? null };
        return { status: 200, body: versionChanges(ctx, principal, key, which) };
      },
    ),
  ];
}

function planEndpoint({ ctx }: ApiParts): Endpoint {
  return endpoint(
    {
      ...base,
      method: 'post',
      path: '/v1/plan',
      summary: 'Plan a job',
      description:
        'Tells what would be placed where if the job were submitted now, and why not; of a service, what becomes of the tasks that run, and how. Writes nothing.',
      body: jobSpecSchema,
      answers: { 200: { description: 'What would happen.', schema: planViewSchema } },
    },
    ({ principal, body }) => ({ status: 200, body: planJob(ctx, principal, withinSize(body)) }),
  );
}

function checkNames(spec: JobSpec, { name, role }: { name: string; role: string }): void {
  const faults: Fault[] = [];
  if (spec.name !== name) faults.push({ path: '/name', message: `must be "${name}", as the URL says` });
  if (spec.role !== role) faults.push({ path: '/role', message: `must be "${role}", as the URL says (?role=)` });
  if (faults.length > 0) throw invalidRequest(faults);
}

function withinSize(spec: JobSpec): JobSpec {
  const bytes = utf8Encode(JSON.stringify(spec)).length;
  if (bytes <= SPEC_BYTES_MAX) return spec;
  throw new Refusal(
    'payload-too-large',
    `the job takes ${bytes} bytes with its defaults; at most ${SPEC_BYTES_MAX} can be kept. Put large content into the image or a mount.`,
  );
}
