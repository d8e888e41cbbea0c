/** How it is shown to people who did what. */
import type { AuditedObjectView, AuditView } from '../../../shared/protocol/audit.ts';
import type { Paint } from './paint.ts';
import type { ListShape } from './printer.ts';
import type { Column } from './table.ts';
import { printable } from './text.ts';

/** Names of changed members that are told in a line. */
const FIELDS_TOLD_MAX = 4;

export const auditShape: ListShape<AuditView> = {
  noun: 'record',
  nameOf: ({ id }) => id,
  columns: () => COLUMNS,
};

const COLUMNS: readonly Column<AuditView>[] = [
  { header: 'TIME', value: ({ at }) => at },
  { header: 'WHO', value: whoText, shrinks: true },
  { header: 'WHAT', value: whatText, colour: colourOf, shrinks: true },
  { header: 'CALL', value: ({ operation }) => operation, shrinks: true },
  { header: 'FROM', value: ({ address }) => address ?? '-' },
  { header: 'TOKEN', value: ({ who }) => who?.tokenId ?? '-', shrinks: true },
];

/** The same as one line, for what comes one by one. */
export function auditLine(record: AuditView, paint: Paint): string {
  const from = record.address === null ? '' : ` from ${record.address}`;
  const token = record.who === null ? '' : ` with token ${record.who.tokenId}`;
  const what = paint(colourOf(record), printable(whatText(record)));
  const how = paint('dim', printable(`${record.operation}${from}${token}`));
  return `${paint('dim', record.at)}  ${printable(whoText(record))}  ${what}  ${how}`;
}

function colourOf({ outcome }: AuditView): 'red' | 'plain' {
  return outcome === 'refused' ? 'red' : 'plain';
}

function whoText({ who }: AuditView): string {
  if (who === null) return 'nobody known';
  return who.kind === 'user' ? who.subject : `${who.kind} ${who.subject}`;
}

function whatText({ objects, moreObjects, refusal, count }: AuditView): string {
  const times = count === 1 ? '' : ` (${count} times)`;
  if (refusal !== null) return `refused, ${refusal.code}, at ${refusal.target}: ${refusal.message}${times}`;
  const more = moreObjects === 0 ? '' : `, and ${moreObjects} more`;
  return `${objects.map(objectText).join(', ')}${more}${times}`;
}

function objectText({ kind, id, role, change, fields, version, grants }: AuditedObjectView): string {
  const where = role === null || kind === 'role' ? '' : ` in ${role}`;
  const which = version === null ? '' : ` to version ${version}`;
  const told = [...grants, ...fields].slice(0, FIELDS_TOLD_MAX);
  const left = grants.length + fields.length - told.length;
  const details = told.length === 0 ? '' : ` (${told.join(', ')}${left === 0 ? '' : `, and ${left} more`})`;
  return `${change} ${kind} ${id}${where}${which}${details}`;
}
