/**
 * Which tokens have been taken back. Each replica has the records of that in its mirror, so that it is asked from memory at every request,
 * and whatever a token has opened hears of it at the moment when the mirror does.
 *
 * A replica that has lost touch with the store goes on by what it knew: it can change nothing then, and what it shows is what it
 * has known.
 */
import type { RevocationScope, TokenRecord } from '../../shared/domain/token-record.ts';
import { canonicalJson } from '../../shared/util/codec.ts';
import type { Mirror } from '../store/mirror.ts';
import type { Principal } from './principal.ts';

/** What has to be known of a token to say whether it was taken back. */
export interface Revocable {
  readonly principal: Pick<Principal, 'kind' | 'subject' | 'tokenId' | 'node'>;
  readonly issuedAtMs: number;
  /** The name of our own key that it is signed with; null: another issuer's. */
  readonly kid: string | null;
}

export interface Revocations {
  /** Why the token doesn't count any more, as a sentence; null: it does. */
  reasonAgainst(token: Revocable): string | null;
  /** Tells when the token is taken back, once, and at once if it is already. Returns how to end it. */
  watch(token: Revocable, tell: (why: string) => void): () => void;
  /** The latest time before which such tokens don't count; null: there is none. */
  cutoffMs(principal: Pick<Principal, 'kind' | 'subject' | 'node'>): number | null;
}

/** For whoever has no state to look at. */
export const NOTHING_REVOKED: Revocations = {
  reasonAgainst: () => null,
  watch: () => () => undefined,
  cutoffMs: () => null,
};

/** Follows the mirror. */
export class MirroredRevocations implements Revocations {
  readonly #mirror: Pick<Mirror, 'snapshot' | 'subscribe'>;
  readonly #ids = new Set<string>();
  readonly #cutoffs = new Map<string, number>();
  readonly #watched = new Map<object, { readonly token: Revocable; readonly tell: (why: string) => void }>();

  constructor(mirror: Pick<Mirror, 'snapshot' | 'subscribe'>) {
    this.#mirror = mirror;
    for (const record of mirror.snapshot.tokens.values()) this.#note(record);
    mirror.subscribe((changes) => {
      let isNews = false;
      for (const change of changes) {
        isNews ||= change.kind === 'keys' || change.kind === 'tokens';
        if (change.kind !== 'tokens') continue;
        if (change.before !== null) this.#forget(change.before);
        if (change.after !== null) this.#note(change.after);
      }
      if (isNews) this.#tellWatchers();
    });
  }

  reasonAgainst({ principal, issuedAtMs, kid }: Revocable): string | null {
    if (this.#ids.has(principal.tokenId)) return 'the token was revoked';
    if (issuedAtMs < (this.cutoffMs(principal) ?? Number.NEGATIVE_INFINITY)) {
      return 'the token was issued before a time from which on others are needed; ask for a new one';
    }
    const key = kid === null ? undefined : this.#mirror.snapshot.keyStates.get(kid);
    if (key === undefined || key.revoked === null) return null;
    return 'the token is signed with a key that was retired at once; ask for a new one';
  }

  watch(token: Revocable, tell: (why: string) => void): () => void {
    const why = this.reasonAgainst(token);
    if (why !== null) {
      tell(why);
      return () => undefined;
    }
    const watcher = {};
    this.#watched.set(watcher, { token, tell });
    return () => this.#watched.delete(watcher);
  }

  cutoffMs({ kind, subject, node }: Pick<Principal, 'kind' | 'subject' | 'node'>): number | null {
    if (this.#cutoffs.size === 0) return null;
    const scopes: RevocationScope[] = [{ of: 'all' }, { of: 'kind', kind }, { of: 'subject', subject }];
    if (node !== null) scopes.push({ of: 'node', node });
    const found = scopes.flatMap((scope) => this.#cutoffs.get(canonicalJson(scope)) ?? []);
    return found.length === 0 ? null : Math.max(...found);
  }

  #note(record: TokenRecord): void {
    if (record.type === 'revoked') this.#ids.add(record.id);
    if (record.type === 'revoked-before') this.#cutoffs.set(canonicalJson(record.scope), record.beforeMs);
  }

  #forget(record: TokenRecord): void {
    if (record.type === 'revoked') this.#ids.delete(record.id);
    if (record.type === 'revoked-before') this.#cutoffs.delete(canonicalJson(record.scope));
  }

  #tellWatchers(): void {
    for (const [watcher, { token, tell }] of [...this.#watched]) {
      const why = this.reasonAgainst(token);
      if (why === null) continue;
      this.#watched.delete(watcher);
      tell(why);
    }
  }
}
