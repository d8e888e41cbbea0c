/** The OpenAPI 3.1 document, made from the descriptions that the endpoints are served by. */
import { createRoute, OpenAPIHono } from '@hono/zod-openapi';
import { z } from 'zod';
import { frameworkEventSchema } from '../../shared/protocol/framework.ts';
import { problemSchema, stopViewSchema } from '../../shared/protocol/views.ts';
import { REQUEST_ID_HEADER } from '../services/origin.ts';
import { FRAMEWORK_EXAMPLE } from './framework-example.ts';
import type { AnswerDocument, EndpointDocument } from './http/endpoint.ts';
import { IDEMPOTENCY_HEADER, REPLAYED_HEADER, REVISION_HEADER } from './input/headers.ts';

export type OpenApiDocument = ReturnType<OpenAPIHono['getOpenAPI31Document']>;

const INTRODUCTION = `A container control plane for bare-metal and edge fleets: one REST call puts a container on a machine that has room for it.

    curl -X POST "$BERTH/v1/jobs" -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \\
      -d '{"name": "hello", "groups": [{"image": "alpine:3.20", "command": ["echo", "hello"]}]}'

Every call takes a JWT as \`Authorization: Bearer <token>\`. Errors are \`application/problem+json\` with a stable \`code\` and, for a request that is not valid, every fault with its place. Whatever a token opened ends with it: a stream of events with a last event \`error\`, whose data is the problem \`unauthenticated\`; with another token it is resumed. A call that waits is answered with what there is.

Every answer carries \`${REVISION_HEADER}\`, the revision of the state that it shows. Sent along with the next request, to whichever replica, it keeps the answer from showing an older state. After the cluster was recovered from an older state of its store, one from before is answered 410 \`history-changed\`: read again, and go on from there. \`${REQUEST_ID_HEADER}\` finds a request in the log.

A POST with an \`${IDEMPOTENCY_HEADER}\` is carried out once, however often it is sent; its repetition gets the first answer again, marked \`${REPLAYED_HEADER}: true\`. Answers are remembered for a day, and the newest 20,000 or so of each replica.

Lists come in pages: \`next\` of one is \`after\` of the following.

Each replica bounds how many requests one caller sends in a second, and how many streams and waiting calls it has open: beyond that it answers 429 \`limit-exceeded\` with \`Retry-After\`, in seconds. Headers of more than 16 KiB, or more than 100 of them, are answered 431 \`headers-too-large\`.`;

const FRAMEWORKS = `Schedulers of your own: they are made offers of what nodes have free, and decide by themselves what runs on them.

A framework subscribes, which gives it an id and a session, and opens its stream. There it gets offers and what becomes of its tasks; it answers by the other calls, each of which names the session. Nothing is lost with a connection or a replica: open the stream again, anywhere, with the same session, and all offers that stand and all updates that are not acknowledged come again. A program that was started anew subscribes with its id: the session moves on, and whoever still acts in the old one is refused with \`session-moved\`. Without a stream for longer than its failover timeout, a framework is torn down, and its tasks end.

A whole one, which runs one task and ends (\`BERTH\`: the address of a replica; \`TOKEN\`: a token with \`framework:run\`; save it as \`painter.mjs\` and run \`node painter.mjs\`):

${FRAMEWORK_EXAMPLE.replace(/^/gm, '    ')}

An update comes again, after 10 s and then ever more seldom, until it is acknowledged by its id; of each task they come one at a time and in order. An offer that is neither accepted nor declined in time is taken back, and its node is offered to this framework ever more seldom.

Nodes with GPUs are kept for what asks for GPUs, unless the cluster's settings say otherwise: a framework is offered them with the capability \`gpus\` in its subscription.

A larger one, on the typed client, is in \`tests/example-framework\` of Berth's repository: it keeps some tasks running, over ends, lost replicas and its own death.`;

export function openApiDocument(documents: readonly EndpointDocument[], version: string): OpenApiDocument {
  const app = new OpenAPIHono();
  const { openAPIRegistry } = app;
  openAPIRegistry.registerComponent('securitySchemes', 'token', {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
  });
  // Named here, or it would be described where it is first used, and there it may also be null.
  openAPIRegistry.register('Stop', stopViewSchema.clone());
  // What streams of events carry is named nowhere else.
  openAPIRegistry.register('FrameworkEvent', frameworkEventSchema.clone());
  for (const document of documents) openAPIRegistry.registerPath(routeOf(document));
  const document = app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: 'Berth',
      version,
      description: INTRODUCTION,
      license: { name: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: [{ token: [] }],
    tags: [
      { name: 'Jobs', description: 'What somebody wants to run.' },
      { name: 'Deployments', description: 'How services get from one version to the next.' },
      { name: 'Tasks', description: 'Single containers of jobs.' },
      { name: 'Endpoints', description: 'Where tasks of services are reached.' },
      { name: 'Nodes', description: 'Machines.' },
      { name: 'Roles', description: 'Who the resources are for.' },
      { name: 'Secrets', description: 'What is kept in confidence for roles, and given to tasks that name it.' },
      { name: 'Reservations', description: 'What of nodes is kept for roles, and the volumes that outlive tasks.' },
      { name: 'Frameworks', description: FRAMEWORKS },
      { name: 'Events', description: 'What happens.' },
      {
        name: 'Access',
        description: 'Who may use the cluster: tokens for tokens of others, and the trust that it takes.',
      },
      { name: 'Audit', description: 'Who did what.' },
      { name: 'Cluster', description: 'The control plane itself, and who may use it.' },
      { name: 'Agents', description: 'What the agents of nodes ask for. Takes their own tokens.' },
      { name: 'Replicas', description: 'What replicas of the control plane say to each other.' },
    ],
  });
  return nullableReferences(document) as OpenApiDocument;
}

