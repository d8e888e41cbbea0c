/** Bodies of requests as text: read no further than they may be long, and for no longer than an honest sender takes. */
import type { Clock } from './clock.ts';

/** A client that sends slower than this holds a place that others need. */
export const BODY_ARRIVAL_MS = 30_000;

export type BodyTrouble = 'too-large' | 'late' | 'broken-off' | 'not-utf-8';

/** Why a body couldn't be read. */
export class BodyError extends Error {
  override readonly name = 'BodyError';
  readonly trouble: BodyTrouble;

  constructor(trouble: BodyTrouble, options: { cause?: unknown } = {}) {
    super(`the body can't be read: ${trouble}`, options);
    this.trouble = trouble;
  }
}

/** Throws a {@link BodyError}. */
export function readBodyText(
  request: Request,
  { clock, bytesMax }: { readonly clock: Clock; readonly bytesMax: number },
): Promise<string> {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimer(BODY_ARRIVAL_MS, () => reject(new BodyError('late')));
    readText(request, bytesMax)
      .then(resolve, reject)
      .finally(() => timer.cancel());
  });
}

async function readText(request: Request, bytesMax: number): Promise<string> {
  const declared = request.headers.get('content-length');
  if (declared !== null && Number(declared) > bytesMax) throw new BodyError('too-large');
  try {
    // With a length, the platform reads just that much; without one, every piece is counted.
    const bytes =
      declared === null ? await readCounted(request.body, bytesMax) : new Uint8Array(await request.arrayBuffer());
    return decode(bytes);
  } catch (error) {
    if (error instanceof BodyError) throw error;
    throw new BodyError('broken-off', { cause: error });
  }
}

async function readCounted(body: ReadableStream<Uint8Array> | null, bytesMax: number): Promise<Uint8Array> {
  if (body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > bytesMax) throw new BodyError('too-large');
    chunks.push(chunk);
  }
  return joined(chunks, length);
}

function joined(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const whole = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.length;
  }
  return whole;
}

function decode(bytes: Uint8Array): string {
  try {
    // A byte order mark at the beginning is left out.
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new BodyError('not-utf-8');
  }
}
