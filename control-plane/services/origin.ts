/** Where a request came from, as far as a replica can tell: for the record of who did what. */

/** Every answer tells by which id the request is on record. */
export const REQUEST_ID_HEADER = 'Berth-Request-Id';

export interface Origin {
  readonly requestId: string;
  /** The network address of the client. Null: there is no network in between, or it doesn't say. */
  readonly address: string | null;
  /** What was called, in words of its door: a method and a route, such as `PUT /v1/jobs/{name}`, and what of it. */
  readonly operation: string;
}

/**
 * The network address of whoever sent the request. `env` is what the platform hands over beside the request: only a main knows what
 * that is.
 */
export type ClientAddress = (request: Request, env: unknown) => string | null;
