/**
 * The public keys of an outside issuer: fetched when first needed, kept for a while, and fetched again when a token names
 * a key that isn't among them, at most every so often. While the issuer can't be reached, what is known stays good.
 */
import { type CryptoKey, createLocalJWKSet, errors, type JSONWebKeySet, type JWSHeaderParameters } from 'jose';
import { z } from 'zod';
import { Refusal } from '../../shared/domain/errors.ts';
import type { Clock } from '../../shared/util/clock.ts';
import { isSecureUrl } from './outside-issuer.ts';

/** Keys are fetched anew after this time even if nothing is missing, so that a withdrawn key ends. */
const KEEP_MS = 600_000;
/** The least time between two fetches. */
const COOLDOWN_MS = 30_000;
const FETCH_TIMEOUT_MS = 5000;
const DOCUMENT_BYTES_MAX = 1_048_576;

const discoverySchema = z.object({ issuer: z.string(), jwks_uri: z.string() });
const keySetSchema = z.object({ keys: z.array(z.looseObject({ kty: z.string() })).max(1000) });

export interface OutsideKeysOptions {
  readonly issuer: {
    readonly issuer: string;
    /** Undefined: found by OpenID discovery. */
    readonly jwksUri?: string | undefined;
  };
  readonly clock: Clock;
  readonly fetch: typeof fetch;
}

type Lookup = ReturnType<typeof createLocalJWKSet>;

export class OutsideKeys {
  readonly #options: OutsideKeysOptions;
  #lookup: Lookup | null = null;
  #fetchedAtMs = Number.NEGATIVE_INFINITY;
  #triedAtMs = Number.NEGATIVE_INFINITY;
  #fetching: Promise<void> | null = null;

  constructor(options: OutsideKeysOptions) {
    this.#options = options;
  }

  /**
   * The key that the header names. Throws jose's `JWKSNoMatchingKey` when the issuer has no such key, and the Refusal
   * `unavailable` when its keys have never been had.
   */
  async find(header: JWSHeaderParameters): Promise<CryptoKey> {
    if (this.#lookup === null || this.#age() > KEEP_MS) await this.#refresh();
    try {
      return await this.#lookUp(header);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || this.#sinceTried() < COOLDOWN_MS) throw error;
      await this.#refresh();
      return this.#lookUp(header);
    }
  }

  #lookUp(header: JWSHeaderParameters): Promise<CryptoKey> {
    if (this.#lookup === null) {
      throw new Refusal('unavailable', `the keys of the issuer "${this.#options.issuer.issuer}" can't be had`, {
        retryAfterSeconds: Math.ceil(COOLDOWN_MS / 1000),
      });
    }
    return this.#lookup(header);
  }

  #age(): number {
    return this.#options.clock.monotonicMs() - this.#fetchedAtMs;
  }

  #sinceTried(): number {
    return this.#options.clock.monotonicMs() - this.#triedAtMs;
  }

  /** Never rejects: what can't be had is seen by its absence. */
  #refresh(): Promise<void> {
    if (this.#fetching === null && this.#sinceTried() < COOLDOWN_MS) return Promise.resolve();
    this.#fetching ??= this.#fetchKeys().finally(() => {
      this.#fetching = null;
    });
    return this.#fetching;
  }

  async #fetchKeys(): Promise<void> {
    this.#triedAtMs = this.#options.clock.monotonicMs();
    try {
      const keySet = keySetSchema.parse(await this.#fetchJson(await this.#keysUrl()));
      this.#lookup = createLocalJWKSet(keySet as JSONWebKeySet);
      this.#fetchedAtMs = this.#options.clock.monotonicMs();
    } catch {
      // The keys that are known stay; without any, the caller is told that they can't be had.
    }
  }

  async #keysUrl(): Promise<string> {
    const { issuer, jwksUri } = this.#options.issuer;
    if (jwksUri !== undefined) return jwksUri;
    const discovery = discoverySchema.parse(
      await this.#fetchJson(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`),
    );
    if (discovery.issuer !== issuer) throw new Error(`discovery speaks for another issuer: ${discovery.issuer}`);
    // What an issuer elsewhere says must not make us ask around on this machine.
    if (!isEncrypted(discovery.jwks_uri) && isEncrypted(issuer)) throw new Error(`${discovery.jwks_uri} is not https`);
    return discovery.jwks_uri;
  }

  async #fetchJson(url: string): Promise<unknown> {
    if (!isSecureUrl(url)) throw new Error(`keys are not fetched over an insecure connection: ${url}`);
    const giveUp = new AbortController();
    const timer = this.#options.clock.setTimer(FETCH_TIMEOUT_MS, () => giveUp.abort());
    try {
      const response = await this.#options.fetch(url, {
        headers: { accept: 'application/json' },
        redirect: 'error',
        signal: giveUp.signal,
      });
      if (!response.ok) throw new Error(`${url} answered ${response.status}`);
      return JSON.parse(await readBounded(response));
    } finally {
      timer.cancel();
    }
  }
}

function isEncrypted(url: string): boolean {
  return URL.parse(url)?.protocol === 'https:';
}

async function readBounded(response: Response): Promise<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let text = '';
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > DOCUMENT_BYTES_MAX) throw new Error(`${response.url} is larger than ${DOCUMENT_BYTES_MAX} bytes`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}
