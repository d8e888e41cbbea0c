/** What operations become: the input of the native API, checked as that checks it, with its defaults filled in. */
import { type AcceptInput, type AcceptRequest, operationSchema } from '../../../shared/protocol/offers.ts';
import { WireFault } from './wire-fault.ts';

export type NativeOperation = AcceptRequest['operations'][number];
export type NativeOperationInput = NonNullable<AcceptInput['operations']>[number];

/** A task before its defaults are filled in. */
export type LaunchedTask = Extract<NativeOperationInput, { type: 'launch' }>['tasks'][number];
export type CheckedTask = Extract<NativeOperation, { type: 'launch' }>['tasks'][number];

/** Throws for what goes beyond Berth's own bounds, with the name of its field. */
export function checkedOperation(operation: NativeOperationInput): NativeOperation {
  const parsed = operationSchema.safeParse(operation);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new WireFault(`Operation can't be carried out as it is told: ${issue?.path.join('.')} ${issue?.message}`);
}

export function checkedTask(task: LaunchedTask): CheckedTask {
  const parsed = operationSchema.safeParse({ type: 'launch', tasks: [task] });
  if (parsed.success && parsed.data.type === 'launch' && parsed.data.tasks[0] !== undefined)
    return parsed.data.tasks[0];
  const [issue] = parsed.error?.issues ?? [];
  throw new WireFault(`Task can't be run as it is told: ${issue?.path.slice(2).join('.')} ${issue?.message}`);
}
