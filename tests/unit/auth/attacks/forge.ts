/** Tokens as an attacker makes them: by hand, so that nothing is put right by a library on the way. */
import { generateKeyPair, type JWK } from 'jose';
import { present } from '../../../../shared/util/assert.ts';

export type Signer = (input: Uint8Array<ArrayBuffer>) => Promise<Uint8Array>;

export interface Forgery {
  /** Laid over the header of a good token; undefined takes a member away. A text stands as it is. */
  readonly header?: Readonly<Record<string, unknown>> | string;
  /** Laid over the claims of a good token, likewise. */
  readonly claims?: Readonly<Record<string, unknown>> | string | Uint8Array;
  readonly sign?: Signer;
}

/** What an attacker may know or have: the parts of a good token, keys of their own, and our public key. */
export interface Forge {
  (forgery?: Forgery): Promise<string>;
  readonly good: {
    readonly header: Readonly<Record<string, unknown>>;
    readonly claims: Readonly<Record<string, unknown>>;
  };
  readonly publicJwk: JWK;
  /** Signs with our own key: what a fault of ours, or a leak, could do. */
  readonly ours: Signer;
  readonly theirs: Theirs;
}

export interface Theirs {
  readonly ed25519: Signer;
  readonly ed25519Jwk: JWK;
  readonly rsa: Signer;
  readonly rsaPss: Signer;
  readonly p256: Signer;
}

const encoder = new TextEncoder();

export function forgeOf(parts: Omit<Forge, keyof CallableFunction>): Forge {
  const { good, ours } = parts as Pick<Forge, 'good' | 'ours'>;
  const forge = async ({ header = {}, claims = {}, sign = ours }: Forgery = {}) => {
    const input = `${base64url(laidOver(good.header, header))}.${base64url(laidOver(good.claims, claims))}`;
    return `${input}.${base64url(await sign(encoder.encode(input)))}`;
  };
  return Object.assign(forge, parts) as Forge;
}

function laidOver(good: object, change: Readonly<Record<string, unknown>> | string | Uint8Array): string | Uint8Array {
  if (typeof change === 'string' || change instanceof Uint8Array) return change;
  return JSON.stringify({ ...good, ...change });
}

export function base64url(data: string | Uint8Array): string {
  return Buffer.from(data).toString('base64url');
}

export function hmac(secret: string | Uint8Array, hash: 'SHA-256' | 'SHA-384' | 'SHA-512' = 'SHA-256'): Signer {
  const bytes = typeof secret === 'string' ? encoder.encode(secret) : Uint8Array.from(secret);
  return async (input) => {
    const key = await crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash }, false, ['sign']);
    return new Uint8Array(await crypto.subtle.sign('HMAC', key, input));
  };
}

export const unsigned: Signer = async () => new Uint8Array();
export const zeros: Signer = async () => new Uint8Array(64);
export const noise: Signer = async () => crypto.getRandomValues(new Uint8Array(64));

export function signerOf(key: CryptoKey, algorithm: AlgorithmIdentifier | RsaPssParams | EcdsaParams): Signer {
  return async (input) => new Uint8Array(await crypto.subtle.sign(algorithm, key, input));
}

export async function theirKeys(): Promise<Theirs> {
  const [ed, rsa, pss, ec] = await Promise.all([
    generateKeyPair('EdDSA', { extractable: true }),
    generateKeyPair('RS256'),
    generateKeyPair('PS256'),
    generateKeyPair('ES256'),
  ]);
  return {
    ed25519: signerOf(ed.privateKey, 'Ed25519'),
    ed25519Jwk: (await crypto.subtle.exportKey('jwk', ed.publicKey)) as JWK,
    rsa: signerOf(rsa.privateKey, 'RSASSA-PKCS1-v1_5'),
    rsaPss: signerOf(pss.privateKey, { name: 'RSA-PSS', saltLength: 32 }),
    p256: signerOf(ec.privateKey, { name: 'ECDSA', hash: 'SHA-256' }),
  };
}

/** The parts of a token. */
export function partsOf(token: string): readonly [string, string, string] {
  const [header, claims, signature] = token.split('.');
  return [present(header, 'a header'), present(claims, 'claims'), present(signature, 'a signature')];
}
