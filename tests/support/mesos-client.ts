/** A client of the Mesos door as tests drive it: it sends what it is told, and reads the stream chunk by chunk, as strict clients do. */
import { expect } from 'vitest';
import type { WireEvent } from '../../control-plane/facade-mesos/wire/event.ts';
import type { TestApi } from './api.ts';
import { caughtUp } from './replica.ts';

export const SCHEDULER = '/api/v1/scheduler';

export type MesosEvent = WireEvent | { readonly type: 'HEARTBEAT' };

export interface MesosOptions {
  readonly token?: string | null;
  readonly headers?: Record<string, string>;
  readonly path?: string;
}

/** One call, as JSON. */
export function callMesos(
  berth: TestApi,
  json: object,
  { path = SCHEDULER, ...options }: MesosOptions = {},
): Promise<Response> {
  return berth.send('POST', path, { json, ...options });
}

export function subscription(info: object = {}, rest: object = {}): Record<string, unknown> {
  const whole: Record<string, unknown> = { user: 'root', name: 'painter', failover_timeout: 60, ...info };
  const id = whole['id'] === undefined ? {} : { framework_id: whole['id'] };
  return { type: 'SUBSCRIBE', ...id, subscribe: { framework_info: whole, ...rest } };
}

/** A subscription and its stream. */
export class MesosClient {
  readonly berth: TestApi;
  readonly response: Response;
  readonly streamId: string;
  id = '';
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #options: MesosOptions;
  /** Every record so far as it came. */
  readonly records: string[] = [];

  private constructor(berth: TestApi, response: Response, options: MesosOptions) {
    this.berth = berth;
    this.response = response;
    this.#options = options;
    this.streamId = response.headers.get('mesos-stream-id') ?? '';
    this.#reader = (response.body ?? new ReadableStream<Uint8Array>()).getReader();
  }

  /** Subscribes, and reads what comes with it: its id and the first heartbeat. */
  static async subscribe(
    berth: TestApi,
    info: object = {},
    rest: object = {},
    options: MesosOptions = {},
  ): Promise<MesosClient> {
    const client = await MesosClient.open(berth, subscription(info, rest), options);
    const event = await client.next();
    if (event?.type !== 'SUBSCRIBED') throw new Error(`not subscribed: ${client.records.at(-1)}`);
    client.id = event.subscribed.framework_id.value;
    expect((await client.next())?.type).toBe('HEARTBEAT');
    await caughtUp(berth.replica.ctx);
    return client;
  }

  static async open(berth: TestApi, json: object, options: MesosOptions = {}): Promise<MesosClient> {
    const response = await callMesos(berth, json, options);
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/json']);
    return new MesosClient(berth, response, options);
  }

  /** A stream that was opened by hand. */
  static of(berth: TestApi, response: Response): MesosClient {
    return new MesosClient(berth, response, {});
  }

  /** The next record, which has to be a chunk of its own; null: the stream has ended. */
  async next(): Promise<MesosEvent | null> {
    const { done, value } = await this.#reader.read();
    if (done) return null;
    const text = new TextDecoder().decode(value);
    this.records.push(text);
    const [length, json = '', ...more] = text.split('\n');
    expect([more, Number(length)]).toEqual([[], value.length - `${length}\n`.length]);
    expect(json.length).toBe(Number(length));
    return JSON.parse(json) as MesosEvent;
  }

  /** The next event of that type, whatever else is said before it. */
  async until<T extends MesosEvent['type']>(type: T): Promise<Extract<MesosEvent, { readonly type: T }>> {
    for (let seen = 0; seen < 100; seen++) {
      const event = await this.next();
      if (event === null) throw new Error(`the stream ended before any ${type}`);
      if (event.type === type) return event as Extract<MesosEvent, { readonly type: T }>;
    }
    throw new Error(`no ${type} came`);
  }

  /** A call of this framework. The replica may be another one than that of the stream. */
  async call(json: object, berth = this.berth): Promise<Response> {
    const headers = { 'Mesos-Stream-Id': this.streamId, ...this.#options.headers };
    const response = await callMesos(
      berth,
      { framework_id: { value: this.id }, ...json },
      { ...this.#options, headers },
    );
    await caughtUp(berth.replica.ctx);
    return response;
  }

  /** The same, where the call has to be taken. */
  async accepted(json: object, berth = this.berth): Promise<void> {
    const response = await this.call(json, berth);
    expect([response.status, await response.text()]).toEqual([202, '']);
  }

  close(): Promise<void> {
    return this.#reader.cancel();
  }
}
