/** Keeps a pass, and each of its actions, small enough to be committed without holding everything else up. */
import type { PassAction, PassPlan } from './actions.ts';

/** What doesn't fit into one pass is left to the next, which is asked for at once. */
export const PASS_ACTIONS_MAX = 500;

/** The actions for each subject in turn, up to {@link PASS_ACTIONS_MAX}. */
export function bounded<T>(
  subjects: readonly T[],
  actionsFor: (subject: T) => readonly PassAction[],
  { wakeAtMs, nowMs }: { wakeAtMs: number | null; nowMs: number },
): PassPlan {
  const actions: PassAction[] = [];
  for (const subject of subjects) {
    actions.push(...actionsFor(subject));
    if (actions.length > PASS_ACTIONS_MAX) return { actions: actions.slice(0, PASS_ACTIONS_MAX), wakeAtMs: nowMs };
  }
  return { actions, wakeAtMs };
}

/** The items in their order, at most `size` at a time. */
export function chunks<T>(items: readonly T[], size: number): T[][] {
  const count = Math.ceil(items.length / size);
  return Array.from({ length: count }, (_, place) => items.slice(place * size, (place + 1) * size));
}
