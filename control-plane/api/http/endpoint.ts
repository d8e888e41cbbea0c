/**
 * An endpoint as data: where it is, whom it admits, what it takes and answers, and the use case that it calls. One
 * description serves the router, the checks and the OpenAPI document, so they can't disagree.
 */
import { z } from 'zod';
import { type Fault, Refusal } from '../../../shared/domain/errors.ts';
import { parsePosition, type StatePosition } from '../../../shared/protocol/position.ts';
import type { Clock } from '../../../shared/util/clock.ts';
import { canonicalJson, hexEncode, utf8Encode } from '../../../shared/util/codec.ts';
import type { Lasting } from '../../auth/lasting.ts';
import type { Principal } from '../../auth/principal.ts';
import type { VerifiedToken } from '../../auth/verify.ts';
import type { Call } from '../../services/context.ts';
import type { Origin } from '../../services/origin.ts';
import { type Checked, check } from '../input/faults.ts';
import { idempotencyKey, ifMatch, ifNoneMatch, seenPosition, wholeNumber } from '../input/headers.ts';
import { readJsonBody } from '../input/json-body.ts';
import { checkQuery } from '../input/query.ts';

export type Method = 'get' | 'post' | 'put' | 'delete';
export type Tag =
  | 'Jobs'
  | 'Deployments'
  | 'Tasks'
  | 'Endpoints'
  | 'Nodes'
  | 'Roles'
  | 'Secrets'
  | 'Reservations'
  | 'Frameworks'
  | 'Events'
  | 'Access'
  | 'Audit'
  | 'Cluster'
  | 'Agents'
  | 'Replicas';

/** What an answer of one status is. Without a schema it has no JSON body. */
export interface AnswerDocument {
  readonly description: string;
  readonly schema?: z.ZodType;
  /** Other media types than JSON that the body may have. */
  readonly text?: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
}

export interface EndpointDocument {
  readonly method: Method;
  /** With parameters as OpenAPI spells them: `/v1/jobs/{name}`. */
  readonly path: string;
  /** The last parameter is all that is left of the path, slashes included. */
  readonly isGreedy?: boolean;
  readonly tag: Tag;
  readonly summary: string;
  readonly description?: string;
  /** Whose tokens may call it. What they may do then is for the use case to decide. */
  readonly admits: readonly Principal['kind'][];
  /** Takes no token: whoever calls it acts as nobody, who may do nothing. */
  readonly isOpen?: true;
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  /** The body may be left out; then it counts as an empty object. */
  readonly bodyOptional?: boolean;
  /** Where a body that is too large mostly is so, and what to do about it. */
  readonly ifTooLarge?: Fault;
  /** Nothing of the body is repeated in a refusal, not even a word of it. */
  readonly isConfidential?: boolean;
  /** The body is lines of this schema, which the handler reads itself. */
  readonly streamOf?: z.ZodType;
  /** Headers that make a change conditional. */
  readonly conditions?: readonly ('If-Match' | 'If-None-Match')[];
  /** Takes an Idempotency-Key. */
  readonly repeatable?: boolean;
  /** Names the session of an agent by its epoch. */
  readonly needsEpoch?: boolean;
  readonly answers: Readonly<Record<number, AnswerDocument>>;
}

/** A request as it comes in. */
export interface Exchange {
  readonly request: Request;
  readonly origin: Origin;
  readonly clock: Clock;
  readonly token: VerifiedToken;
  /** Of the path, decoded and unchecked. */
  readonly params: Readonly<Record<string, string>>;
  /** What a stream or a long wait ends with. */
  readonly lasting: Lasting;
}

/** A request whose every part has been checked. */
export interface CheckedRequest<P, Q, B> extends Exchange {
  readonly principal: Principal;
  readonly call: Call;
  readonly params: P & Readonly<Record<string, string>>;
  readonly query: Q;
  readonly body: B;
  readonly ifVersion: number | null;
  readonly onlyCreate: boolean;
  /** 0 where the endpoint needs none. */
  readonly epoch: number;
}

