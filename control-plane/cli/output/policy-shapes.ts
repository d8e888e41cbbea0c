/** How trust policies look to a person, and who somebody is. */
import type { ExchangedToken, PolicyView, TrustTestView, WhoamiView } from '../../../shared/protocol/policies.ts';
import type { Paint } from './paint.ts';
import type { ListShape } from './printer.ts';
import { renderPairs, renderTable } from './table.ts';
import { ageText, durationText, printable } from './text.ts';

export const policyShape: ListShape<PolicyView> = {
  noun: 'trust policy',
  nameOf: (policy) => policy.name,
  columns: (nowMs) => [
    { header: 'POLICY', value: (policy) => policy.name },
    { header: 'ISSUER', value: (policy) => policy.issuer, shrinks: true },
    { header: 'AUDIENCE', value: (policy) => policy.audience, shrinks: true },
    { header: 'RULES', value: (policy) => String(policy.rules.length), align: 'right' },
    { header: 'TOKENS HOLD', value: (policy) => durationText(policy.ttlSecondsMax * 1000), align: 'right' },
    { header: 'CHANGED', value: (policy) => ageText(policy.updatedAt, nowMs), align: 'right' },
    { header: 'BY', value: (policy) => policy.updatedBy, shrinks: true },
  ],
};

export function renderPolicy(policy: PolicyView, paint: Paint, nowMs: number): string {
  const head = renderPairs(
    [
      ['Policy', policy.name],
      ['Issuer', printable(policy.issuer)],
      ['Audience', printable(policy.audience)],
      ['Keys', policy.jwksUri === null ? 'found by discovery' : printable(policy.jwksUri)],
      ['Algorithms', policy.algorithms.join(', ')],
      ['Tokens hold', `${durationText(policy.ttlSecondsMax * 1000)} at most`],
      ['Taken once', policy.singleUse ? 'yes' : 'no'],
      ['Client', policy.clientId === null ? '-' : printable(policy.clientId)],
      ['Changed', `${ageText(policy.updatedAt, nowMs)} ago by ${printable(policy.updatedBy)}`],
    ],
    paint,
  );
  return [head, ...policy.rules.map((rule, index) => renderRule(rule, index, paint))].join('\n');
}

function renderRule(rule: PolicyView['rules'][number], index: number, paint: Paint): string {
  const claims = Object.entries(rule.claims).map(([claim, matcher]) => {
    const wanted = 'pattern' in matcher ? `of the pattern ${matcher.pattern}` : matcher.join(' or ');
    return [`  ${printable(claim)}`, printable(wanted)] as const;
  });
  const everybody = rule.allowAnySubject ? ' (whoever the issuer knows is meant)' : '';
  return renderPairs(
    [
      [ruleName(rule.name, index), `gives ${grantText(rule)}${everybody}, where`],
      ...(claims.length === 0 ? [['  -', 'nothing is asked for'] as const] : claims),
    ],
    paint,
  );
}

function ruleName(name: string | null, index: number): string {
  return name === null ? `Rule ${index}` : `Rule ${index} (${printable(name)})`;
}

function grantText({ roles, actions }: { roles: readonly string[]; actions: readonly string[] }): string {
  return printable(`${actions.join(', ')} in ${roles.length === 0 ? 'no role' : roles.join(', ')}`);
}

/** Which rules hold, and of the others the claims that are in the way. */
export function renderTrustTest({ grants, policies }: TrustTestView, paint: Paint): string {
  const lines = policies.flatMap(({ name, objection, rules }) => [
    objection === null ? `policy ${name}` : `policy ${name}: ${paint('yellow', printable(objection))}`,
    ...rules.flatMap((rule) => [
      `  ${ruleName(rule.name, rule.rule)} ${rule.holds ? paint('green', 'holds') : paint('yellow', "doesn't hold")}`,
      ...rule.claims.map((claim) => `    ${claim.holds ? '+' : '-'} ${printable(`${claim.claim} ${claim.why}`)}`),
    ]),
  ]);
  const brought =
    grants.length === 0
      ? [paint('yellow', 'Nothing would be granted.')]
      : grants.map((grant) => `Grants ${grantText(grant)}`);
  return [...lines, ...brought].map((line) => `${line}\n`).join('');
}

export function renderWhoami(who: WhoamiView, paint: Paint, nowMs: number): string {
  const leftMs = Date.parse(who.expiresAt) - nowMs;
  const head = renderPairs(
    [
      ['Subject', printable(who.subject)],
      ['Kind', who.kind],
      ['Token', who.tokenId === '' ? '-' : printable(who.tokenId)],
      ...(who.node === null ? [] : [['Node', who.node] as const]),
      ['Expires', `${who.expiresAt} (${leftMs > 0 ? `in ${durationText(leftMs)}` : 'now'})`],
    ],
    paint,
  );
  return who.grants.length === 0 ? head : `${head}\n${grantsTable(who.grants, paint)}`;
}

export function renderExchanged({ grants }: ExchangedToken, paint: Paint): string {
  return grantsTable(grants, paint);
}

function grantsTable(grants: WhoamiView['grants'], paint: Paint): string {
  const columns = [
    {
      header: 'ROLES',
      value: ({ roles }: WhoamiView['grants'][number]) => (roles.length === 0 ? '-' : roles.join(', ')),
    },
    { header: 'ACTIONS', value: ({ actions }: WhoamiView['grants'][number]) => actions.join(', ') },
  ];
  return renderTable(columns, grants, { width: null, paint });
}
