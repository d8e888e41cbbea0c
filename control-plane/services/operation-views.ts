/** How operations with names are told and answered about. */
import type { FinishedOperation } from '../../shared/domain/finished-operation.ts';
import type { OperationStatusView } from '../../shared/protocol/framework.ts';
import { timeView } from './views.ts';

export function finishedView({ id, name, node, atMs }: FinishedOperation): OperationStatusView {
  return {
    id,
    operation: name,
    state: 'finished',
    node,
    at: timeView(atMs),
    message: 'it was carried out',
    reconciliation: false,
  };
}

/** An answer, which wants no acknowledgement. */
export function askedView(operation: FinishedOperation): OperationStatusView {
  return { ...finishedView(operation), id: null, reconciliation: true };
}

export function unknownOperationView(name: string, nowMs: number): OperationStatusView {
  return {
    id: null,
    operation: name,
    state: 'unknown',
    node: null,
    at: timeView(nowMs),
    message: 'none of that name is on record: it was not carried out, or was acknowledged',
    reconciliation: true,
  };
}
