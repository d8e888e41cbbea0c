/**
 * What the control plane doesn't list although it runs here. After the state was restored from an older snapshot (a higher
 * incarnation) that proves nothing, so what runs from before is kept aside until somebody decides.
 */
import type { Assignment, LocalTask } from './model.ts';

/** Its place is gone: the control plane itself has said so, in the present session. */
export function isUnassigned(
  local: LocalTask,
  { assignment, session }: { readonly assignment: Assignment | null; readonly session: 'live' | 'offline' | 'refused' },
): boolean {
  if (assignment === null || assignment.tasks.has(local.id) || session !== 'live') return false;
  return !isKeptAside(local, assignment);
}

/** Why somebody has asked for the end of what is kept aside. Whoever asked knew that the state doesn't list it. */
export function keptAsideStop(local: LocalTask, assignment: Assignment | null): string | undefined {
  if (assignment === null || !isKeptAside(local, assignment)) return undefined;
  return assignment.keptAsideStops.get(local.id);
}

export function isKeptAside(local: LocalTask, assignment: Assignment): boolean {
  return (
    local.phase !== 'ended' &&
    !assignment.tasks.has(local.id) &&
    local.incarnation !== null &&
    local.incarnation < assignment.position.incarnation
  );
}
