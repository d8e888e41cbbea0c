/**
 * What is stored in confidence goes into an envelope: each value is encrypted under a key of its own, and that key under an envelope
 * key, which is in no store, so that whoever reads the store, or a copy of it, reads nothing. Several envelope keys may be at hand:
 * the first seals, all of them open, so that keys are changed while replicas with the one and the other run side by side.
 *
 * Both layers are AES-256-GCM with a random nonce (NIST SP 800-38D) over what the value is *about*: cluster, role, name, version. A
 * value that was moved to another place in the store, to another cluster, or back from an earlier version, can't be opened there.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { base64Decode, base64Encode, hexEncode, utf8Encode } from '../../shared/util/codec.ts';
import type { Random } from '../../shared/util/random.ts';
import type { SealedBox } from '../store/record-types.ts';

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
/** Of a key's digest, in its id: two keys of one name are told apart. */
const FINGERPRINT_LENGTH = 8;
const KEYS_MAX = 16;

const KEY_NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/;
export const KEY_FILE_RULE =
  'one key a line, as `berth secret keygen` writes it: a name of letters, digits, "_" and "-", a space, and 32 bytes in base64';

/** The keys as they are configured can't be used. The message says why, and never shows a key. */
export class EnvelopeKeysError extends Error {
  override readonly name = 'EnvelopeKeysError';
}

/** A sealed value can't be opened here. `unknown-key`: it is sealed under a key that isn't at hand. `damaged`: it isn't what was sealed. */
export class OpenError extends Error {
  override readonly name = 'OpenError';
  readonly trouble: 'unknown-key' | 'damaged';

  constructor(trouble: 'unknown-key' | 'damaged', message: string) {
    super(message);
    this.trouble = trouble;
  }
}

interface EnvelopeKey {
  /** Its name and the beginning of its digest, such as `2026-11.3fa9c2d1`. */
  readonly id: string;
  readonly key: CryptoKey;
}

export class Envelope {
  readonly #keys: readonly [EnvelopeKey, ...EnvelopeKey[]];
  readonly #random: Random;

  private constructor(keys: readonly [EnvelopeKey, ...EnvelopeKey[]], random: Random) {
    this.#keys = keys;
    this.#random = random;
  }

  /** From the text of a key file. Throws {@link EnvelopeKeysError}. */
  static async read(text: string, random: Random): Promise<Envelope> {
    const lines = text.split('\n').map((line, index) => ({ line: line.trim(), number: index + 1 }));
    const named = lines.filter(({ line }) => line !== '' && !line.startsWith('#')).map(readLine);
    if (named.length > KEYS_MAX) throw new EnvelopeKeysError(`there are ${named.length} keys; at most ${KEYS_MAX}`);
    const names = named.map(({ name }) => name);
    const twice = names.find((name, index) => names.indexOf(name) < index);
    if (twice !== undefined) throw new EnvelopeKeysError(`two keys have the name "${twice}"`);
    const [first, ...others] = await Promise.all(named.map(importNamed));
    if (first === undefined) throw new EnvelopeKeysError(`there is no key; it has to hold ${KEY_FILE_RULE}`);
    return new Envelope([first, ...others], random);
  }

  /** The id of the key that seals. */
  get current(): string {
    return this.#keys[0].id;
  }

  /** The ids of all keys, the one that seals first. */
  get keyIds(): readonly string[] {
    return this.#keys.map(({ id }) => id);
  }

  /** `about`: what the value is bound to, and has to be said again to open it. */
  async seal(value: Uint8Array<ArrayBuffer>, about: readonly string[]): Promise<SealedBox> {
    const { id, key } = this.#keys[0];
    const dataKey = this.#bytes(KEY_BYTES);
    const [wrapped, box] = await Promise.all([
      this.#encrypt(key, dataKey, bound('key', id, about)),
      this.#encrypt(await importKey(dataKey), value, bound('value', id, about)),
    ]);
    dataKey.fill(0);
    return { envelopeKey: id, wrappedKey: wrapped, box };
  }

