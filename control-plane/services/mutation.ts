/**
 * How every change that somebody is told about is made: drafted from the mirror, committed once under compares, and drafted
 * again when somebody else was faster. The answer to a request with an idempotency key is stored in the same transaction,
 * so that its repetition, on any replica, gets that answer and changes nothing. Who did it goes on record in the same transaction too.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import type { AuditedObject } from '../../shared/domain/audit.ts';
import { Refusal } from '../../shared/domain/errors.ts';
import { utf8Encode } from '../../shared/util/codec.ts';
import { randomId } from '../../shared/util/random.ts';
import type { Compare, Write } from '../store/contract.ts';
import { keys } from '../store/keys.ts';
import { decodeRecord, putRecord, type RecordOf } from '../store/records.ts';
import { commitOnce } from '../store/transact.ts';
import { auditWritesOf } from './audit.ts';
import { objectsOf } from './audit-objects.ts';
import type { Answer, AnswerStatus, Call, ServiceContext } from './context.ts';

/** Drafts are made anew this often when others keep changing what they were made from. */
const DRAFTS_MAX = 16;

/** How long a new draft waits for the mirror to show what the last one lost to. */
const CATCH_UP_MS = 2000;

export interface Draft<T> {
  readonly status: AnswerStatus;
  readonly body: T;
  readonly compares: readonly Compare[];
  /** Empty: everything is already as it was asked for. */
  readonly writes: readonly Write[];
  /** What was done that no write tells of, for the record. */
  readonly noted?: readonly AuditedObject[];
}

/** With what it is on record for. Empty: for nothing. */
interface Audited<T> extends Draft<T> {
  readonly objects: readonly AuditedObject[];
}

/**
 * Gets hold of what the change has to be committed under, beside what its draft compares, and does what must be done before. The
 * change is drafted again after it. Null: others came first.
 */
export type Fence = () => Promise<Compare | null>;

/**
 * Carries a change out. `draft` reads the mirror and throws a {@link Refusal} to say no; it is called again after each lost
 * compare. A fence is only asked for where there is something to write. Throws StoreUnavailableError when the store doesn't
 * answer.
 */
export async function mutate<T>(
  ctx: ServiceContext,
  call: Call,
  draft: () => Draft<T>,
  fence: Fence | null = null,
): Promise<Answer<T>> {
  for (let round = 0; round < DRAFTS_MAX; round++) {
    const answer = await carryOut(ctx, call, draft, { fence, compares: [] });
    if (answer !== null) return answer;
  }
  throw new Refusal('conflict', 'others kept changing the same thing; try again', { retryAfterSeconds: 1 });
}

/** Null: others were faster, and the mirror has been given the time to see it. */
async function carryOut<T>(
  ctx: ServiceContext,
  call: Call,
  draft: () => Draft<T>,
  { fence, compares }: { readonly fence: Fence | null; readonly compares: readonly Compare[] },
): Promise<Answer<T> | null> {
  const drafted = await draftOrReplay(ctx, call, draft);
  if ('replayed' in drafted) return drafted;
  if (drafted.writes.length === 0) return answerOnce(ctx, call, drafted);
  if (fence === null) return commitDraft(ctx, call, { ...drafted, compares: [...drafted.compares, ...compares] });
  const held = await fence();
  return held === null ? null : carryOut(ctx, call, draft, { fence: null, compares: [held] });
}

/**
 * Answers a request that changes nothing in the store: what it makes isn't kept there, or everything is as it was asked for.
 * Only the answer is remembered, if the request has a key, so that its repetition gets the same one, whatever has changed
 * since.
 */
export async function answerOnce<T>(
  ctx: ServiceContext,
  call: Call,
  answer: Pick<Draft<T>, 'status' | 'body' | 'noted'>,
): Promise<Answer<T>> {
  const { status, body, noted = [] } = answer;
  if (call.idempotency === null && noted.length === 0)
    return { status, body, revision: ctx.mirror.revision, replayed: false };
  const earlier = await storedAnswer<T>(ctx, call);
  if (earlier !== null) return earlier;
  const first = await commitDraft(ctx, call, { status, body, compares: [], writes: [], objects: noted });
  if (first !== null) return first;
  throw new Refusal('conflict', 'the same request was being answered; try again', { retryAfterSeconds: 1 });
}

