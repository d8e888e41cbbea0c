/**
 * Tokens that let agents register. How many nodes have joined with one is counted in its record, by the very transaction that registers
 * the node and compares the record: of more that come at once than there are uses left, on however many replicas, as many get in
 * as there are. A node whose answer was lost comes again and uses nothing more.
 */
import { type Fault, Refusal } from '../../shared/domain/errors.ts';
import type { NodeId } from '../../shared/domain/ids.ts';
import type { Credential, Epoch } from '../../shared/domain/node.ts';
import { readPattern } from '../../shared/domain/text-pattern.ts';
import type { JoinToken, JoinUse } from '../../shared/domain/token-record.ts';
import type { TokenRequest } from '../../shared/protocol/views.ts';
import type { Principal } from '../auth/principal.ts';
import type { Claims } from '../auth/tokens.ts';
import type { Compare, Write } from '../store/contract.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import type { ServiceContext } from './context.ts';

export function joinTokenFaults({ kind, nodePattern, ...request }: TokenRequest): Fault[] {
  if (kind === 'join') {
    const pattern = nodePattern === undefined ? null : readPattern(nodePattern);
    return typeof pattern === 'string' ? [{ path: '/nodePattern', message: pattern }] : [];
  }
  const given = { nodePattern, usesMax: request.usesMax, node: request.node };
  return Object.entries(given).flatMap(([field, value]) =>
    value === undefined ? [] : [{ path: `/${field}`, message: 'is for a token of the kind join' }],
  );
}

export function joinTokenRecord(
  { node, nodePattern, usesMax }: TokenRequest,
  { jti, sub, iat, exp }: Claims,
  by: string,
): JoinToken {
  const terms = { node: node ?? null, nodePattern: nodePattern ?? null, usesMax: usesMax ?? null, uses: [] };
  return { type: 'join', id: jti, subject: sub, ...terms, atMs: iat * 1000, by, untilMs: exp * 1000 };
}

/** Whether this replica's mirror shows the token, where there has to be something to show. */
export function isJoinShown({ mirror }: ServiceContext, { isRecorded, tokenId }: Principal): boolean {
  return isRecorded !== true || joinTokenOf(mirror.snapshot, tokenId) !== undefined;
}

/**
 * What belongs into the transaction by which the node registers with the token. Throws `forbidden` when it may not: the token was
 * revoked, has been used up, or isn't for this node.
 */
export function joinUnit(
  { mirror: { snapshot } }: Pick<ServiceContext, 'mirror'>,
  { tokenId, isRecorded }: Principal,
  node: NodeId,
  credential: Credential | undefined,
): { compares: Compare[]; writes: Write[] } {
  if (isRecorded !== true) return { compares: [], writes: [] };
  const token = joinTokenOf(snapshot, tokenId);
  if (token === undefined) throw new Refusal('forbidden', `the join token ${tokenId} is not good any more; ${REMEDY}`);
  checkIsFor(token, node);
  const key = keys.joinToken(tokenId);
  const compares = [{ key, modRevision: snapshot.modRevision(key) }];
  if (token.usesMax === null || credential === undefined) return { compares, writes: [] };
  const use = { node, credential: credential.id, atMs: credential.atMs };
  const before = useBefore(token, node, snapshot.epochs.get(node));
  if (before === undefined && token.uses.length >= token.usesMax) throw usedUp(token);
  const uses = [...token.uses.filter((one) => one !== before), use];
  return { compares, writes: [putRecord('tokens', key, { ...token, uses })] };
}

const REMEDY = 'make another one with `berth token create NAME --join`';

function joinTokenOf({ tokens }: ServiceContext['mirror']['snapshot'], id: string): JoinToken | undefined {
  const record = tokens.get(keys.joinToken(id).slice(keys.tokens.length));
  return record?.type === 'join' ? record : undefined;
}

function checkIsFor({ id, node: only, nodePattern }: JoinToken, node: NodeId): void {
  if (only !== null && only !== node) {
    throw new Refusal('forbidden', `the join token ${id} is for node "${only}" and can't register node "${node}"`);
  }
  const pattern = nodePattern === null ? null : readPattern(nodePattern);
  if (pattern === null || (typeof pattern !== 'string' && pattern.matches(node))) return;
  throw new Refusal(
    'forbidden',
    `the join token ${id} is for nodes whose ids match "${nodePattern}" and can't register node "${node}"`,
  );
}

/** The node has got in with it already, and what it was given for that still stands: nobody else has taken the name since. */
function useBefore({ uses }: JoinToken, node: NodeId, epoch: Epoch | undefined): JoinUse | undefined {
  return uses.find((use) => use.node === node && use.credential === epoch?.credential?.id);
}

function usedUp({ id, usesMax, uses }: JoinToken): Refusal {
  const last = uses.at(-1)?.node ?? '';
  return new Refusal(
    'forbidden',
    `the join token ${id} may be used ${usesMax === 1 ? 'once' : `${usesMax} times`}, and was, by node "${last}" last; ${REMEDY}`,
  );
}
