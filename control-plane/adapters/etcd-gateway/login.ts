/** The token that etcd's users show: asked for when first needed, shared by all, and anew when it no longer holds. */
import type { Clock } from '../../../shared/util/clock.ts';
import { StoreRefusedError } from '../etcd-api/refusals.ts';

/** etcd checks a password with a slow hash, so a wrong one isn't tried with every call. */
const REFUSED_REST_MS = 1000;

export class Login {
  readonly #clock: Clock;
  readonly #authenticate: () => Promise<string>;
  #asked: Promise<string> | null = null;
  /** What the last one gave; null while none has. */
  #token: string | null = null;
  /** Until then a refusal stands. */
  #refusedUntilMs = Number.POSITIVE_INFINITY;

  constructor(clock: Clock, authenticate: () => Promise<string>) {
    this.#clock = clock;
    this.#authenticate = authenticate;
  }

  /** Rejects with what logging in failed with. */
  token(): Promise<string> {
    if (this.#clock.monotonicMs() >= this.#refusedUntilMs) this.#asked = null;
    this.#asked ??= this.#ask();
    return this.#asked;
  }

  /** A token in place of one that no longer holds. All who come with the same one share it. */
  renewed(stale: string): Promise<string> {
    this.forget(stale);
    return this.token();
  }

  /** Whoever asks next gets another one. */
  forget(stale: string): void {
    if (this.#token !== stale) return;
    this.#token = null;
    this.#asked = null;
  }

  #ask(): Promise<string> {
    this.#refusedUntilMs = Number.POSITIVE_INFINITY;
    const asked = this.#authenticate();
    asked.then(
      (token) => {
        this.#token = token;
      },
      (error) => {
        if (error instanceof StoreRefusedError) this.#refusedUntilMs = this.#clock.monotonicMs() + REFUSED_REST_MS;
        else this.#asked = null;
      },
    );
    return asked;
  }
}
