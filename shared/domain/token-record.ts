/**
 * What the state holds of tokens. Those that are handed out aren't kept, since they speak for themselves: only what takes some of them
 * back, what counts the uses of a token to join with, and who came in past all others. Each record is of use until a time, and then goes.
 */
import type { NodeId } from './ids.ts';

/** The kinds of token that Berth makes. */
export const TOKEN_KINDS = ['user', 'join', 'node', 'peer'] as const;
export type TokenKind = (typeof TOKEN_KINDS)[number];

export type TokenRecord = RevokedToken | RevokedBefore | JoinToken | BreakGlassToken;

interface Noted {
  readonly atMs: number;
  readonly by: string;
  /** From then on the record means nothing any more. */
  readonly untilMs: number;
}

/** One token, and with a node's all that it is renewed to. */
export interface RevokedToken extends Noted {
  readonly type: 'revoked';
  readonly id: string;
  readonly reason: string;
}

/** Whatever was issued before a time, of all tokens or of some. */
export interface RevokedBefore extends Noted {
  readonly type: 'revoked-before';
  readonly scope: RevocationScope;
  readonly beforeMs: number;
  readonly reason: string;
}

export type RevocationScope =
  | { readonly of: 'all' }
  | { readonly of: 'kind'; readonly kind: TokenKind }
  | { readonly of: 'subject'; readonly subject: string }
  | { readonly of: 'node'; readonly node: NodeId };

/** A token that lets agents register. It is good only while this record stands. */
export interface JoinToken extends Noted {
  readonly type: 'join';
  readonly id: string;
  readonly subject: string;
  /** The only node that may join with it; null: any. */
  readonly node: NodeId | null;
  /** What the ids of nodes that join with it have to look like; null: anything. */
  readonly nodePattern: string | null;
  /** How many nodes may join with it; null: any number, and nobody counts. */
  readonly usesMax: number | null;
  readonly uses: readonly JoinUse[];
}

export interface JoinUse {
  readonly node: NodeId;
  /** What the node was given for it: the id of its own tokens. */
  readonly credential: string;
  readonly atMs: number;
}

/** An admin's token that somebody made for themselves, with access to the store in place of a right. */
export interface BreakGlassToken extends Noted {
  readonly type: 'break-glass';
  readonly id: string;
  readonly reason: string;
}

/** The list of uses is written anew with each join. */
export const JOIN_USES_MAX = 1000;

export const NODE_PATTERN_LENGTH_MAX = 512;
