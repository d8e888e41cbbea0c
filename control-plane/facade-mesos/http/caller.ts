/** Who calls, and where from: all that a use case is told of a request beside what is asked for. */
import type { Call } from '../../services/context.ts';
import type { Origin } from '../../services/origin.ts';
import type { Identity } from './authenticate.ts';

export interface Caller extends Identity {
  readonly origin: Origin;
}

/** `type`: of a call among the many that one path takes. Mesos knows no idempotency keys. */
export function callOf({ principal, origin }: Caller, type?: string): Call {
  const operation = type === undefined ? origin.operation : `${origin.operation} ${type}`;
  return { principal, origin: { ...origin, operation }, idempotency: null };
}
