/** What etcd and gRPC say when something goes wrong, in the words of the store's contract. */
import {
  ClientClosedError,
  EtcdAuthenticationFailedError,
  EtcdLeaseInvalidError,
  EtcdPermissionDeniedError,
  GRPCInvalidArgumentError,
  GRPCOutOfRangeError,
  GRPCResourceExhastedError,
  GRPCUnauthenticatedError,
} from 'etcd3';
import { InvariantError } from '../../../shared/util/assert.ts';
import { HistoryGoneError, LeaseGoneError, StoreFullError, StoreUnavailableError } from '../../store/contract.ts';
import { AnswerTooLongError, StoreRefusedError } from '../etcd-api/refusals.ts';

/** The contract's error for `cause`, which came up while `doing`. Whatever isn't known counts as "outcome unknown". */
export function toStoreError(doing: string, cause: unknown): Error {
  const message = `etcd: ${doing}: ${cause instanceof Error ? cause.message : String(cause)}`;
  if (cause instanceof EtcdLeaseInvalidError) return new LeaseGoneError(message, { cause });
  if (cause instanceof GRPCOutOfRangeError) return new HistoryGoneError(message, { cause });
  if (cause instanceof GRPCResourceExhastedError) return exhausted(message, cause);
  if (cause instanceof ClientClosedError) return new StoreUnavailableError('etcd: the store is closed', { cause });
  if (isRefusal(message, cause)) return new StoreRefusedError(message, { cause });
  if (cause instanceof GRPCInvalidArgumentError && !message.includes(PASSING)) {
    return new InvariantError(message, { cause });
  }
  return new StoreUnavailableError(message, { cause });
}

/** While users and roles are being changed, requests that were on their way are turned down. */
const PASSING = 'revision of auth store is old';

const REFUSALS = [EtcdAuthenticationFailedError, EtcdPermissionDeniedError, GRPCUnauthenticatedError] as const;

const UNCODED_REFUSALS = ['user name is empty', 'authentication is not enabled', 'auth: permission denied'] as const;

/** Some refusals have no code of their own: no user was named to a store that wants one, the other way round, or only root may. */
function isRefusal(message: string, cause: unknown): boolean {
  if (REFUSALS.some((refusal) => cause instanceof refusal)) return true;
  return UNCODED_REFUSALS.some((refusal) => message.includes(refusal));
}

function exhausted(message: string, cause: Error): Error {
  if (message.includes('database space exceeded')) return new StoreFullError(message, { cause });
  if (message.includes('larger than max')) return new AnswerTooLongError(message, { cause });
  return new StoreUnavailableError(message, { cause });
}