  /** Throws {@link OpenError}. */
  async open({ envelopeKey, wrappedKey, box }: SealedBox, about: readonly string[]): Promise<Uint8Array<ArrayBuffer>> {
    const known = this.#keys.find(({ id }) => id === envelopeKey);
    if (known === undefined) throw new OpenError('unknown-key', unknownKey(envelopeKey, this.keyIds));
    const dataKey = await decrypt(known.key, wrappedKey, bound('key', envelopeKey, about));
    return decrypt(await importKey(dataKey), box, bound('value', envelopeKey, about));
  }

  opens({ envelopeKey }: Pick<SealedBox, 'envelopeKey'>): boolean {
    return this.#keys.some(({ id }) => id === envelopeKey);
  }

  async #encrypt(key: CryptoKey, plain: Uint8Array<ArrayBuffer>, additionalData: Uint8Array<ArrayBuffer>) {
    const iv = this.#bytes(NONCE_BYTES);
    const encrypted = await crypto.subtle.encrypt({ name: 'AES-GCM', iv, additionalData }, key, plain);
    const whole = new Uint8Array(iv.length + encrypted.byteLength);
    whole.set(iv);
    whole.set(new Uint8Array(encrypted), iv.length);
    return base64Encode(whole);
  }

  #bytes(length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#random.bytes(length));
  }
}

/** A line for a key file. */
export function newEnvelopeKey(name: string, random: Random): string {
  return `${name} ${base64Encode(random.bytes(KEY_BYTES))}`;
}

export function unknownKey(wanted: string, known: readonly string[]): string {
  const here = known.length === 0 ? 'this replica has none' : `this replica has ${known.join(', ')}`;
  return `it is sealed under the envelope key ${wanted}, and ${here}; give the replica that key with --envelope-key-file`;
}

function readLine({ line, number }: { readonly line: string; readonly number: number }) {
  const [name = '', encoded, ...rest] = line.split(/\s+/);
  const bytes = encoded === undefined || rest.length > 0 ? null : base64Decode(encoded);
  // The line itself is never shown: what is wrong with it may be one letter of a key.
  if (!KEY_NAME.test(name) || bytes === null || bytes.length !== KEY_BYTES) {
    throw new EnvelopeKeysError(`line ${number} is no key; it has to hold ${KEY_FILE_RULE}`);
  }
  return { name, bytes };
}

async function importNamed({ name, bytes }: { name: string; bytes: Uint8Array<ArrayBuffer> }): Promise<EnvelopeKey> {
  const fingerprint = hexEncode(sha256(bytes)).slice(0, FINGERPRINT_LENGTH);
  return { id: `${name}.${fingerprint}`, key: await importKey(bytes) };
}

function importKey(bytes: Uint8Array<ArrayBuffer>): Promise<CryptoKey> {
  return crypto.subtle.importKey('raw', bytes, 'AES-GCM', false, ['encrypt', 'decrypt']);
}

/** Of the two layers, neither can be taken for the other. */
function bound(layer: 'key' | 'value', envelopeKey: string, about: readonly string[]): Uint8Array<ArrayBuffer> {
  return utf8Encode(JSON.stringify(['berth', layer, envelopeKey, ...about]));
}

async function decrypt(
  key: CryptoKey,
  encoded: string,
  additionalData: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  const whole = base64Decode(encoded);
  try {
    if (whole === null || whole.length < NONCE_BYTES) throw new RangeError('too short');
    const iv = whole.subarray(0, NONCE_BYTES);
    const plain = await crypto.subtle.decrypt(
      { name: 'AES-GCM', iv, additionalData },
      key,
      whole.subarray(NONCE_BYTES),
    );
    return new Uint8Array(plain);
  } catch {
    const why = 'what is stored is not what was sealed: it was damaged, or put there from another place or version';
    throw new OpenError('damaged', why);
  }
}
