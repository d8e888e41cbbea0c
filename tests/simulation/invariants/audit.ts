/** Who did what is on record exactly where it was done: each version that somebody asked for has its record, and each record its version. */
import { parseKey } from '../../../control-plane/store/keys.ts';
import { decodeRecord } from '../../../control-plane/store/records.ts';
import type { AuditRecord } from '../../../shared/domain/audit.ts';
import type { Revision } from '../truth.ts';
import { isAskedFor } from './past.ts';
import { type Violation, violation } from './violation.ts';

export function checkAudit({ number, changes, events }: Revision): Violation[] {
  const records = events.flatMap((event): AuditRecord[] => {
    if (event.type === 'delete' || parseKey(event.keyValue.key)?.[0] !== 'audit') return [];
    return [decodeRecord('audit', event.keyValue.key, event.keyValue.value)];
  });
  const told = records.flatMap(({ objects }) => objects.filter(({ kind }) => kind === 'job')).map(nameOf);
  const made = changes.flatMap((change) =>
    change.kind === 'versions' && change.before === null && change.after !== null && isAskedFor(change.after)
      ? [nameOf({ role: change.after.spec.role, id: change.after.spec.name, version: change.after.version })]
      : [],
  );
  const changed = changes.flatMap(({ kind, after }) => (kind === 'jobs' && after !== null ? [after] : []));
  const stands = changed.map(({ spec, version }) => nameOf({ role: spec.role, id: spec.name, version }));
  return [
    ...made
      .filter((name) => !told.includes(name))
      .map((name) => violation(1, `${name} was made at revision ${number}, and nobody is on record for it`)),
    ...told
      .filter((name) => !stands.includes(name))
      .map((name) => violation(1, `${name} is on record at revision ${number}, and was not changed there`)),
    ...(records.length > 1 ? [violation(1, `revision ${number} is on record ${records.length} times`)] : []),
  ];
}

function nameOf({
  role,
  id,
  version,
}: {
  readonly role: string | null;
  readonly id: string;
  readonly version: number | null;
}): string {
  return `version ${version} of job ${role}:${id}`;
}
