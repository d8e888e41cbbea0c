/** The event stream as a client sees it: one connection, each event with the moment at which it was read. */
import type { IncomingMessage } from 'node:http';
import type { EventView } from '../../shared/protocol/views.ts';
import type { HttpClient } from './http.ts';

export interface SeenEvent extends EventView {
  /** On this process's steady clock. */
  readonly seenAtMs: number;
}

type Listener = (event: SeenEvent) => void;

const WAIT_MAX_MS = 120_000;

export class EventFeed {
  readonly #listeners = new Set<Listener>();
  readonly #response: IncomingMessage;
  #text = '';

  private constructor(response: IncomingMessage) {
    this.#response = response;
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => this.#take(chunk));
    response.on('error', () => undefined);
  }

  static async open(api: HttpClient): Promise<EventFeed> {
    const response = await api.open({ method: 'GET', path: '/v1/events' }, { accept: 'text/event-stream' });
    if (response.statusCode !== 200) throw new Error(`/v1/events: ${response.statusCode}`);
    return new EventFeed(response);
  }

  /** Resolves with the events of a job that came until `isLast` said so. Rejects when none does in time, and when `isLast` throws. */
  collect(job: string, isLast: (event: SeenEvent) => boolean): Promise<SeenEvent[]> {
    return new Promise((resolve, reject) => {
      const seen: SeenEvent[] = [];
      const finish = (settle: () => void) => {
        clearTimeout(timer);
        this.#listeners.delete(listener);
        settle();
      };
      const timer = setTimeout(() => {
        const types = seen.map(({ type }) => type).join(', ');
        finish(() => reject(new Error(`${job}: nothing but ${types} within ${WAIT_MAX_MS} ms`)));
      }, WAIT_MAX_MS);
      const listener = (event: SeenEvent) => {
        if (event.job !== job) return;
        seen.push(event);
        try {
          if (isLast(event)) finish(() => resolve(seen));
        } catch (error) {
          finish(() => reject(error));
        }
      };
      this.#listeners.add(listener);
    });
  }

  close(): void {
    this.#response.destroy();
  }

  #take(chunk: string): void {
    const seenAtMs = performance.now();
    const blocks = (this.#text + chunk).split('\n\n');
    this.#text = blocks.pop() ?? '';
    for (const block of blocks) {
      const data = block
        .split('\n')
        .filter((line) => line.startsWith('data:'))
        .map((line) => line.slice('data:'.length).trimStart());
      if (data.length === 0) continue;
      const event = { ...(JSON.parse(data.join('\n')) as EventView), seenAtMs };
      for (const listener of [...this.#listeners]) listener(event);
    }
  }
}
