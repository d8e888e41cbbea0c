/** The bare engine: its own API over its socket, with nothing of ours in between. */
import type { IncomingMessage } from 'node:http';
import { type Call, HttpClient } from './http.ts';

/** As the engine's API takes it, and under which name. */
export type ContainerBody = { readonly name: string } & Readonly<Record<string, unknown>>;

export interface ContainerTimes {
  readonly createdAtMs: number;
  readonly startedAtMs: number;
}

export class Engine {
  readonly #http: HttpClient;

  constructor(host: string | undefined) {
    this.#http = new HttpClient(addressOf(host));
  }

  async createAndStart({ name, ...body }: ContainerBody): Promise<string> {
    const path = `/containers/create?name=${name}`;
    const created = await this.#http.expect({ method: 'POST', path, body }, 201);
    const { Id: id } = JSON.parse(created) as { Id: string };
    await this.#http.expect({ method: 'POST', path: `/containers/${id}/start` }, 204);
    return id;
  }

  /** Any call. Throws unless the status is one of these. */
  expect(call: Call, ...statuses: readonly number[]): Promise<string> {
    return this.#http.expect(call, ...statuses);
  }

  /** Those that the filters name, one JSON object a line, for as long as they are read. */
  events(filters: Readonly<Record<string, readonly string[]>>): Promise<IncomingMessage> {
    return this.#http.open(
      { method: 'GET', path: `/events?filters=${encodeURIComponent(JSON.stringify(filters))}` },
      {},
    );
  }

  /** As a crash would. */
  async kill(id: string): Promise<void> {
    await this.#http.expect({ method: 'POST', path: `/containers/${id}/kill` }, 204);
  }

  /** Politely. Resolves when it has ended. */
  async stop(id: string): Promise<void> {
    await this.#http.expect({ method: 'POST', path: `/containers/${id}/stop` }, 204);
  }

  async inspect(id: string): Promise<InspectedContainer> {
    return JSON.parse(await this.#http.expect({ method: 'GET', path: `/containers/${id}/json` }, 200));
  }

  async withLabel(label: string): Promise<string[]> {
    const filters = encodeURIComponent(JSON.stringify({ label: [label] }));
    const listed = await this.#http.expect(
      { method: 'GET', path: `/containers/json?all=true&filters=${filters}` },
      200,
    );
    return (JSON.parse(listed) as { Id: string }[]).map(({ Id }) => Id);
  }

  /** Kills and removes, a few at a time. Harmless for those that are gone. */
  async remove(ids: readonly string[]): Promise<void> {
    await inParallel(4, ids, async (id) => {
      await this.#http.expect({ method: 'DELETE', path: `/containers/${id}?force=true&v=true` }, 204, 404, 409);
    });
  }

  async version(): Promise<string> {
    const { Version } = JSON.parse(await this.#http.expect({ method: 'GET', path: '/version' }, 200)) as {
      Version: string;
    };
    return Version;
  }

  close(): void {
    this.#http.close();
  }
}

/** What is used of an inspection. */
export interface InspectedContainer {
  readonly Id: string;
  readonly Created: string;
  readonly State: { readonly StartedAt: string };
}

export function timesOf({ Created, State }: InspectedContainer): ContainerTimes {
  return { createdAtMs: preciseMs(Created), startedAtMs: preciseMs(State.StartedAt) };
}

/** `Date.parse` stops at milliseconds; the engine gives nanoseconds. */
function preciseMs(time: string): number {
  const fraction = /\.(\d+)Z$/.exec(time)?.[1] ?? '0';
  return Date.parse(`${time.slice(0, 19)}Z`) + Number(`0.${fraction}`) * 1000;
}

function addressOf(host: string | undefined) {
  if (host === undefined || host === '') return { socketPath: '/var/run/docker.sock' };
  if (host.startsWith('unix://')) return { socketPath: host.slice('unix://'.length) };
  const { hostname, port } = new URL(host);
  return { host: hostname, port: Number(port === '' ? 2375 : port) };
}

/** So many at a time, in the order of the list. */
export async function inParallel<T>(
  concurrency: number,
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
}
