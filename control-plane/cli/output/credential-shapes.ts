/** How tokens and signing keys look to a person. */
import type { KeyView, TokenRecordView } from '../../../shared/protocol/tokens.ts';
import type { Paint } from './paint.ts';
import type { ListShape } from './printer.ts';
import { renderPairs } from './table.ts';
import { ageText, printable } from './text.ts';

export const tokenRecordShape: ListShape<TokenRecordView> = {
  noun: 'record of a token',
  nameOf: ({ id, type }) => id ?? type,
  columns: (nowMs) => [
    { header: 'TYPE', value: ({ type }) => type, colour: colourOf },
    { header: 'ID', value: ({ id }) => printable(id ?? '-') },
    { header: 'OF', value: ofText, shrinks: true },
    { header: 'USES LEFT', value: ({ usesMax, usesLeft }) => (usesMax === null ? '-' : `${usesLeft} of ${usesMax}`) },
    { header: 'LAST USED BY', value: ({ lastUse }) => lastUse?.node ?? '-', shrinks: true },
    { header: 'BY', value: ({ by }) => printable(by), shrinks: true },
    { header: 'MADE', value: ({ at }) => ageText(at, nowMs) },
    { header: 'UNTIL', value: ({ until }) => until },
    { header: 'REASON', value: ({ reason }) => printable(reason ?? '-'), shrinks: true },
  ],
};

function colourOf({ type }: TokenRecordView) {
  return type === 'break-glass' ? 'red' : type === 'join' ? 'cyan' : 'yellow';
}

function ofText({ type, subject, kind, node, nodePattern, before }: TokenRecordView): string {
  const whom = [
    subject === null ? null : printable(subject),
    kind === null ? null : `kind ${kind}`,
    node === null ? null : `node ${node}`,
    nodePattern === null ? null : `nodes ${printable(nodePattern)}`,
  ].filter((part) => part !== null);
  if (type !== 'revoked-before') return whom.length === 0 ? '-' : whom.join(', ');
  return `${whom.length === 0 ? 'all' : whom.join(', ')}, issued before ${before}`;
}

export const keyShape: ListShape<KeyView> = {
  noun: 'signing key',
  nameOf: ({ kid }) => kid,
  columns: (nowMs) => [
    { header: 'KEY', value: ({ kid }) => kid },
    { header: 'STATE', value: ({ state }) => state, colour: keyColour },
    { header: 'SIGNS FROM', value: ({ signsFrom }) => signsFrom },
    { header: 'VERIFIES UNTIL', value: verifiesText },
    { header: 'MADE', value: ({ createdAt }) => ageText(createdAt, nowMs) },
    { header: 'BY', value: ({ createdBy }) => printable(createdBy), shrinks: true },
    { header: 'RETIRED', value: retiredText, shrinks: true },
  ],
};

function keyColour({ state }: KeyView) {
  const colours = { next: 'cyan', signing: 'green', verifying: 'yellow', retired: 'red' } as const;
  return colours[state];
}

function verifiesText({ state, verifiesUntil }: KeyView): string {
  return state === 'retired' ? 'no more' : (verifiesUntil ?? '-');
}

function retiredText({ retired }: KeyView): string {
  return retired === null ? '-' : `${retired.at} by ${printable(retired.by)}: ${printable(retired.reason)}`;
}

/** What a token says of itself, whoever wrote it. */
export interface ReadToken {
  readonly header: Readonly<Record<string, unknown>>;
  readonly claims: Readonly<Record<string, unknown>>;
}

export function renderToken({ header, claims }: ReadToken, paint: Paint, nowMs: number): string {
  const times = ['iat', 'nbf', 'exp'];
  const pairs = Object.entries({ ...header, ...claims }).map(([name, value]) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    const isTime = times.includes(name) && typeof value === 'number' && Math.abs(value) < 8e12;
    const time = isTime ? new Date(value * 1000).toISOString() : null;
    if (time === null) return [name, printable(text)] as const;
    const isOver = name === 'exp' && Date.parse(time) <= nowMs;
    return [name, isOver ? paint('red', `${time}, which is past`) : time] as const;
  });
  return renderPairs(pairs, paint);
}
