/** Keys in the order of their bytes, each with its values over the revisions. */
import { utf8Encode } from '../../../shared/util/codec.ts';
import type { KeyValue } from '../../store/contract.ts';

interface Version {
  readonly revision: number;
  /** Null: the key was deleted at this revision. */
  readonly keyValue: KeyValue | null;
}

export interface KeyRange {
  readonly prefix: string;
  readonly after: string | null;
  readonly revision: number;
  readonly limit: number;
}

export class VersionedKeys {
  readonly #versions = new Map<string, Version[]>();
  /** Every key that has a version, sorted. */
  readonly #sorted: string[] = [];

  current(key: string): KeyValue | null {
    return this.#versions.get(key)?.at(-1)?.keyValue ?? null;
  }

  set(key: string, revision: number, keyValue: KeyValue | null): void {
    const versions = this.#versions.get(key);
    if (versions !== undefined) {
      versions.push({ revision, keyValue });
      return;
    }
    this.#versions.set(key, [{ revision, keyValue }]);
    this.#sorted.splice(this.#position(key), 0, key);
  }

  range({ prefix, after, revision, limit }: KeyRange): KeyValue[] {
    const found: KeyValue[] = [];
    const from = after !== null && byBytes(after, prefix) >= 0 ? after : prefix;
    for (let at = this.#position(from); at < this.#sorted.length && found.length < limit; at++) {
      const key = this.#sorted[at] ?? '';
      if (!key.startsWith(prefix)) break;
      const keyValue = key === after ? null : this.#at(key, revision);
      if (keyValue !== null) found.push(keyValue);
    }
    return found;
  }

  /** Forgets what can't be read any more once nothing before `revision` can be. */
  compact(revision: number): void {
    for (const [key, versions] of this.#versions) {
      const standing = versions.findLastIndex((version) => version.revision <= revision);
      const first = versions[standing]?.keyValue === null ? standing + 1 : Math.max(0, standing);
      if (first === versions.length) this.#remove(key);
      else if (first > 0) this.#versions.set(key, versions.slice(first));
    }
  }

  /** Bytes of all keys and values that are still known. */
  sizeBytes(): number {
    let bytes = 0;
    for (const [key, versions] of this.#versions) {
      for (const { keyValue } of versions) bytes += utf8Encode(key + (keyValue?.value ?? '')).length;
    }
    return bytes;
  }

  #at(key: string, revision: number): KeyValue | null {
    return this.#versions.get(key)?.findLast((version) => version.revision <= revision)?.keyValue ?? null;
  }

  #remove(key: string): void {
    this.#versions.delete(key);
    this.#sorted.splice(this.#position(key), 1);
  }

  /** Where `key` is, or would be inserted. */
  #position(key: string): number {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (byBytes(this.#sorted[middle] ?? '', key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Orders texts as their UTF-8 bytes are ordered, which is the order of their code points. */
export function byBytes(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const left = a.charCodeAt(at);
    const right = b.charCodeAt(at);
    if (left !== right) return rank(left) - rank(right);
  }
  return a.length - b.length;
}

/** UTF-16 puts surrogates, which spell the highest code points, below U+E000 to U+FFFF; UTF-8 puts them above. */
function rank(codeUnit: number): number {
  if (codeUnit < 0xd800) return codeUnit;
  return codeUnit < 0xe000 ? codeUnit + 0x2000 : codeUnit - 0x800;
}
