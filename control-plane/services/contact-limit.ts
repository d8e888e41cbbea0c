/**
 * What a job may ask for of the contact between nodes and the control plane depends on how often there is any: agents send four
 * heartbeats in a lease's time, and a node begins to stop what may not run without contact when half of its time is over.
 */
import { type Fault, Refusal } from '../../shared/domain/errors.ts';
import type { JobSpec } from '../../shared/domain/job.ts';
import type { ServiceContext } from './context.ts';

/** Refuses a time without contact that a healthy node may not keep: less than one lease. */
export function demandContact(
  { config }: Pick<ServiceContext, 'config'>,
  spec: Pick<JobSpec, 'stopAfterDisconnectSeconds'>,
  path = '',
): void {
  const seconds = spec.stopAfterDisconnectSeconds;
  const leastSeconds = Math.ceil(config.leaseTtlMs / 1000);
  if (seconds === undefined || seconds >= leastSeconds) return;
  const fault: Fault = {
    path: `${path}/stopAfterDisconnectSeconds`,
    message: `must be ${leastSeconds} or more here: nodes are heard of in turns, and a lease is ${leastSeconds} s`,
  };
  throw new Refusal('invalid-request', `the request is not valid: ${fault.path} ${fault.message}`, { faults: [fault] });
}
