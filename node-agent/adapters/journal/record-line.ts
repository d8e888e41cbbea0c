/**
 * One record as one line: eight hexadecimal digits of checksum, a space, JSON. A crash in the middle of a write leaves a line
 * that fails its checksum, and only that one.
 */
import type { JournalRecord } from '../../core/records.ts';

const CHECKSUM_LENGTH = 8;

export function encodeLine(record: JournalRecord): string {
  const json = JSON.stringify(record);
  return `${checksum(json)} ${json}\n`;
}

/** Null: the line is damaged. */
export function decodeLine(line: string): JournalRecord | null {
  const json = line.slice(CHECKSUM_LENGTH + 1);
  if (line.charAt(CHECKSUM_LENGTH) !== ' ' || line.slice(0, CHECKSUM_LENGTH) !== checksum(json)) return null;
  return JSON.parse(json) as JournalRecord;
}

/** FNV-1a over UTF-16 units: enough to notice a torn write, and no library. */
function checksum(text: string): string {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash ^= text.charCodeAt(index);
    hash = Math.imul(hash, 0x01000193);
  }
  return (hash >>> 0).toString(16).padStart(CHECKSUM_LENGTH, '0');
}
