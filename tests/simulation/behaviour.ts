/**
 * What a simulated container does, written into its task's environment by whoever submits the job and read by the engine
 * that runs it: so the control plane and the agent know as little about it as about a real program.
 */
import type { TaskGroup } from '../../shared/domain/job.ts';

export interface Behaviour {
  /** It ends by itself after so long; null: never. */
  readonly lifeMs: number | null;
  readonly exitCode: number;
  /** Of so many runs in a hundred the exit code is 1 instead. */
  readonly failurePercent: number;
  /** It ends so long after SIGTERM; null: it ignores the signal. */
  readonly stopMs: number | null;
  /** It takes so long to end after SIGKILL, as what waits for a dead disk does; otherwise it ends at once. */
  readonly killMs?: number;
  /** From so long after its start it fails its checks; absent: it never does. */
  readonly failsChecksAfterMs?: number;
  /** The engine refuses to start it. */
  readonly isUnusable: boolean;
}

/** Images are told apart by name: these exist everywhere, those have to be pulled, and the last ones nobody has. */
export const IMAGES = ['local/tool:1', 'remote/tool:1', 'remote/model:2', 'absent/tool:1'] as const;

export function isLocalImage(image: string): boolean {
  return image.startsWith('local/');
}

export function isPullable(image: string): boolean {
  return image.startsWith('remote/');
}

export function environmentOf(behaviour: Behaviour): Record<string, string> {
  return { BEHAVIOUR: JSON.stringify(behaviour) };
}

export function behaviourOf(group: TaskGroup): Behaviour {
  const text = group.env['BEHAVIOUR'];
  if (text === undefined) throw new TypeError('a simulated group says nothing of its behaviour');
  return JSON.parse(text) as Behaviour;
}
