/**
 * The control plane's own keys. A private key is made once, lives in the store and in the memory of replicas, and goes
 * nowhere else: what is published is derived from it, field by field. There may be several, so that keys can be rotated:
 * the newest signs, all of them verify.
 */
import { type CryptoKey, exportJWK, generateKeyPair, importJWK, type JWK } from 'jose';
import { invariant, present } from '../../shared/util/assert.ts';
import type { Clock } from '../../shared/util/clock.ts';
import type { SecretRecord } from '../store/record-types.ts';

/** The only algorithm of our own tokens: Ed25519 (RFC 8037). */
export const OWN_ALGORITHM = 'EdDSA';

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
  const privateJwk = JSON.stringify(await exportJWK(privateKey));
  return { kid, algorithm: OWN_ALGORITHM, privateJwk, sealed: null, createdAtMs };
}

/** `record` holds the private key in the clear: what was sealed has been opened. */
export async function importSigningKey(record: SecretRecord): Promise<SigningKey> {
  const privateJwk = JSON.parse(present(record.privateJwk, `the opened key ${record.kid}`)) as JWK;
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
  readonly clock: Clock;
}

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

  /** The key that new tokens are signed with. */
  get current(): SigningKey {
    const [newest] = [...this.#keys.values()].sort((a, b) => b.createdAtMs - a.createdAtMs || (a.kid < b.kid ? 1 : -1));
    return present(newest, 'a signing key');
  }

  /** What is published for whoever verifies our tokens. */
  get publicKeys(): JsonWebKeySet {
    return { keys: [...this.#keys.values()].map((key) => key.publicJwk) };
  }

  /** The public key of this name, or null. One that another replica has made lately is found too. */
  async find(kid: string): Promise<CryptoKey | null> {
    const known = this.#keys.get(kid);
    if (known !== undefined) return known.publicKey;
    if (this.#options.clock.monotonicMs() - this.#loadedAtMs < RELOAD_INTERVAL_MS) return null;
    await this.load();
    return this.#keys.get(kid)?.publicKey ?? null;
  }

  async #read(): Promise<void> {
    // Set before the attempt: a store that doesn't answer isn't asked for every bad token either.
    this.#loadedAtMs = this.#options.clock.monotonicMs();
    const records = await this.#options.load();
    const keys = await Promise.all(records.map(importSigningKey));
    this.#keys = new Map(keys.map((key) => [key.kid, key]));
  }
}
