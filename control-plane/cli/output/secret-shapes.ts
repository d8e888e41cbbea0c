/** How secrets look to a person: everything but what they say. */
import type { SecretView } from '../../../shared/protocol/secrets.ts';
import { jobName } from '../arguments.ts';
import type { ListShape } from './printer.ts';
import { ageText, printable } from './text.ts';

export const secretShape: ListShape<SecretView> = {
  noun: 'secret',
  nameOf: jobName,
  columns: (nowMs) => [
    { header: 'SECRET', value: (secret) => secret.name, shrinks: true },
    { header: 'ROLE', value: (secret) => secret.role, shrinks: true },
    { header: 'VERSION', value: (secret) => String(secret.version), align: 'right' },
    { header: 'SET', value: (secret) => ageText(secret.updatedAt, nowMs) },
    { header: 'BY', value: (secret) => printable(secret.updatedBy), shrinks: true },
    { header: 'SEALED UNDER', value: (secret) => secret.envelopeKey, shrinks: true },
    { header: 'USED BY', value: ({ usedBy }) => (usedBy.length === 0 ? '-' : usedBy.join(', ')), shrinks: true },
  ],
};
