/**
 * How a task is told which GPUs are its own. In a container the engine lets in no other device, given the request by UUID; but an
 * image may ask for all GPUs by a variable of its own, and engines with NVIDIA's runtime as their default heed that. A process sees
 * every device of the machine: what keeps it to its own is what CUDA makes of its environment.
 */
import type { AssignedTask } from '../../shared/protocol/agent.ts';

/** Wins over what the image, and the job, say. Nothing is said where the node only states how many GPUs it has. */
export function containerGpuEnvironment(assigned: AssignedTask): Readonly<Record<string, string>> {
  const ids = assigned.devices?.join(',') ?? '';
  if (ids === '') return assigned.group.resources.gpus > 0 ? {} : { BERTH_GPUS: '', NVIDIA_VISIBLE_DEVICES: 'void' };
  return { BERTH_GPUS: ids, NVIDIA_VISIBLE_DEVICES: ids };
}

/** The same for a task without a container. */
export function processGpuEnvironment(assigned: AssignedTask): Readonly<Record<string, string>> {
  const environment = containerGpuEnvironment(assigned);
  const { BERTH_GPUS: ids } = environment;
  return ids === undefined ? environment : { ...environment, CUDA_VISIBLE_DEVICES: ids };
}
