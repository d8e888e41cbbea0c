/** Where a request comes from, as the main that serves it has found out: the app itself knows nothing of sockets and proxies. */

/** What a main hands to the app beside the request. */
export interface ClientEnv {
  /** An IP address. */
  readonly clientAddress: string;
}

/** Null: nobody has said. */
export function clientAddressIn(env: unknown): string | null {
  if (typeof env !== 'object' || env === null || !('clientAddress' in env)) return null;
  return typeof env.clientAddress === 'string' && env.clientAddress !== '' ? env.clientAddress : null;
}
