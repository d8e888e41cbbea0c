/**
 * Bodies of JSON: read no further than they may be long, and no deeper than a schema could want. What can't be read is
 * refused with the place where it stopped making sense.
 */
import { type Fault, Refusal } from '../../../shared/domain/errors.ts';
import { unreachable } from '../../../shared/util/assert.ts';
import { BODY_ARRIVAL_MS, BodyError, readBodyText } from '../../../shared/util/body-text.ts';
import type { Clock } from '../../../shared/util/clock.ts';
import { findSyntaxFault } from '../../../shared/util/json-syntax.ts';
import { jsonPointer } from './faults.ts';

export const BODY_BYTES_MAX = 1_048_576;

/** No schema of ours is nested half as deep. */
const DEPTH_MAX = 32;

/** Values in one body: checking costs time for each, whether or not it is right. */
const VALUES_MAX = 25_000;

export interface BodyRules {
  /** Where it is mostly too large, and what to do about it. */
  readonly ifTooLarge?: Fault | undefined;
  /** No word of it may stand in a refusal. */
  readonly isConfidential?: boolean | undefined;
}

/** The body's value; undefined for an empty one. */
export async function readJsonBody(
  request: Request,
  clock: Clock,
  { ifTooLarge, isConfidential = false }: BodyRules = {},
): Promise<unknown> {
  const text = await readText(request, clock, ifTooLarge ?? null);
  if (text === '') return undefined;
  checkContentType(request.headers.get('content-type'));
  const value = parse(text, isConfidential);
  checkSize(value);
  return value;
}

function checkContentType(header: string | null): void {
  const [type = '', ...parameters] = (header ?? '')
    .toLowerCase()
    .split(';')
    .map((part) => part.trim());
  const charset = parameters.find((parameter) => parameter.startsWith('charset='))?.slice('charset='.length);
  const isJson = type === 'application/json' || /^application\/[\w.-]+\+json$/.test(type);
  if (isJson && (charset === undefined || charset.replaceAll('"', '') === 'utf-8')) return;
  throw new Refusal(
    'unsupported-media-type',
    `the body must be JSON in UTF-8; send it with the header "Content-Type: application/json"${header === null ? '' : `, not "${header.slice(0, 100)}"`}`,
  );
}

async function readText(request: Request, clock: Clock, ifTooLarge: Fault | null): Promise<string> {
  try {
    return await readBodyText(request, { clock, bytesMax: BODY_BYTES_MAX });
  } catch (error) {
    throw error instanceof BodyError ? unreadable(error, ifTooLarge) : error;
  }
}

function unreadable(error: BodyError, ifTooLarge: Fault | null): Refusal {
  switch (error.trouble) {
    case 'too-large':
      return tooLarge(ifTooLarge);
    case 'late':
      return invalid(`did not arrive within ${BODY_ARRIVAL_MS / 1000} s`);
    case 'not-utf-8':
      return invalid('is not valid UTF-8');
    case 'broken-off':
      return new Refusal('invalid-request', 'the body broke off before its end', { cause: error.cause });
    default:
      return unreachable(error.trouble);
  }
}

function tooLarge(advice: Fault | null): Refusal {
  const why = `the body is larger than ${BODY_BYTES_MAX} bytes`;
  if (advice === null) return new Refusal('payload-too-large', why);
  return new Refusal('payload-too-large', `${why}: ${advice.path} ${advice.message}`, { faults: [advice] });
}

function parse(text: string, isConfidential: boolean): unknown {
  try {
    return JSON.parse(text);
  } catch {
    const fault = findSyntaxFault(text);
    if (isConfidential) throw invalid(`is not JSON${fault === null ? '' : `, at ${placeOf(text, fault.position)}`}`);
    throw invalid(
      `is not JSON: ${fault === null ? 'it can not be read' : `${fault.message}, at ${placeOf(text, fault.position)}`}`,
    );
  }
}

function placeOf(text: string, position: number): string {
  const before = text.slice(0, position).split('\n');
  return `line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}`;
}

/** Walks the value without recursion: a body of brackets alone is deeper than any stack. */
function checkSize(value: unknown): void {
  let level: unknown[] = [value];
  let seen = 0;
  for (let depth = 0; level.length > 0; depth++) {
    seen += level.length;
    if (depth > DEPTH_MAX) throw invalid(`is nested more than ${DEPTH_MAX} levels deep`);
    if (seen > VALUES_MAX) throw tooManyValues(value);
    level = level.flatMap((one) => (typeof one === 'object' && one !== null ? Object.values(one) : []));
  }
}

/** Names the longest list: mostly it is that one which has to be sent in parts. */
function tooManyValues(value: unknown): Refusal {
  const { path, length } = longestList(value);
  const list = length === 0 ? '' : `: the list at ${jsonPointer(path)} has ${length} items; send fewer at a time`;
  return invalid(`has more than ${VALUES_MAX} values${list}`, jsonPointer(path));
}

interface Place {
  readonly path: readonly string[];
  readonly value: unknown;
}

function longestList(value: unknown): { readonly path: readonly string[]; readonly length: number } {
  let longest: { path: readonly string[]; length: number } = { path: [], length: 0 };
  let level: Place[] = [{ path: [], value }];
  for (let depth = 0; depth <= DEPTH_MAX && level.length > 0; depth++) {
    for (const place of level) {
      if (!Array.isArray(place.value) || place.value.length <= longest.length) continue;
      longest = { path: place.path, length: place.value.length };
    }
    level = level.flatMap(membersOf).slice(0, VALUES_MAX);
  }
  return longest;
}

/** None of a long list: it is what was looked for, and following each of its items could take for ever. */
function membersOf({ path, value }: Place): Place[] {
  if (typeof value !== 'object' || value === null) return [];
  const members = Object.entries(value);
  if (members.length > LONG_LIST) return [];
  return members.map(([name, member]) => ({ path: [...path, name], value: member }));
}

const LONG_LIST = 1000;

function invalid(message: string, path = '/'): Refusal {
  return new Refusal('invalid-request', `the body ${message}`, { faults: [{ path, message }] });
}
