/** One framework of Mesos as the benchmark plays it: a stream on a connection of its own, and each offer with the moment it was read. */
import { type IncomingMessage, request } from 'node:http';
import type { WireOffer } from '../../control-plane/facade-mesos/wire/event.ts';

export interface ReplicaAddress {
  readonly port: number;
  readonly token: string;
}

export interface ReadOffer {
  readonly id: string;
  /** By the machine's clock, which is the replicas' as well. */
  readonly atMs: number;
}

interface Said {
  readonly type: string;
  readonly subscribed?: { readonly framework_id: { readonly value: string } };
  readonly offers?: { readonly offers: readonly WireOffer[] };
}

export class BenchFramework {
  readonly offers: ReadOffer[] = [];
  readonly #at: ReplicaAddress;
  readonly #streamId: string;
  readonly #response: IncomingMessage;
  #id = '';
  #subscribed = () => {};

  private constructor(at: ReplicaAddress, response: IncomingMessage) {
    this.#at = at;
    this.#response = response;
    this.#streamId = String(response.headers['mesos-stream-id']);
    // A record is a chunk, so that it comes as one piece, unless it is longer than what is read at a time.
    let rest = '';
    response.setEncoding('utf8').on('data', (text: string) => {
      rest = this.#take(rest + text);
    });
    response.on('error', () => undefined);
  }

  static async subscribe(at: ReplicaAddress, name: string): Promise<BenchFramework> {
    const info = { user: 'root', name, failover_timeout: 600 };
    const response = await post(at, { type: 'SUBSCRIBE', subscribe: { framework_info: info } });
    if (response.statusCode !== 200) throw new Error(`SUBSCRIBE: ${response.statusCode}`);
    const framework = new BenchFramework(at, response);
    await new Promise<void>((resolve) => {
      framework.#subscribed = resolve;
    });
    return framework;
  }

  /** Says no to all that it has read, for the shortest time. */
  async declineAll(): Promise<void> {
    const ids = this.offers.splice(0).map(({ id }) => ({ value: id }));
    if (ids.length === 0) return;
    const decline = { offer_ids: ids, filters: { refuse_seconds: 1 } };
    const body = { framework_id: { value: this.#id }, type: 'DECLINE', decline };
    const response = await post(this.#at, body, { 'mesos-stream-id': this.#streamId });
    response.resume();
    if (response.statusCode !== 202) throw new Error(`DECLINE: ${response.statusCode}`);
  }

  close(): void {
    this.#response.destroy();
  }

  #take(text: string): string {
    const atMs = Date.now();
    for (let rest = text; ; ) {
      const end = rest.indexOf('\n');
      const length = Number(rest.slice(0, end));
      if (end < 0 || rest.length < end + 1 + length) return rest;
      this.#hear(JSON.parse(rest.slice(end + 1, end + 1 + length)) as Said, atMs);
      rest = rest.slice(end + 1 + length);
    }
  }

  #hear({ subscribed, offers }: Said, atMs: number): void {
    for (const { id } of offers?.offers ?? []) this.offers.push({ id: id.value, atMs });
    if (subscribed === undefined) return;
    this.#id = subscribed.framework_id.value;
    this.#subscribed();
  }
}

function post(
  { port, token }: ReplicaAddress,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): Promise<IncomingMessage> {
  const payload = JSON.stringify(body);
  const sent = {
    authorization: `Bearer ${token}`,
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(payload),
    ...headers,
  };
  const options = { host: '127.0.0.1', port, method: 'POST', path: '/api/v1/scheduler', headers: sent, agent: false };
  return new Promise((resolve, reject) => {
    request(options, resolve).on('error', reject).end(payload);
  });
}
