/**
 * When a node is to be taken out of service, and what the frameworks that have to do with it say to that. Nothing is stopped by it: it
 * says in good time what is coming, and while it lasts the node is given nothing new.
 */
import type { FrameworkId, NodeId } from './ids.ts';
import type { Ledger } from './ledger.ts';

export const MAINTENANCE_ANSWERS = ['accepts', 'declines'] as const;

export interface MaintenanceAnswer {
  readonly answer: (typeof MAINTENANCE_ANSWERS)[number];
  readonly atMs: number;
  /** From then on the framework is told of the window again. */
  readonly askAgainAtMs: number;
}

/** What a window says, whoever has set it. */
export interface MaintenanceTime {
  readonly startsAtMs: number;
  /** Null: nobody knows for how long, so it lasts until it is taken back. */
  readonly durationMs: number | null;
}

export interface MaintenanceWindow extends MaintenanceTime {
  /** Never used again: a window that is changed is another one, and has to be answered anew. */
  readonly id: string;
  readonly node: NodeId;
  readonly setAtMs: number;
  readonly setBy: string;
  /**
   * When its begin was noted, with the ledger put again so that nothing decided before can come after; null: not yet. From then on the
   * node is out of service for everybody, whatever their clocks show, until the window is taken off.
   */
  readonly begunAtMs: number | null;
  readonly answers: Readonly<Record<FrameworkId, MaintenanceAnswer>>;
}

/** A hundred years. */
export const MAINTENANCE_DURATION_MS_MAX = 100 * 365 * 24 * 3600 * 1000;

/** Frameworks whose answers one window keeps. */
export const MAINTENANCE_ANSWERS_MAX = 2000;

/** Infinite where nobody knows. */
export function endsAtMs({ startsAtMs, durationMs }: MaintenanceTime): number {
  return durationMs === null ? Number.POSITIVE_INFINITY : startsAtMs + durationMs;
}

export function isOver(window: MaintenanceTime, nowMs: number): boolean {
  return endsAtMs(window) <= nowMs;
}

/** Whether the node is out of service: from the start of the window until before its end, and for as long as its begin stands noted. */
export function isRunning(window: MaintenanceWindow | undefined, nowMs: number): boolean {
  if (window === undefined) return false;
  return window.begunAtMs !== null || (window.startsAtMs <= nowMs && !isOver(window, nowMs));
}

/** When the window begins or ends next, by the clock; infinite where it doesn't any more. */
export function nextTurnMs(window: MaintenanceWindow, nowMs: number): number {
  if (isOver(window, nowMs)) return Number.POSITIVE_INFINITY;
  return isRunning(window, nowMs) ? endsAtMs(window) : window.startsAtMs;
}

/** Frameworks that have a task or an offer on the node, so that the window is their concern. */
export function frameworksOn({ entries, offers }: Pick<Ledger, 'entries' | 'offers'>): ReadonlySet<FrameworkId> {
  const there = new Set<FrameworkId>();
  for (const { framework } of Object.values(entries)) if (framework !== null) there.add(framework);
  for (const { framework } of Object.values(offers)) there.add(framework);
  return there;
}

/**
 * From when on the framework is to be told of the window: at once unless it has answered, else once more when it said. Infinite: not at
 * all, for it is over.
 */
export function noticeDueMs(window: MaintenanceWindow, framework: FrameworkId, nowMs: number): number {
  if (isOver(window, nowMs)) return Number.POSITIVE_INFINITY;
  return window.answers[framework]?.askAgainAtMs ?? Number.NEGATIVE_INFINITY;
}

/** With the framework's answer in the place of an earlier one, and without those of frameworks that are `forgotten`. */
export function withAnswer(
  window: MaintenanceWindow,
  framework: FrameworkId,
  { answer, isForgotten }: { readonly answer: MaintenanceAnswer; readonly isForgotten: (id: FrameworkId) => boolean },
): MaintenanceWindow {
  const kept = Object.entries(window.answers).filter(([id]) => id !== framework && !isForgotten(id));
  return { ...window, answers: Object.fromEntries([...kept, [framework, answer]]) };
}
