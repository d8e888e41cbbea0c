/** The little of the Workers platform that is used, in its own words: https://developers.cloudflare.com/workers/runtime-apis/. */

/** What goes with one request. */
export interface ExecutionContext {
  /** Keeps the request's context for as long as the promise takes, at most 30 s after the answer. */
  waitUntil(promise: Promise<unknown>): void;
}

/** One turn of a cron trigger. */
export interface ScheduledController {
  readonly scheduledTime: number;
  readonly cron: string;
}

/** Where objects of one class live, each by its name, once in the world. */
export interface DurableObjectNamespace {
  idFromName(name: string): DurableObjectId;
  get(id: DurableObjectId): DurableObjectStub;
}

export interface DurableObjectId {
  toString(): string;
}

export interface DurableObjectStub {
  fetch(url: string, init?: RequestInit): Promise<Response>;
}

/** As wrangler.toml, its secrets and its variables make it. */
export interface WorkerEnv extends Readonly<Record<string, unknown>> {
  readonly STREAMS: DurableObjectNamespace;
}
