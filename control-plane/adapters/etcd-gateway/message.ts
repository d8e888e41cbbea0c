/**
 * One protocol message as JSON, and the rules of that mapping in one place: whatever is zero, false or empty is left out, 64-bit
 * integers are strings, bytes are base64. Names come as in the protocol (`mod_revision`) or in camel case (`modRevision`),
 * depending on how a gateway was built; both are read.
 */
import { textOfBase64 } from './base64.ts';

/** An answer that doesn't have the protocol's form: something else than etcd's gateway sent it. */
export class MalformedReplyError extends Error {
  override readonly name = 'MalformedReplyError';
}

type Fields = Readonly<Record<string, unknown>>;

const NOTHING: Fields = {};
const INTEGER = /^-?\d{1,20}$/;

export class Message {
  readonly #fields: Fields;

  private constructor(fields: Fields) {
    this.#fields = fields;
  }

  /** Throws {@link MalformedReplyError} on anything but a JSON object. */
  static parse(json: string): Message {
    try {
      return Message.#of(JSON.parse(json), 'the reply');
    } catch (cause) {
      if (cause instanceof MalformedReplyError) throw cause;
      throw new MalformedReplyError(`not JSON, but ${JSON.stringify(json.slice(0, 100))}`, { cause });
    }
  }

  static #of(value: unknown, what: string): Message {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return new Message(value as Fields);
    throw new MalformedReplyError(`${what} is no object, but ${JSON.stringify(value)?.slice(0, 100)}`);
  }

  has(name: string): boolean {
    return this.#field(name) !== undefined;
  }

  text(name: string): string {
    const value = this.#field(name) ?? '';
    if (typeof value === 'string') return value;
    throw malformed(name, 'text', value);
  }

  flag(name: string): boolean {
    const value = this.#field(name) ?? false;
    if (typeof value === 'boolean') return value;
    throw malformed(name, 'true or false', value);
  }

  /** A 64-bit integer whose size is of no matter here, such as an id. */
  digits(name: string): string {
    const value = this.#field(name) ?? '0';
    if (typeof value === 'string' && INTEGER.test(value)) return value;
    if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value);
    throw malformed(name, 'an integer', value);
  }

  /** A 64-bit integer to count with. Throws {@link MalformedReplyError} on one that a number can't hold exactly. */
  integer(name: string): number {
    const number = Number(this.digits(name));
    if (Number.isSafeInteger(number)) return number;
    throw malformed(name, 'an integer below 2^53', this.digits(name));
  }

  /** Bytes that are text. */
  decoded(name: string): string {
    const encoded = this.text(name);
    try {
      return textOfBase64(encoded);
    } catch {
      throw malformed(name, 'base64', encoded);
    }
  }

  /** Without any fields where it is absent. */
  message(name: string): Message {
    return Message.#of(this.#field(name) ?? NOTHING, name);
  }

  messages(name: string): readonly Message[] {
    const value = this.#field(name) ?? [];
    if (Array.isArray(value)) return value.map((each: unknown) => Message.#of(each, name));
    throw malformed(name, 'a list', value);
  }

  /** Of an enumeration, whose members come by name or by number. */
  isOneOf(name: string, members: readonly (string | number)[]): boolean {
    const value = this.#field(name);
    return members.some((member) => member === value);
  }

  /** The field where it is an object, and nothing else. */
  nested(name: string): Message | null {
    const value = this.#field(name);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? this.message(name) : null;
  }

  #field(name: string): unknown {
    return this.#fields[name] ?? this.#fields[camelCase(name)] ?? undefined;
  }
}

function malformed(name: string, expected: string, value: unknown): MalformedReplyError {
  return new MalformedReplyError(`${name} is not ${expected}, but ${JSON.stringify(value)?.slice(0, 100)}`);
}

function camelCase(name: string): string {
  return name.includes('_') ? name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()) : name;
}
