/**
 * Where the agent that brings a task's output and the client that reads it meet. Each is served by whichever isolate the platform chose, and
 * what one isolate holds another can't reach; an object of this class, named by the stream, is one place for both of them. It passes bytes
 * from one request to the other as fast as they are read, keeps none, and goes when both have gone.
 */
import type { DurableObjectNamespace } from './main-worker-platform.ts';
import type { BringOutcome, StreamMeeting } from './services/stream-meeting.ts';

type Body = ReadableStream<Uint8Array>;

/** How long whoever comes first waits for the other. */
const MEET_MS = 12_000;

const OUTCOMES: Readonly<Record<number, BringOutcome>> = { 204: 'taken', 404: 'nobody-reads', 409: 'brought-already' };

/** The meetings of one namespace. */
export function meetingsIn(streams: DurableObjectNamespace): StreamMeeting {
  const place = (id: string) => streams.get(streams.idFromName(id));
  return {
    async read(id, signal) {
      const response = await place(id).fetch(PLACE_URL, { signal });
      return response.status === 200 ? response.body : null;
    },
    async bring(id, body, tokenOver) {
      const init: RequestInit & { duplex: 'half' } = { method: 'POST', body, duplex: 'half' };
      const over = tokenOver === null ? {} : { signal: tokenOver };
      const { status } = await place(id).fetch(PLACE_URL, { ...init, ...over });
      return OUTCOMES[status] ?? 'nobody-reads';
    },
  };
}

/** An object is found by its name; the platform wants a URL all the same. */
const PLACE_URL = 'https://meeting/';

interface Reader {
  /** Gives whoever reads the body, or null. */
  readonly give: (body: Body | null) => void;
}

/** One meeting. Exported under this name by the entry, as the platform asks for. */
export class StreamMeetingPlace {
  #reader: Reader | null = null;
  #isBrought = false;
  #readerCame = () => {};

  async fetch(request: Request): Promise<Response> {
    if (request.method === 'POST') return new Response(null, { status: await this.#bring(request) });
    const body = await this.#read();
    return new Response(body, { status: body === null ? 204 : 200 });
  }

  #read(): Promise<Body | null> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#reader = null;
        resolve(null);
      }, MEET_MS);
      this.#reader = {
        give: (body) => {
          clearTimeout(timer);
          resolve(body);
        },
      };
      this.#readerCame();
    });
  }

  async #bring(request: Request): Promise<number> {
    if (this.#isBrought) return 409;
    this.#isBrought = true;
    const reader = await this.#waitForReader();
    if (reader === null) {
      this.#isBrought = false;
      return 404;
    }
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    reader.give(readable);
    // Either side may hang up; whoever reads notices by the end of what it gets.
    await (request.body ?? emptyBody()).pipeTo(writable).catch(() => undefined);
    return 204;
  }

  #waitForReader(): Promise<Reader | null> {
    if (this.#reader !== null) return Promise.resolve(this.#reader);
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(null), MEET_MS);
      this.#readerCame = () => {
        clearTimeout(timer);
        resolve(this.#reader);
      };
    });
  }
}

function emptyBody(): Body {
  return new ReadableStream({ start: (controller) => controller.close() });
}
