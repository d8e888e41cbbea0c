/** Text as the gateway carries it: bytes in base64. What is stored is nearly always ASCII, and that takes a short way. */
import { utf8Encode } from '../../../shared/util/codec.ts';

// biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII is meant.
const ASCII = /^[\u0000-\u007f]*$/;

/** As many bytes as are turned into arguments of one call. */
const CHUNK_BYTES = 8192;

/** Somebody else's bytes that aren't UTF-8 become replacement characters: one bad value must not hide all others. */
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

export function base64OfText(text: string): string {
  return ASCII.test(text) ? btoa(text) : base64Of(utf8Encode(text));
}

export function base64Of(bytes: Uint8Array): string {
  let binary = '';
  for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
    binary += String.fromCharCode(...bytes.subarray(start, start + CHUNK_BYTES));
  }
  return btoa(binary);
}

/** Throws a DOMException on what isn't base64. */
export function textOfBase64(encoded: string): string {
  const binary = atob(encoded);
  if (ASCII.test(binary)) return binary;
  return decoder.decode(Uint8Array.from(binary, (character) => character.charCodeAt(0)));
}
