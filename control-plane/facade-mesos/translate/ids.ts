/** The ids that clients see, made from Berth's own and read back. Pure. */
import { sha256 } from '@noble/hashes/sha2.js';
import { FRAMEWORK_ID_PATTERN, type FrameworkId, type TaskId } from '../../../shared/domain/ids.ts';
import { parseUpdateId } from '../../../shared/domain/task-update.ts';
import { hexEncode, utf8Encode } from '../../../shared/util/codec.ts';

const FRAMEWORK_DIGEST_LENGTH = 24;
const TASK_DIGEST_BYTES = 12;
const UUID_BYTES = 16;

/**
 * The framework that a client means. Berth's own ids are themselves; one of another shape, which a framework brings along from a
 * Mesos that is no more, stands for the same framework on every replica and at any time.
 */
export function frameworkIdOf(wireId: string): FrameworkId {
  if (FRAMEWORK_ID_PATTERN.test(wireId)) return wireId;
  const digest = BigInt(`0x${hexEncode(sha256(utf8Encode(wireId)))}`).toString(36);
  return `f${digest.padStart(FRAMEWORK_DIGEST_LENGTH, '0').slice(0, FRAMEWORK_DIGEST_LENGTH)}`;
}

/** What a framework's calls carry for as long as it is in this session: any replica can tell it from that of another session. */
export function streamIdOf(framework: FrameworkId, session: number): string {
  const hex = hexEncode(sha256(utf8Encode(`stream ${framework} ${session}`)));
  const parts = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)];
  return parts.join('-');
}

/**
 * By which an update is acknowledged, as 16 bytes in base64: which task it is of, as a digest, and its place in the task's history.
 * Null for what is no update's id.
 */
export function updateUuidOf(updateId: string): string | null {
  const update = parseUpdateId(updateId);
  if (update === null) return null;
  const bytes = new Uint8Array(UUID_BYTES);
  bytes.set(taskDigest(update.task));
  new DataView(bytes.buffer).setUint32(TASK_DIGEST_BYTES, update.place);
  return base64Of(bytes);
}

/** The place of the update with this uuid in the history of the task; null: it is of another task. */
export function placeOfUuid(task: TaskId, uuid: string): number | null {
  const bytes = bytesOfUuid(uuid);
  if (bytes === null) return null;
  const digest = taskDigest(task);
  if (!digest.every((byte, index) => byte === bytes[index])) return null;
  return new DataView(bytes.buffer).getUint32(TASK_DIGEST_BYTES);
}

/** Null for what isn't 16 bytes in base64. */
export function bytesOfUuid(uuid: string): Uint8Array<ArrayBuffer> | null {
  try {
    const bytes = Uint8Array.from(atob(uuid), (character) => character.charCodeAt(0));
    return bytes.length === UUID_BYTES ? bytes : null;
  } catch {
    return null;
  }
}

function taskDigest(task: TaskId): Uint8Array {
  return sha256(utf8Encode(task)).slice(0, TASK_DIGEST_BYTES);
}

export function base64Of(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}

/** Of a text, by its bytes in UTF-8. */
export function base64OfText(text: string): string {
  return base64Of(utf8Encode(text));
}

/** By which the status of an operation is acknowledged: 16 bytes that follow from its id. */
export function operationUuidOf(id: string): string {
  return base64Of(sha256(utf8Encode(`operation ${id}`)).slice(0, UUID_BYTES));
}