/** A refusal may only mean that this very request has been carried out before: then its stored answer counts. */
async function draftOrReplay<T>(
  ctx: ServiceContext,
  call: Call,
  draft: () => Draft<T>,
): Promise<Audited<T> | Answer<T>> {
  try {
    const drafted = draft();
    return { ...drafted, objects: [...objectsOf(drafted, ctx.mirror.snapshot), ...(drafted.noted ?? [])] };
  } catch (error) {
    if (!(error instanceof Refusal) || call.idempotency === null) throw error;
    const replay = await storedAnswer<T>(ctx, call);
    if (replay === null) throw error;
    return replay;
  }
}

/** Null: a compare was lost, and the mirror has been given the time to see why. */
async function commitDraft<T>(ctx: ServiceContext, call: Call, draft: Audited<T>): Promise<Answer<T> | null> {
  const remember = await rememberAnswer(ctx, call, draft);
  const opId = randomId(ctx.random, 20);
  const audit = auditWritesOf(ctx, call, draft.objects, opId);
  const result = await commitOnce(ctx.store, {
    opId,
    leases: ctx.ops,
    by: ctx.replica.id,
    compares: [...draft.compares, ...remember.compares],
    writes: [...draft.writes, ...remember.writes, ...audit],
  });
  if (result.committed) {
    ctx.nudge();
    return { status: draft.status, body: draft.body, revision: result.revision, replayed: false };
  }
  const replay = call.idempotency === null ? null : await storedAnswer<T>(ctx, call);
  if (replay !== null) return replay;
  await ctx.mirror.waitFor(result.revision, { timeoutMs: CATCH_UP_MS });
  return null;
}

async function rememberAnswer<T>(
  ctx: ServiceContext,
  call: Call,
  draft: Draft<T>,
): Promise<{ compares: Compare[]; writes: Write[] }> {
  const key = idempotencyKey(call);
  if (call.idempotency === null || key === null) return { compares: [], writes: [] };
  const answer: RecordOf['idempotency'] = {
    requestDigest: call.idempotency.requestDigest,
    status: draft.status,
    body: JSON.stringify(draft.body),
    createdAtMs: ctx.clock.now(),
  };
  const lease = await ctx.ops.answersLease();
  return { compares: [{ key, modRevision: 0 }], writes: [putRecord('idempotency', key, answer, lease)] };
}

/** The answer that stands under the request's key, if any. Throws `idempotency-mismatch` if it answers another request. */
async function storedAnswer<T>(ctx: ServiceContext, call: Call): Promise<Answer<T> | null> {
  const key = idempotencyKey(call);
  if (key === null) return null;
  const { keyValue } = await ctx.store.get(key);
  if (keyValue === null) return null;
  const stored = decodeRecord('idempotency', key, keyValue.value);
  if (stored.requestDigest !== call.idempotency?.requestDigest) {
    throw new Refusal(
      'idempotency-mismatch',
      `the Idempotency-Key "${call.idempotency?.key}" was used for another request; use a new key for a new request`,
      { faults: [{ path: 'header:Idempotency-Key', message: 'was used for another request' }] },
    );
  }
  const status: AnswerStatus = stored.status === 201 ? 201 : stored.status === 202 ? 202 : 200;
  return { status, body: JSON.parse(stored.body) as T, revision: keyValue.modRevision, replayed: true };
}

/** Keys of different principals never meet. */
function idempotencyKey(call: Call): string | null {
  if (call.idempotency === null) return null;
  const { subject, kind } = call.principal;
  return keys.idempotency(sha256(utf8Encode(JSON.stringify([kind, subject, call.idempotency.key]))));
}
