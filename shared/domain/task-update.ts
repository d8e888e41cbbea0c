/**
 * What a framework is told about the tasks that it has launched. Nothing is kept for it beside the task itself: its history says
 * what there is to tell, and how much of that was acknowledged says what is told next. One thing at a time and in order, so that
 * whoever tells it can be another replica than the one before.
 */
import type { TaskId } from './ids.ts';
import { TASK_REASONS, type Task, type TaskState } from './task.ts';

/**
 * The place in the task's history of the transition that its framework is told next, until it acknowledges it; null: it knows all.
 * That a task holds a place is the framework's own doing and isn't told.
 */
export function outstandingUpdate({ history, framework }: Pick<Task, 'history' | 'framework'>): number | null {
  if (framework === null) return null;
  const next = history.findIndex(({ state }, place) => place >= framework.acknowledged && isTold(state));
  return next < 0 ? null : next;
}

function isTold(state: TaskState): boolean {
  return state !== 'pending' && state !== 'staging';
}

/**
 * Why a framework is told of a task. `health-changed`: it runs on, and works now, or doesn't any more, or that isn't known any more.
 * That is no step of its life and stands in no history: it is told as it is, not each time that it was different.
 */
export const UPDATE_REASONS = [...TASK_REASONS, 'health-changed'] as const;
export type UpdateReason = (typeof UPDATE_REASONS)[number];

/** What the acknowledgement of an update came to. `early`: one before it isn't acknowledged yet. `known`: it was already. */
export const ACKNOWLEDGEMENTS = ['acknowledged', 'known', 'early', 'unknown'] as const;
export type Acknowledgement = (typeof ACKNOWLEDGEMENTS)[number];

/** The task once the update at `place` of its history was acknowledged; the same one where that changes nothing. */
export function acknowledge(task: Task, place: number): { readonly task: Task; readonly result: Acknowledgement } {
  const { framework } = task;
  if (framework === null || place >= task.history.length) return { task, result: 'unknown' };
  if (place < framework.acknowledged) return { task, result: 'known' };
  const outstanding = outstandingUpdate(task);
  if (outstanding === null || place < outstanding) return { task, result: 'known' };
  if (place > outstanding) return { task, result: 'early' };
  return { task: { ...task, framework: { ...framework, acknowledged: place + 1 } }, result: 'acknowledged' };
}

/** By which a framework acknowledges an update. */
export function updateId(task: TaskId, place: number): string {
  return `${task}:${place}`;
}

export const UPDATE_ID_PATTERN = /^([a-z0-9][a-z0-9-]{0,249}):(0|[1-9][0-9]{0,5})$/;

/** Null for what is no update's id. */
export function parseUpdateId(id: string): { readonly task: TaskId; readonly place: number } | null {
  const [, task, place] = UPDATE_ID_PATTERN.exec(id) ?? [];
  return task === undefined ? null : { task, place: Number(place) };
}
