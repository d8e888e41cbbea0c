/** What only adapters of etcd tell their callers, beside the errors of the store's contract. */

/** etcd doesn't let this client in. No retry helps; somebody has to change the credentials or the permissions. */
export class StoreRefusedError extends Error {
  override readonly name = 'StoreRefusedError';
}

/** An answer was longer than this client takes. Ask for less. */
export class AnswerTooLongError extends Error {
  override readonly name = 'AnswerTooLongError';
}
