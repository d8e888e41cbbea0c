/** Faults of the store, in the words of a refusal. */
import { Refusal } from '../../shared/domain/errors.ts';
import { HistoryGoneError, LeaseGoneError, StoreFullError, StoreUnavailableError } from '../store/contract.ts';

const RETRY_AFTER_SECONDS = 1;
/** Somebody has to do something first. */
const FULL_RETRY_AFTER_SECONDS = 60;

/** What to tell a caller whose request failed on the store; null when the error is not a fault of the store. */
export function refusalOfFault(error: unknown): Refusal | null {
  const retry = { cause: error, retryAfterSeconds: RETRY_AFTER_SECONDS };
  if (error instanceof StoreFullError) {
    return new Refusal(
      'unavailable',
      "the store is full and takes no writes; nothing was written. An operator has to make room (Berth forgets and compacts what it may by itself; 'etcdctl defrag') or raise etcd's --quota-backend-bytes, and then 'etcdctl alarm disarm'",
      { cause: error, retryAfterSeconds: FULL_RETRY_AFTER_SECONDS },
    );
  }
  if (error instanceof StoreUnavailableError) {
    return new Refusal(
      'unavailable',
      'the store did not answer in time; what was asked for may or may not have happened',
      retry,
    );
  }
  if (error instanceof LeaseGoneError || error instanceof HistoryGoneError) {
    return new Refusal('unavailable', 'the state was changing underneath this request; try again', retry);
  }
  return null;
}
