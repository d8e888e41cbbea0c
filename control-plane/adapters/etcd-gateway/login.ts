/** The token that etcd's users show: asked for when first needed, shared by all, and anew when it no longer holds. */
import type { Clock } from '../../../shared/util/clock.ts';
import { StoreRefusedError } from '../etcd-api/refusals.ts';

/** etcd checks a password with a slow hash, so a wrong one isn't tried with every call. */
const REFUSED_REST_MS = 1000;

/** What the last login gave; null while none has. */
export interface TokenCell {
  token: string | null;
}

export class Login {
  readonly #clock: Clock;
  readonly #authenticate: () => Promise<string>;
  readonly #cell: TokenCell;
  /** A login that is under way, or was refused. */
  #asked: Promise<string> | null = null;
  /** Until then a refusal stands. */
  #refusedUntilMs = Number.POSITIVE_INFINITY;

  constructor(clock: Clock, authenticate: () => Promise<string>, cell: TokenCell = { token: null }) {
    this.#clock = clock;
    this.#authenticate = authenticate;
    this.#cell = cell;
  }

  /** Rejects with what logging in failed with. */
  async token(): Promise<string> {
    const { token } = this.#cell;
    if (token !== null) return token;
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
    if (this.#cell.token === stale) this.#cell.token = null;
  }

  async #ask(): Promise<string> {
    this.#refusedUntilMs = Number.POSITIVE_INFINITY;
    try {
      const token = await this.#authenticate();
      this.#cell.token = token;
      this.#asked = null;
      return token;
    } catch (error) {
      if (error instanceof StoreRefusedError) this.#refusedUntilMs = this.#clock.monotonicMs() + REFUSED_REST_MS;
      else this.#asked = null;
      throw error;
    }
  }
}
