/** Has a framework's stream say what stands on no record. */
import type { FrameworkId } from '../../../shared/domain/ids.ts';
import { type FrameworkEvent, launchedNameSchema, TOLD_MAX } from '../../../shared/protocol/framework.ts';
import type { FacadeParts } from '../parts.ts';

/**
 * A stream takes so much at a time. What it doesn't take is asked about instead, which takes less room: of a task that never came to
 * be, the answer is that nobody knows it.
 */
export async function tellEvents(
  { frameworkStreams }: FacadeParts,
  framework: FrameworkId,
  events: readonly FrameworkEvent[],
): Promise<void> {
  for (let from = 0; from < events.length; from += TOLD_MAX) {
    const some = events.slice(from, from + TOLD_MAX);
    if (await frameworkStreams.tell(framework, some)) continue;
    const names = some.flatMap((event) => (event.type === 'update' ? event.update.task : [])).filter(isTaskName);
    if (names.length > 0) await frameworkStreams.ask(framework, names);
  }
}

/** Whether there may be a task of that name at all. */
export function isTaskName(name: string): boolean {
  return launchedNameSchema.safeParse(name).success;
}
