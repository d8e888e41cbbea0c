/**
 * What the door keeps of frameworks and tasks because Berth has no place for it: one annotation of each, as JSON. One that is absent
 * or broken counts as empty, so that frameworks and tasks that came through other doors are shown as well. Pure.
 */
import { z } from 'zod';
import { ANNOTATIONS_LENGTH_MAX } from '../../../shared/protocol/framework.ts';
import { WIRE_TASK_STATES } from '../wire/event.ts';
import { labelSchema } from '../wire/values.ts';

/** Under which both are kept. */
const KEY = 'mesos';

const jsonObject = z.record(z.string(), z.unknown());

const frameworkNotesSchema = z.object({
  /** The FrameworkInfo as it was given, without its id and its roles. */
  info: jsonObject.default({}),
  /** How the framework spells its roles, by Berth's paths. */
  roles: z.record(z.string(), z.string()).default({}),
  /** Its id, where it brought along one that isn't of Berth's shape. */
  id: z.string().optional(),
});

const taskNotesSchema = z.object({
  name: z.string().optional(),
  /** Where it was to run; one that is refused at its launch has no node. */
  agent_id: z.string().optional(),
  executor_id: z.string().optional(),
  /** It runs other tasks, and nobody is told of it as a task. */
  is_executor: z.boolean().optional(),
  labels: z.array(labelSchema).optional(),
  discovery: jsonObject.optional(),
  container: jsonObject.optional(),
  /** Without its environment, which may hold secrets. */
  command: jsonObject.optional(),
  health_check: jsonObject.optional(),
  executor: jsonObject.optional(),
  data: z.string().optional(),
  /** Of what is said once and stands on no record: how Mesos's master calls it. */
  told: z.object({ state: z.enum(WIRE_TASK_STATES), reason: z.string().optional() }).optional(),
});

export type FrameworkNotes = z.output<typeof frameworkNotesSchema>;
export type TaskNotes = z.output<typeof taskNotesSchema>;

export type Annotations = Readonly<Record<string, string>>;

/** Null: there is more than can be kept. */
export function frameworkAnnotations(notes: FrameworkNotes): Record<string, string> | null {
  return annotationsOf(notes, ANNOTATIONS_LENGTH_MAX.framework);
}

/** Null: there is more than can be kept. */
export function taskAnnotations(notes: TaskNotes): Record<string, string> | null {
  return annotationsOf(notes, ANNOTATIONS_LENGTH_MAX.task);
}

export function frameworkNotesOf(annotations: Annotations): FrameworkNotes {
  return notesOf(frameworkNotesSchema, annotations) ?? { info: {}, roles: {} };
}

export function taskNotesOf(annotations: Annotations): TaskNotes {
  return notesOf(taskNotesSchema, annotations) ?? {};
}

function annotationsOf(notes: FrameworkNotes | TaskNotes, lengthMax: number): Record<string, string> | null {
  const annotations = { [KEY]: JSON.stringify(notes) };
  return JSON.stringify(annotations).length <= lengthMax ? annotations : null;
}

function notesOf<S extends z.ZodType>(schema: S, annotations: Annotations): z.output<S> | null {
  const text = Object.hasOwn(annotations, KEY) ? annotations[KEY] : undefined;
  if (text === undefined) return null;
  try {
    return schema.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

/** Whether a client of this door speaks for it. */
export function isOfWire(annotations: Annotations): boolean {
  return Object.hasOwn(annotations, KEY);
}

/** The id by which the client knows the framework. */
export function wireFrameworkId({
  id,
  annotations,
}: {
  readonly id: string;
  readonly annotations: Annotations;
}): string {
  return frameworkNotesOf(annotations).id ?? id;
}