export interface Reply {
  readonly status: number;
  readonly body: unknown;
  /** The revision of the state that the body shows. Absent: what the mirror stood at when the handler returned. */
  readonly revision?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A response of its own is for what isn't a JSON body. */
export type Outcome = Reply | Response;

export interface Endpoint {
  readonly document: EndpointDocument;
  /** Checks the request; what comes back carries it out. Both throw Refusals. */
  serve(exchange: Exchange): Promise<() => Outcome | Promise<Outcome>>;
}

type OutputOf<S> = S extends z.ZodType ? z.output<S> : Record<never, never>;

/** Ties a description to its handler, with the types of the one in the arguments of the other. */
export function endpoint<const D extends EndpointDocument>(
  document: D,
  handle: (
    request: CheckedRequest<OutputOf<D['params']>, OutputOf<D['query']>, OutputOf<D['body']>>,
  ) => Outcome | Promise<Outcome>,
): Endpoint {
  return {
    document,
    async serve(exchange) {
      const checked = await checkRequest(document, exchange);
      // The parts were checked with the very schemas whose output types the handler names.
      return () => handle(checked as Parameters<typeof handle>[0]);
    },
  };
}

/** Everything that is wrong with the request is found before anything is refused. */
async function checkRequest(
  document: EndpointDocument,
  exchange: Exchange,
): Promise<CheckedRequest<unknown, unknown, unknown>> {
  const { request, token, origin } = exchange;
  const { principal } = token;
  const faults: Fault[] = [];
  const params = take(checkParams(document, exchange.params), faults);
  const query = take(checkQuery(document.query ?? z.strictObject({}), new URL(request.url).searchParams), faults);
  // Waited for before; here it is only about what is wrong with it.
  seenPosition(request.headers, faults);
  const conditions = document.conditions ?? [];
  const ifVersion = conditions.includes('If-Match') ? ifMatch(request.headers, faults) : null;
  const onlyCreate = conditions.includes('If-None-Match') && ifNoneMatch(request.headers, faults);
  const epoch = document.needsEpoch === true ? requiredEpoch(request.headers, faults) : 0;
  const key = document.repeatable === true ? idempotencyKey(request.headers, faults) : null;
  const body = document.body === undefined ? {} : take(await checkBody(document, exchange, document.body), faults);
  if (faults.length > 0) throw invalidRequest(faults);
  const requestDigest = key === null ? '' : await digestOf([document.method, document.path, params, query, body]);
  return {
    ...exchange,
    principal,
    call: { principal, origin, idempotency: key === null ? null : { key, requestDigest } },
    params: params as Record<string, string>,
    query,
    body,
    ifVersion,
    onlyCreate,
    epoch,
  };
}

/** Keeps the faults, or hands the value on. With faults, nobody sees the value. */
function take<T>(checked: Checked<T>, faults: Fault[]): T | undefined {
  if (checked.ok) return checked.value;
  faults.push(...checked.faults);
  return undefined;
}

function checkParams({ params }: EndpointDocument, values: Readonly<Record<string, string>>): Checked<unknown> {
  if (params === undefined) return { ok: true, value: {} };
  return check(params, values, (path) => `path:${String(path[0] ?? '')}`);
}

async function checkBody(
  document: EndpointDocument,
  { request, clock }: Exchange,
  schema: z.ZodType,
): Promise<Checked<unknown>> {
  const { ifTooLarge, isConfidential } = document;
  const value = await readJsonBody(request, clock, { ifTooLarge, isConfidential });
  if (value !== undefined) return check(schema, value);
  if (document.bodyOptional === true) return check(schema, {});
  return { ok: false, faults: [{ path: '/', message: 'a JSON body is required' }] };
}

function requiredEpoch(headers: Headers, faults: Fault[]): number {
  const before = faults.length;
  const epoch = wholeNumber(headers, 'Berth-Epoch', faults);
  if (epoch === null && faults.length === before) faults.push({ path: 'header:Berth-Epoch', message: 'is required' });
  return epoch ?? 0;
}

export function invalidRequest(faults: readonly Fault[]): Refusal {
  const [first] = faults;
  const more = faults.length > 1 ? `, and ${faults.length - 1} more` : '';
  const summary = first === undefined ? '' : `: ${first.path} ${first.message}${more}`;
  return new Refusal('invalid-request', `the request is not valid${summary}`, { faults });
}

async function digestOf(parts: readonly unknown[]): Promise<string> {
  const bytes = await crypto.subtle.digest('SHA-256', utf8Encode(canonicalJson(parts)));
  return hexEncode(new Uint8Array(bytes));
}

/** Where a stream of events is to be taken up again; null: the client doesn't say. */
export function lastEventId(headers: Headers): StatePosition | null {
  const text = headers.get('last-event-id');
  if (text === null || text === '') return null;
  const position = parsePosition(text);
  if (position !== null) return position;
  throw invalidRequest([{ path: 'header:Last-Event-ID', message: 'must be the id of an event of this stream' }]);
}