/**
 * The generator spells "a Stop or null" as "a Stop and also an object or null", which no null satisfies. Said right, it is
 * a choice between the two.
 */
function nullableReferences(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(nullableReferences);
  if (typeof value !== 'object' || value === null) return value;
  const { allOf, ...rest } = Object.fromEntries(
    Object.entries(value).map(([name, member]) => [name, nullableReferences(member)]),
  );
  if (!Array.isArray(allOf)) return allOf === undefined ? rest : { ...rest, allOf };
  const [reference, nullable] = allOf as [Record<string, unknown>?, Record<string, unknown>?];
  const isNullable = Array.isArray(nullable?.['type']) && nullable['type'].includes('null');
  if (reference?.['$ref'] === undefined || !isNullable) return { ...rest, allOf };
  const { type: _replaced, ...described } = nullable ?? {};
  return { ...described, ...rest, anyOf: [reference, { type: 'null' }] };
}

function routeOf(document: EndpointDocument) {
  const { method, path, tag, summary, description, params, query, answers, isOpen } = document;
  const body = bodyOf(document);
  return createRoute({
    method,
    path,
    tags: [tag],
    summary,
    ...(description !== undefined && { description }),
    operationId: operationId(method, path),
    ...(isOpen === true && { security: [] }),
    request: {
      ...(params !== undefined && { params }),
      ...(query !== undefined && { query }),
      headers: headersOf(document),
      ...(body !== null && { body }),
    },
    responses: {
      ...boundAnswers(document),
      ...refusalsOf(document),
      ...Object.fromEntries(Object.entries(answers).map(([status, answer]) => [status, responseOf(answer)])),
      default: problemOf('A problem.'),
    },
  });
}

/** How the policy says no, at every endpoint alike. What an endpoint says of the same status itself comes in the place of it. */
function refusalsOf({ admits, params }: EndpointDocument) {
  const kinds = admits.join(' or ');
  return {
    401: problemOf('There is no token, or it is not valid (any more).'),
    403: problemOf(
      `The token is not of the kind ${kinds}, or does not allow this where its bearer may know of what is there.`,
    ),
    ...(params !== undefined && {
      404: problemOf(
        'There is no such thing, or it is in a role that the token may not read: both are answered alike.',
      ),
    }),
  };
}

/** Of every endpoint, unless it says something else of them itself. */
function boundAnswers({ body, streamOf }: EndpointDocument) {
  const ofBodies = {
    408: problemOf('The body did not arrive in time: `request-timeout`.'),
    413: problemOf('The body is too large: `payload-too-large`.'),
  };
  return {
    ...(body !== undefined && streamOf === undefined && ofBodies),
    429: {
      ...problemOf('Too many requests, or too many streams and waiting calls, of one caller: `limit-exceeded`.'),
      headers: { 'Retry-After': { description: 'Seconds to wait.', schema: { type: 'string' as const } } },
    },
  };
}

function problemOf(description: string) {
  return { description, content: { 'application/problem+json': { schema: problemSchema } } };
}

/** `get /v1/jobs/{name}/versions` is `getV1JobsByNameVersions`. */
function operationId(method: string, path: string): string {
  const words = path.split('/').map((step) => step.replace(/^\{(.*)\}$/, 'by-$1'));
  return [method, ...words].join('-').replace(/[-.]+(\w?)/g, (_match, letter: string) => letter.toUpperCase());
}

function bodyOf({ body, bodyOptional, streamOf }: EndpointDocument) {
  if (streamOf !== undefined) {
    const line = z.string().describe('Newline-delimited JSON, each line a LogLine.');
    return { required: true, content: { 'application/x-ndjson': { schema: line } } };
  }
  if (body === undefined) return null;
  return { required: bodyOptional !== true, content: { 'application/json': { schema: body } } };
}

function headersOf({ repeatable, conditions = [], needsEpoch }: EndpointDocument): z.ZodObject {
  const text = (description: string) => z.string().optional().describe(description);
  return z.object({
    [REVISION_HEADER]: text('Answer from a state at or past this revision.'),
    ...(repeatable === true && { [IDEMPOTENCY_HEADER]: text('1 to 255 printable characters.') }),
    ...(conditions.includes('If-Match') && { 'If-Match': text('Only if this version still stands: its ETag.') }),
    ...(conditions.includes('If-None-Match') && { 'If-None-Match': text('`*`: only if there is none yet.') }),
    ...(needsEpoch === true && { 'Berth-Epoch': z.string().describe("The session's epoch.") }),
  });
}

function responseOf({ description, schema, text = [], headers = {} }: AnswerDocument) {
  const content = {
    ...(schema !== undefined && { 'application/json': { schema } }),
    ...Object.fromEntries(text.map((type) => [type, { schema: z.string() }])),
  };
  const described = { ...headers, [REVISION_HEADER]: 'The revision of the state that this shows.' };
  return {
    description,
    headers: Object.fromEntries(
      Object.entries(described).map(([name, meaning]) => [
        name,
        { description: meaning, schema: { type: 'string' as const } },
      ]),
    ),
    ...(Object.keys(content).length > 0 && { content }),
  };
}
