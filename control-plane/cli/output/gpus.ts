/** The GPUs of a node, and those of a task, as a person reads them. */
import type { NodeView, TaskView } from '../../../shared/protocol/views.ts';
import type { Paint } from './paint.ts';
import { renderTable } from './table.ts';
import { counted, mebibytesText } from './text.ts';

/** Empty for a node that names none. */
export function gpuTable(
  { gpus, missingGpus }: NodeView,
  options: { readonly paint: Paint; readonly width: number | null },
): string {
  const missing = missingGpus.map((gpu) => ({
    ...gpu,
    held: true,
    product: 'no longer there',
    memoryMiB: 0,
    driver: '-',
  }));
  if (gpus.length + missing.length === 0) return '';
  const table = renderTable(
    [
      { header: 'GPU', value: (gpu) => gpu.id, shrinks: true },
      { header: 'PRODUCT', value: (gpu) => gpu.product, shrinks: true },
      {
        header: 'MEMORY',
        value: ({ memoryMiB }) => (memoryMiB === 0 ? '-' : mebibytesText(memoryMiB)),
        align: 'right',
      },
      { header: 'DRIVER', value: (gpu) => gpu.driver },
      { header: 'TASK', value: (gpu) => gpu.task ?? (gpu.held ? 'of another role' : '-'), shrinks: true },
    ],
    [...gpus, ...missing],
    options,
  );
  return `\n${table}${missing.length === 0 ? '' : `${options.paint('red', missingText(missing.length))}\n`}`;
}

function missingText(count: number): string {
  return `Tasks hold ${counted(count, 'GPU')} that the node no longer has.`;
}

export function gpuPairs({ gpus }: TaskView): (readonly [string, string])[] {
  return gpus.length === 0 ? [] : [['GPUs', gpus.join(' ')]];
}
