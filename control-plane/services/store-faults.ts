/** Faults of the store, in the words of a refusal. */
import { Refusal } from '../../shared/domain/errors.ts';
import { HistoryGoneError, LeaseGoneError, StoreFullError, StoreUnavailableError } from '../store/contract.ts';

const RETRY_AFTER_SECONDS = 1;

/** What to tell a caller whose request failed on the store; null when the error is not a fault of the store. */
export function refusalOfFault(error: unknown): Refusal | null {
  const retry = { cause: error, retryAfterSeconds: RETRY_AFTER_SECONDS };
  if (error instanceof StoreFullError) {
    return new Refusal(
      'unavailable',
      "the store's database is full: an operator has to raise its quota or clear an alarm",
      {
        cause: error,
        retryAfterSeconds: 60,
      },
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
