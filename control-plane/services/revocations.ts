/**
 * Taking tokens back: one by its id, or all of some sort that were issued before a time. What is written reaches every replica with
 * its watch, and from then on no request is served with such a token, and nothing goes on that was opened with one.
 */
import { type Fault, Refusal } from '../../shared/domain/errors.ts';
import type { BreakGlassToken, JoinToken, RevocationScope, TokenRecord } from '../../shared/domain/token-record.ts';
import type {
  RevokeTokenRequest,
  RevokeTokensRequest,
  TOKEN_RECORD_TYPES,
  TokenRecordView,
} from '../../shared/protocol/tokens.ts';
import type { Page } from '../../shared/protocol/views.ts';
import { LIFETIMES_MAX, LONGEST_LIFETIME_MS } from '../auth/lifetimes.ts';
import type { Principal } from '../auth/principal.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import type { Snapshot } from '../store/snapshot.ts';
import { demand } from './access.ts';
import type { Answer, Call, PageRequest, ServiceContext } from './context.ts';
import { mutate } from './mutation.ts';
import { pageThrough } from './paging.ts';
import { untilSeen } from './signing-keys.ts';
import { timeView } from './times.ts';

/** A node's token may have been renewed since its expiry was read, and is revoked with all that it was renewed to. */
const KEPT_MIN_MS = (LIFETIMES_MAX.node + 24 * 3600) * 1000;

/**
 * Takes one token back. `isOwn`: it is the one that the caller has shown, which takes no right. Saying it again changes nothing.
 */
export async function revokeToken(
  ctx: ServiceContext,
  call: Call,
  { id, isOwn }: { readonly id: string; readonly isOwn: boolean },
  { reason, expiresAt }: RevokeTokenRequest,
): Promise<Answer<TokenRecordView>> {
  if (!isOwn) demand(call.principal, 'token:revoke', null);
  const answer = await mutate(ctx, call, () => {
    const { snapshot } = ctx.mirror;
    const key = keys.revokedToken(id);
    const before = recordUnder(snapshot, key);
    if (before !== undefined) {
      return { status: 200, body: tokenRecordView(snapshot, before), compares: [], writes: [] };
    }
    const atMs = ctx.clock.now();
    const askedMs = expiresAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(expiresAt);
    const untilMs = Math.min(Math.max(askedMs, atMs + KEPT_MIN_MS), atMs + LONGEST_LIFETIME_MS);
    const record: TokenRecord = { type: 'revoked', id, reason, atMs, by: call.principal.subject, untilMs };
    const joinKey = keys.joinToken(id);
    const joined = recordUnder(snapshot, joinKey);
    return {
      status: 200,
      body: tokenRecordView(snapshot, record),
      compares: [{ key, modRevision: 0 }],
      // Nobody joins with it from this very transaction on.
      writes: [
        putRecord('tokens', key, record),
        ...(joined === undefined ? [] : [{ type: 'delete', key: joinKey } as const]),
      ],
    };
  });
  return untilSeen(ctx, answer);
}

/** Takes back all tokens of some sort that were issued before a time. Nothing makes that time an earlier one again. */
export async function revokeTokens(
  ctx: ServiceContext,
  call: Call,
  request: RevokeTokensRequest,
): Promise<Answer<TokenRecordView>> {
  demand(call.principal, 'token:revoke', null);
  const { scope, askedMs } = checkRequest(request, ctx.clock.now());
  const answer = await mutate(ctx, call, () => {
    const { snapshot } = ctx.mirror;
    const key = keys.revokedBefore(scope);
    const before = recordUnder(snapshot, key);
    const atMs = ctx.clock.now();
    const beforeMs = askedMs ?? atMs;
    if (before?.type === 'revoked-before' && before.beforeMs >= beforeMs) {
      return { status: 200, body: tokenRecordView(snapshot, before), compares: [], writes: [] };
    }
    const record: TokenRecord = {
      ...{ type: 'revoked-before', scope, beforeMs, reason: request.reason },
      ...{ atMs, by: call.principal.subject, untilMs: beforeMs + LONGEST_LIFETIME_MS },
    };
    return {
      status: 200,
      body: tokenRecordView(snapshot, record),
      compares: [{ key, modRevision: snapshot.modRevision(key) }],
      writes: [putRecord('tokens', key, record)],
    };
  });
  return untilSeen(ctx, answer);
}

