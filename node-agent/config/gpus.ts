/** Which of the machine's GPUs tasks may be given: what was found, within what the operator names. */
import type { GpuDevice } from '../../shared/domain/node.ts';

export interface FoundGpu extends GpuDevice {
  /** As the driver numbers it now: `0` for a card, `0:1` for an instance on it. Another one after a reboot, perhaps. */
  readonly place: string;
}

/**
 * What the driver says. `absent`: the machine has no NVIDIA driver, so nobody is told anything. `failed`: it has one that can't be
 * asked now, and what there is isn't known. `complaints`: what is wrong with some of what was found, each in a sentence.
 */
export type GpuReport =
  | { readonly type: 'absent' }
  | { readonly type: 'failed'; readonly why: string }
  | { readonly type: 'found'; readonly gpus: readonly FoundGpu[]; readonly complaints: readonly string[] };

/** Of a list, each names a card or an instance by its UUID or its place; a card stands for all instances on it. */
export type GpuChoice = 'all' | 'none' | readonly string[];

export interface ChosenGpus {
  readonly gpus: readonly GpuDevice[];
  /** What of the choice isn't there. */
  readonly unknown: readonly string[];
}

export function chooseGpus(report: GpuReport, choice: GpuChoice): ChosenGpus {
  const found = report.type === 'found' ? report.gpus : [];
  if (choice === 'all') return { gpus: found.map(deviceOf), unknown: [] };
  const names = choice === 'none' ? [] : choice;
  return {
    gpus: found.filter((gpu) => names.some((name) => isCalled(gpu, name))).map(deviceOf),
    unknown: names.filter((name) => !found.some((gpu) => isCalled(gpu, name))),
  };
}

function isCalled({ id, place, parent }: FoundGpu, name: string): boolean {
  return name === id || name === place || name === parent || (parent !== null && name === place.split(':')[0]);
}

function deviceOf({ id, product, memoryMiB, driver, parent }: FoundGpu): GpuDevice {
  return { id, product, memoryMiB, driver, parent };
}

/** For people who have named one that isn't there. */
export function describeGpus(gpus: readonly FoundGpu[]): string {
  return gpus.length === 0 ? 'none' : gpus.map(({ place, id, product }) => `${place} (${id}, ${product})`).join(', ');
}
