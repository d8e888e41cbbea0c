/** What a translation finds wrong, as the 400 that Mesos answers it with. */
import { WireRefusal } from '../http/wire-refusal.ts';
import { translated } from '../translate/wire-fault.ts';

export function inWireWords<T>(translate: () => T): T {
  const result = translated(translate);
  if (result.ok) return result.value;
  throw new WireRefusal(400, result.message);
}
