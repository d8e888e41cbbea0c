/**
 * From a request's body to a checked call, in the order and with the words in which Mesos's master checks it, and with the freedoms
 * of its JSON: `null` is unset at any depth, unknown fields are let through, one value stands for a list of one, numbers may be
 * written as texts.
 */
import type { z } from 'zod';
import { unreachable } from '../../../shared/util/assert.ts';
import { BODY_ARRIVAL_MS, BodyError, readBodyText } from '../../../shared/util/body-text.ts';
import type { Clock } from '../../../shared/util/clock.ts';
import { findSyntaxFault } from '../../../shared/util/json-syntax.ts';
import { withoutNulls } from '../wire/values.ts';
import { WireRefusal } from './wire-refusal.ts';

export const JSON_TYPE = 'application/json';
const PROTOBUF_TYPE = 'application/x-protobuf';

/** A call that reconciles ten thousand tasks takes a third of it. */
export const BODY_BYTES_MAX = 4_194_304;
/** Values in one body: checking costs time for each, whether or not it is right. */
const VALUES_MAX = 100_000;
/** No message is nested half as deep. */
const DEPTH_MAX = 64;

/** How a kind of call is called in what its caller is told. */
export interface CallNames {
  /** Such as `Call protobuf`. */
  readonly converted: string;
  /** Such as `scheduler::Call`. */
  readonly validated: string;
}

/** Reads the body, whose type has to be JSON, and checks it. */
export async function readCall<S extends z.ZodType>(
  request: Request,
  { clock, schema, names }: { readonly clock: Clock; readonly schema: S; readonly names: CallNames },
): Promise<z.output<S>> {
  demandJson(request.headers.get('content-type'));
  const value = parseBody(await readText(request, clock));
  return convert(schema, value, names);
}

function demandJson(type: string | null): void {
  if (type === null) throw new WireRefusal(400, "Expecting 'Content-Type' to be present");
  if (type === JSON_TYPE) return;
  const known = type === PROTOBUF_TYPE ? `, and nothing else is served here than JSON` : '';
  throw new WireRefusal(415, `Expecting 'Content-Type' of ${JSON_TYPE}${known}`);
}

/** Throws the 406 of Mesos where the client doesn't take JSON. */
export function demandJsonAccepted(accept: string | null): void {
  if (accept === null || accept.trim() === '') return;
  const ranges = accept.split(',').map((range) => range.trim().toLowerCase());
  if (ranges.some(takesJson)) return;
  throw new WireRefusal(406, `Expecting 'Accept' to allow '${JSON_TYPE}'`);
}

function takesJson(range: string): boolean {
  const [type = '', ...parameters] = range.split(';').map((part) => part.trim());
  const isRefused = parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
  return !isRefused && [JSON_TYPE, 'application/*', '*/*'].includes(type);
}

/** The body as a text. Throws the refusal of one that doesn't arrive. */
export async function readText(request: Request, clock: Clock): Promise<string> {
  try {
    return await readBodyText(request, { clock, bytesMax: BODY_BYTES_MAX });
  } catch (error) {
    throw error instanceof BodyError ? unreadable(error) : error;
  }
}

function unreadable({ trouble }: BodyError): WireRefusal {
  switch (trouble) {
    case 'too-large':
      return new WireRefusal(413, `The body is larger than ${BODY_BYTES_MAX} bytes`);
    case 'late':
      return new WireRefusal(408, `The body did not arrive within ${BODY_ARRIVAL_MS / 1000} s`);
    case 'broken-off':
      return notParsed('it broke off before its end');
    case 'not-utf-8':
      return notParsed('it is not valid UTF-8');
    default:
      return unreachable(trouble);
  }
}

export function parseBody(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    const fault = findSyntaxFault(text);
    if (fault === null) throw notParsed('syntax error');
    const line = text.slice(0, fault.position).split('\n').length;
    throw notParsed(`syntax error at line ${line} near: ${fault.message}`);
  }
}

function notParsed(why: string): WireRefusal {
  return new WireRefusal(400, `Failed to parse body into JSON: ${why}`);
}

/** The value as a message of this schema. Throws the 400 of Mesos. */
export function convert<S extends z.ZodType>(schema: S, value: unknown, { converted }: CallNames): z.output<S> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw notConverted(converted, 'Expecting a JSON object');
  }
  demandSize(value, converted);
  const result = schema.safeParse(withoutNulls(value), { reportInput: true });
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw notConverted(converted, issue === undefined ? 'it is not one' : describeIssue(issue));
}

function notConverted(converted: string, why: string): WireRefusal {
  return new WireRefusal(400, `Failed to convert JSON into ${converted}: ${why}`);
}

function describeIssue({ path, message, code, input }: z.core.$ZodIssue): string {
  const place = path.map(String).join('.');
  if (code === 'invalid_type' && input === undefined) return `Missing required fields: ${place}`;
  return `${message} for field '${place}'`;
}

/** Walks the value without recursion: a body of brackets alone is deeper than any stack. */
function demandSize(value: unknown, converted: string): void {
  let level: unknown[] = [value];
  let seen = 0;
  for (let depth = 0; level.length > 0; depth++) {
    seen += level.length;
    if (depth > DEPTH_MAX) throw notConverted(converted, `it is nested more than ${DEPTH_MAX} levels deep`);
    if (seen > VALUES_MAX) throw notConverted(converted, `it has more than ${VALUES_MAX} values; send fewer at a time`);
    level = level.flatMap((one) => (typeof one === 'object' && one !== null ? Object.values(one) : []));
  }
}
