/** What a task becomes: the input of one launched task, before its defaults are filled in. */
import type { AcceptInput } from '../../../shared/protocol/offers.ts';

export type NativeOperationInput = NonNullable<AcceptInput['operations']>[number];

export type LaunchedTask = Extract<NativeOperationInput, { type: 'launch' }>['tasks'][number];
