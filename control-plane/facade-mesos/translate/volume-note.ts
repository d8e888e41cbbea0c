/**
 * What of a persistent volume Berth has no place for: its id as its framework spells it, which may be any text, whose it is and where
 * it was to be seen when it was made. It stands with the volume, as one of its labels.
 */
import { z } from 'zod';
import { nameFor, type VolumeId } from '../../../shared/domain/ids.ts';

export interface VolumeNote {
  /** `disk.persistence.id`. */
  readonly id: string;
  readonly principal: string | null;
  readonly containerPath: string;
}

const NOTE_LABEL = 'mesos';

const noteSchema = z.strictObject({
  id: z.string(),
  principal: z.string().nullable(),
  containerPath: z.string(),
});

export function volumeLabels(note: VolumeNote): Record<string, string> {
  return { [NOTE_LABEL]: JSON.stringify(note) };
}

/** Of one that was made without the door: named as Berth names it. */
export function volumeNoteOf({
  id,
  by,
  labels,
}: {
  readonly id: VolumeId;
  readonly by: string;
  readonly labels: Readonly<Record<string, string>>;
}): VolumeNote {
  const plain = { id, principal: by, containerPath: id };
  const text = Object.hasOwn(labels, NOTE_LABEL) ? labels[NOTE_LABEL] : undefined;
  if (text === undefined) return plain;
  try {
    return noteSchema.safeParse(JSON.parse(text)).data ?? plain;
  } catch {
    return plain;
  }
}

/** What Berth calls a volume of that id: names and ids of volumes are spelled alike. */
export function volumeIdFor(persistenceId: string): VolumeId {
  return nameFor(persistenceId);
}
