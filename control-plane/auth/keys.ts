/**
 * The control plane's own keys. A private key is made once, lives in the store and in the memory of replicas, and goes
 * nowhere else: what is published is derived from it, field by field. There are several while keys are rotated: where each
 * stands is in the state that every replica mirrors (`key-standing.ts`), one signs, all but those that were retired verify.
 */
import { type CryptoKey, exportJWK, generateKeyPair, importJWK, type JWK } from 'jose';
import { invariant, present } from '../../shared/util/assert.ts';
import type { Clock } from '../../shared/util/clock.ts';
import type { KeyStateRecord, SecretRecord } from '../store/record-types.ts';
import { type KeyStates, keyTimesOf, signingKid } from './key-standing.ts';

/** The only algorithm of our own tokens: Ed25519 (RFC 8037). */
export const OWN_ALGORITHM = 'EdDSA';

/** How long whoever verifies our tokens may keep what is published. */
export const KEYS_MAX_AGE_SECONDS = 300;

/** A key that isn't known is looked for in the store at most this often, whatever tokens claim to be signed with. */
const RELOAD_INTERVAL_MS = 10_000;

export interface SigningKey {
  readonly kid: string;
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
  readonly publicJwk: JWK;
  readonly createdAtMs: number;
}

export interface JsonWebKeySet {
  readonly keys: readonly JWK[];
}

/** A new key pair, as it is stored. */
export async function generateSigningKey(kid: string, createdAtMs: number): Promise<SecretRecord> {
  const { privateKey } = await generateKeyPair(OWN_ALGORITHM, { extractable: true });
  return { kid, algorithm: OWN_ALGORITHM, privateJwk: JSON.stringify(await exportJWK(privateKey)), createdAtMs };
}

export async function importSigningKey(record: SecretRecord): Promise<SigningKey> {
  const privateJwk = JSON.parse(record.privateJwk) as JWK;
  const publicJwk = publicPart(privateJwk, record.kid);
  return {
    kid: record.kid,
    privateKey: await importAsymmetric(privateJwk),
    publicKey: await importAsymmetric(publicJwk),
    publicJwk,
    createdAtMs: record.createdAtMs,
  };
}

/** Names what is published, so that no member of a private key gets out by being new. */
function publicPart({ kty, crv, x }: JWK, kid: string): JWK {
  return {
    kty: present(kty, `the type of key ${kid}`),
    crv: present(crv, `the curve of key ${kid}`),
    x: present(x, `the public part of key ${kid}`),
    kid,
    alg: OWN_ALGORITHM,
    use: 'sig',
  };
}

async function importAsymmetric(jwk: JWK): Promise<CryptoKey> {
  const key = await importJWK(jwk, OWN_ALGORITHM);
  invariant(!(key instanceof Uint8Array), 'an Ed25519 key is not a shared secret');
  return key;
}

export interface KeyRingOptions {
  /** Reads every key from the store. Throws StoreUnavailableError. */
  readonly load: () => Promise<readonly SecretRecord[]>;
  /** Where keys stand by now. Absent: each signs from when it was made, until the next. */
  readonly states?: () => KeyStates;
  readonly clock: Clock;
}

const NO_STATES: KeyStates = new Map<string, KeyStateRecord>();

/** The keys that this replica knows. */
export class KeyRing {
  readonly #options: KeyRingOptions;
  #keys: ReadonlyMap<string, SigningKey> = new Map();
  #loadedAtMs = Number.NEGATIVE_INFINITY;
  #loading: Promise<void> | null = null;

  constructor(options: KeyRingOptions) {
    this.#options = options;
  }

  /** Reads the keys. Callers that come while that is being done share it. */
  load(): Promise<void> {
    this.#loading ??= this.#read().finally(() => {
      this.#loading = null;
    });
    return this.#loading;
  }

  /** Reads the keys unless all are here that the state names. A read that had begun before one was written may lack it. */
  async complete(): Promise<void> {
    for (let reads = 0; reads < 2 && this.#isIncomplete(); reads++) await this.load();
  }

  /** The key that new tokens are signed with, of those that are here. */
  get current(): SigningKey {
    const kid = signingKid(this.#times(this.#keys.keys()), this.#options.clock.now());
    return present(kid === null ? undefined : this.#keys.get(kid), 'a signing key');
  }

  /** The key that new tokens are signed with, read from the store if it is news here. Throws StoreUnavailableError. */
  async signer(): Promise<SigningKey> {
    const kids = new Set([...this.#keys.keys(), ...this.#states.keys()]);
    const kid = signingKid(this.#times(kids), this.#options.clock.now());
    if (kid !== null && !this.#keys.has(kid)) await this.complete();
    return this.current;
  }

  /** What is published for whoever verifies our tokens, before anything is signed with it. */
  get publicKeys(): JsonWebKeySet {
    return { keys: [...this.#keys.values()].filter(({ kid }) => !this.#isRevoked(kid)).map((key) => key.publicJwk) };
  }

  /** The public key of this name, or null. One that another replica has made lately is found too. */
  async find(kid: string): Promise<CryptoKey | null> {
    const known = this.#keys.get(kid);
    if (known !== undefined) return this.#isRevoked(kid) ? null : known.publicKey;
    if (this.#options.clock.monotonicMs() - this.#loadedAtMs < RELOAD_INTERVAL_MS) return null;
    await this.load();
    return this.#isRevoked(kid) ? null : (this.#keys.get(kid)?.publicKey ?? null);
  }

  get #states(): KeyStates {
    return this.#options.states?.() ?? NO_STATES;
  }

  #times(kids: Iterable<string>) {
    return [...kids].map((kid) => keyTimesOf(kid, this.#states.get(kid), this.#keys.get(kid)?.createdAtMs));
  }

  #isRevoked(kid: string): boolean {
    const state = this.#states.get(kid);
    return state !== undefined && state.revoked !== null;
  }

  /** Of one that was retired at once the private half is gone. */
  #isIncomplete(): boolean {
    return [...this.#states.values()].some(({ kid, revoked }) => revoked === null && !this.#keys.has(kid));
  }

  async #read(): Promise<void> {
    // Set before the attempt: a store that doesn't answer isn't asked for every bad token either.
    this.#loadedAtMs = this.#options.clock.monotonicMs();
    const records = await this.#options.load();
    const keys = await Promise.all(records.map(importSigningKey));
    this.#keys = new Map(keys.map((key) => [key.kid, key]));
  }
}