function checkRequest(
  { all, subject, node, kind, before }: RevokeTokensRequest,
  nowMs: number,
): { scope: RevocationScope; askedMs: number | null } {
  const scopes: RevocationScope[] = [
    ...(all === undefined ? [] : [{ of: 'all' } as const]),
    ...(subject === undefined ? [] : [{ of: 'subject', subject } as const]),
    ...(node === undefined ? [] : [{ of: 'node', node } as const]),
    ...(kind === undefined ? [] : [{ of: 'kind', kind } as const]),
  ];
  const [scope] = scopes;
  const askedMs = before === undefined ? null : Date.parse(before);
  const faults: Fault[] = [];
  if (scopes.length !== 1) {
    faults.push({ path: '/', message: 'exactly one of all, subject, node and kind has to say which tokens' });
  }
  if (askedMs !== null && askedMs > nowMs) {
    faults.push({ path: '/before', message: 'is to come; tokens that are yet to be made can not be revoked' });
  }
  if (scope === undefined || faults.length > 0) {
    throw new Refusal('invalid-request', 'it is not clear which tokens are to be revoked', { faults });
  }
  return { scope, askedMs };
}

export function listTokenRecords(
  ctx: ServiceContext,
  principal: Principal,
  { types }: { types: readonly (typeof TOKEN_RECORD_TYPES)[number][] | null },
  page: PageRequest,
): Page<TokenRecordView> {
  demand(principal, 'token:read', null);
  const { snapshot } = ctx.mirror;
  const nowMs = ctx.clock.now();
  const wanted = [...snapshot.tokens].filter(
    ([, record]) => record.untilMs > nowMs && (types === null || types.includes(record.type)),
  );
  return pageThrough(wanted, page, {
    keyOf: ([path]) => path,
    view: ([, record]) => tokenRecordView(snapshot, record),
  });
}

/** Those that are good now. */
export function liveBreakGlass(snapshot: Snapshot, nowMs: number): BreakGlassToken[] {
  return [...snapshot.tokens.values()].filter(
    (record): record is BreakGlassToken =>
      record.type === 'break-glass' && record.untilMs > nowMs && !isRevoked(snapshot, record),
  );
}

function isRevoked(snapshot: Snapshot, { id, by: subject, atMs }: BreakGlassToken): boolean {
  if (recordUnder(snapshot, keys.revokedToken(id)) !== undefined) return true;
  const scopes: RevocationScope[] = [{ of: 'all' }, { of: 'kind', kind: 'user' }, { of: 'subject', subject }];
  return scopes.some((scope) => {
    const record = recordUnder(snapshot, keys.revokedBefore(scope));
    return record?.type === 'revoked-before' && record.beforeMs > atMs;
  });
}

function recordUnder({ tokens }: Snapshot, key: string): TokenRecord | undefined {
  return tokens.get(key.slice(keys.tokens.length));
}

const NOTHING: Omit<TokenRecordView, 'type' | 'at' | 'by' | 'until'> = {
  ...{ id: null, subject: null, kind: null, node: null, nodePattern: null, before: null },
  ...{ usesMax: null, usesLeft: null, lastUse: null, reason: null },
};

export function tokenRecordView(snapshot: Snapshot, record: TokenRecord): TokenRecordView {
  const { type, atMs, by, untilMs } = record;
  const common = { ...NOTHING, type, at: timeView(atMs), by, until: timeView(untilMs) };
  switch (record.type) {
    case 'revoked':
    case 'break-glass':
      return { ...common, id: record.id, reason: record.reason };
    case 'revoked-before': {
      const { scope, beforeMs, reason } = record;
      return {
        ...{ ...common, before: timeView(beforeMs), reason },
        subject: scope.of === 'subject' ? scope.subject : null,
        kind: scope.of === 'kind' ? scope.kind : null,
        node: scope.of === 'node' ? scope.node : null,
      };
    }
    case 'join': {
      const { id, subject, node, nodePattern, usesMax, uses } = record;
      const usesLeft = usesMax === null ? null : Math.max(0, usesMax - uses.length);
      return { ...common, id, subject, node, nodePattern, usesMax, usesLeft, lastUse: lastUse(snapshot, record) };
    }
  }
}

/** Where nobody counts, from the nodes that are here. */
function lastUse({ epochs }: Snapshot, { id, uses }: JoinToken): TokenRecordView['lastUse'] {
  const now = [...epochs].flatMap(([node, { credential }]) =>
    credential?.joinedWith === id ? [{ node, atMs: credential.atMs }] : [],
  );
  const [last] = [...uses, ...now].sort((a, b) => b.atMs - a.atMs);
  return last === undefined ? null : { node: last.node, at: timeView(last.atMs) };
}
