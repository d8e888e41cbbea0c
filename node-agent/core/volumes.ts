/** Which of the volumes that are to be deleted nothing uses, nor will. */
import type { VolumeId } from '../../shared/domain/ids.ts';
import { volumesOf } from '../../shared/domain/job.ts';
import { isTerminal } from '../../shared/domain/task.ts';
import type { AssignedTask } from '../../shared/protocol/agent.ts';
import type { Containers, LocalTasks } from './model.ts';

export interface VolumeUse {
  /** What the journal knows: a task may be about to get its container. */
  readonly tasks: LocalTasks;
  /** What the engine has, of tasks that nobody knows any more too. */
  readonly containers: Containers;
  readonly assigned: Iterable<AssignedTask>;
}

export function unusedVolumes(removing: Iterable<VolumeId>, { tasks, containers, assigned }: VolumeUse): VolumeId[] {
  const used = new Set<VolumeId>();
  const use = (volumes: readonly VolumeId[]) => {
    for (const id of volumes) used.add(id);
  };
  for (const { phase, origin } of tasks.values())
    if (phase !== 'ended' && origin !== null) use(volumesOf(origin.group, origin.index));
  for (const { state, volumes = [] } of containers.values()) if (state !== 'exited') use(volumes);
  for (const { id, state, group, index } of assigned) {
    // What an assignment says of a state is of when it was made; the journal knows of later ends.
    if (!isTerminal(state) && tasks.get(id)?.phase !== 'ended') use(volumesOf(group, index));
  }
  return [...removing].filter((id) => !used.has(id));
}
