/**
 * Large answers, written piece by piece. A part of a document is a value, which is written in one go, or an object or a list whose
 * members are made only when their turn has come. Between two pieces others have their turn: a thread that writes a hundred
 * thousand tasks without a pause serves nobody else meanwhile.
 */
import { bodyStream } from '../../../shared/util/body-stream.ts';
import { type Clock, sleep } from '../../../shared/util/clock.ts';
import { frameOf } from './json-out.ts';
import { asciiJson } from './record-io.ts';

/** A piece is written in a millisecond or so. One value more than that is a piece of its own. */
export const PIECE_CHARACTERS = 65_536;

class LaterObject {
  readonly members: Iterable<readonly [string, unknown]>;

  constructor(members: Iterable<readonly [string, unknown]>) {
    this.members = members;
  }
}

class LaterList {
  readonly items: Iterable<unknown>;
  readonly make: (item: unknown) => unknown;

  constructor(items: Iterable<unknown>, make: (item: unknown) => unknown) {
    this.items = items;
    this.make = make;
  }
}

/** Its members are parts; those that are undefined are left out. */
export function objectPart(members: Readonly<Record<string, unknown>>): LaterObject {
  return new LaterObject(Object.entries(members));
}

/** Each item's part is made when it is written. */
export function listPart<T>(items: Iterable<T>, make: (item: T) => unknown): LaterList {
  return new LaterList(items, make as (item: unknown) => unknown);
}

/** The part as JSON in ASCII, in texts of about {@link PIECE_CHARACTERS}. */
export function* jsonPieces(part: unknown, charactersMax = PIECE_CHARACTERS): Generator<string> {
  let piece = '';
  for (const text of textsOf(part)) {
    piece += text;
    if (piece.length < charactersMax) continue;
    yield piece;
    piece = '';
  }
  if (piece !== '') yield piece;
}

function* textsOf(part: unknown): Generator<string> {
  if (part instanceof LaterObject) yield* membersOf(part);
  else if (part instanceof LaterList) yield* itemsOf(part);
  else yield asciiJson(part);
}

function* membersOf({ members }: LaterObject): Generator<string> {
  let opening = '{';
  for (const [name, part] of members) {
    if (part === undefined) continue;
    yield `${opening}${asciiJson(name)}:`;
    yield* textsOf(part);
    opening = ',';
  }
  yield opening === '{' ? '{}' : '}';
}

function* itemsOf({ items, make }: LaterList): Generator<string> {
  let opening = '[';
  for (const item of items) {
    yield opening;
    yield* textsOf(make(item));
    opening = ',';
  }
  yield opening === '[' ? '[]' : ']';
}

/** Everybody on this replica who writes something large stands in one line, so that many of them take no more at a time than one. */
export class Turns {
  readonly #clock: Clock;
  #last: Promise<void> = Promise.resolve();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves in a turn of the event loop in which nobody else writes. */
  take(): Promise<void> {
    this.#last = this.#last.then(() => sleep(this.#clock, 0));
    return this.#last;
  }
}

/** The part as a body that is made while it is read; with `?jsonp=name`, a call of that function. */
export function pieceByPiece(
  url: URL,
  part: unknown,
  { clock, turns, signal }: { readonly clock: Clock; readonly turns: Turns; readonly signal: AbortSignal },
): Response {
  const { before, after, headers } = frameOf(url);
  async function* source(): AsyncGenerator<string, void> {
    let opening = before;
    for (const piece of jsonPieces(part)) {
      yield opening + piece;
      opening = '';
      await turns.take();
      signal.throwIfAborted();
    }
    if (after !== '') yield after;
  }
  return new Response(bodyStream(source(), { clock, over: new AbortController(), heartbeat: null }), {
    headers: { 'cache-control': 'no-store', ...headers },
  });
}
