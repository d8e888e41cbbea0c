/**
 * Sees to it that a node's name has one agent at a time. A process that has the memory of the one that holds the session is either
 * its successor or a clone of it. So the holder is called: its record names the contender, its long request ends, and if any call
 * of its session comes after that, it lives. Then its epoch rises, it registers anew with its next stamp, and the clone, which can't
 * know that one, is refused from then on. A holder that stays silent is succeeded.
 */
import { Refusal } from '../../shared/domain/errors.ts';
import type { NodeId } from '../../shared/domain/ids.ts';
import type { Epoch } from '../../shared/domain/node.ts';
import type { RegisterRequest } from '../../shared/protocol/agent.ts';
import { present } from '../../shared/util/assert.ts';
import { isJoining } from '../auth/policy.ts';
import type { Principal } from '../auth/principal.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import type { ServiceContext } from './context.ts';
import { type Admission, admissionOf, holderOf } from './node-admission.ts';
import { aheadOf } from './node-session.ts';
import { catchUp, checkEpoch, type NodeSession } from './session-check.ts';

/** How long the holder of a session has to be heard of once it is called. Much less than a lease, which must outlast it. */
const CALL_MAX_MS = 2000;
const CALLS_MAX = 4;
/** That somebody else comes under a node's name is noted at most so often. */
const NOTE_EVERY_MS = 600_000;
const MIRROR_WAIT_MS = 2000;

/**
 * What the node's next record says of its holder, decided from the mirror as it is when the promise has resolved. Waits while the
 * session is contested. Throws the Refusals `identity-mismatch` and `node-gone`.
 */
export async function admit(
  ctx: ServiceContext,
  principal: Principal,
  request: RegisterRequest,
): Promise<Pick<Epoch, 'holder' | 'scrapped'>> {
  const { id } = request.node;
  let calledAt: number | null = null;
  let isCaughtUp = false;
  for (let calls = 0; calls < CALLS_MAX; ) {
    const admission = admissionNow(ctx, principal, request);
    const revision = ctx.mirror.snapshot.modRevision(keys.epoch(id));
    if (admission === 'admitted' || (admission === 'contested' && revision === calledAt)) {
      checkCleared(ctx, id);
      return holderOf({ before: ctx.mirror.snapshot.epochs.get(id), stamp: request.stamp });
    }
    if (admission === 'contested') {
      calls += 1;
      calledAt = await callHolder(ctx, id, present(request.stamp, 'the stamp of a contender').instance);
    } else if (!isCaughtUp) {
      // A mirror that is behind shows an older stamp.
      await catchUp(ctx, id);
      isCaughtUp = true;
    } else {
      if (admission === 'mismatch') await noteOtherMachine(ctx, id);
      throw refusalOf(ctx, id, admission);
    }
  }
  throw new Refusal('conflict', `several agents want to be node "${id}"; try again`, { retryAfterSeconds: 5 });
}

/** What a gone node held is given back by a pass; its ledger must not become that of another machine. */
function checkCleared({ mirror }: ServiceContext, node: NodeId): void {
  if (mirror.snapshot.epochs.get(node)?.gone === undefined || !mirror.snapshot.ledgers.has(node)) return;
  throw new Refusal('unavailable', `what node "${node}" held is being given back; try again`, { retryAfterSeconds: 1 });
}

function admissionNow({ mirror }: ServiceContext, principal: Principal, request: RegisterRequest): Admission {
  const { snapshot } = mirror;
  const { node, seen, stamp } = request;
  const { incarnation, revision } = snapshot;
  const before = snapshot.epochs.get(node.id);
  const ledger = snapshot.ledgers.get(node.id);
  return admissionOf({
    incarnation,
    before,
    isAlive: snapshot.isAlive(node.id),
    isJoin: isJoining(principal),
    seen,
    isAhead: aheadOf({ incarnation, revision, before, ledger }, seen) !== undefined,
    stamp,
  });
}

/** Once in a while: who keeps knocking must not make a write each time. Lost to another change, it is noted with the next knock. */
async function noteOtherMachine(ctx: ServiceContext, node: NodeId): Promise<void> {
  const { snapshot } = ctx.mirror;
  const key = keys.epoch(node);
  const before = snapshot.epochs.get(node);
  const atMs = ctx.clock.now();
  if (before === undefined || atMs - (before.otherMachine?.atMs ?? 0) < NOTE_EVERY_MS) return;
  const { revision } = await ctx.store.transact({
    compares: [{ key, modRevision: snapshot.modRevision(key) }],
    writes: [putRecord('epochs', key, { ...before, otherMachine: { atMs, how: 'other-memory' } })],
  });
  await ctx.mirror.waitFor(revision, { timeoutMs: MIRROR_WAIT_MS });
}

/** Resolves with the revision of the call once there was time enough to answer it, or the node's record has changed. */
async function callHolder(ctx: ServiceContext, node: NodeId, contender: string): Promise<number | null> {
  await anotherCallEnds(ctx, node, contender);
  const { snapshot } = ctx.mirror;
  const key = keys.epoch(node);
  const before = snapshot.epochs.get(node);
  if (before?.holder === undefined) return null;
  const holder = { ...before.holder, contender };
  const called = await ctx.store.transact({
    compares: [{ key, modRevision: snapshot.modRevision(key) }],
    writes: [putRecord('epochs', key, { ...before, holder })],
  });
  await ctx.mirror.waitFor(called.revision, { timeoutMs: MIRROR_WAIT_MS });
  if (!called.committed) return null;
  ctx.log.info(
    { node, contender },
    "another process has the memory of this node's agent; waiting whether that one lives",
  );
  await untilChanged(ctx, node, called.revision);
  return called.revision;
}

/** Two contenders that call over each other would never see an end of it. One that has gone away is not waited for. */
async function anotherCallEnds(ctx: ServiceContext, node: NodeId, contender: string): Promise<void> {
  const { snapshot } = ctx.mirror;
  const other = snapshot.epochs.get(node)?.holder?.contender;
  if (other === undefined || other === contender) return;
  await untilChanged(ctx, node, snapshot.modRevision(keys.epoch(node)));
}

/** Resolves when the node's record has changed after the revision, or the holder has had the time to answer a call. */
function untilChanged(ctx: ServiceContext, node: NodeId, revision: number): Promise<void> {
  const timeoutMs = Math.min(CALL_MAX_MS, ctx.config.heartbeatIntervalMs);
  const isOver = () => ctx.mirror.snapshot.modRevision(keys.epoch(node)) > revision;
  return new Promise((resolve) => {
    const done = () => {
      timer.cancel();
      stopListening();
      resolve();
    };
    const look = () => {
      if (isOver()) done();
    };
    const timer = ctx.clock.setTimer(timeoutMs, done);
    const stopListening = ctx.signals.listen(node, look);
    look();
  });
}

/** Whether somebody waits to see if the holder of the node's session lives. */
export function isCalled({ mirror }: ServiceContext, node: NodeId): boolean {
  return mirror.snapshot.epochs.get(node)?.holder?.contender !== undefined;
}

/**
 * A call of the present session came in: its holder lives. If it has been called, its session ends, so that it registers anew
 * and moves its stamp on. Throws `stale-epoch` then.
 */
export async function answerCall(ctx: ServiceContext, session: NodeSession): Promise<void> {
  if (!isCalled(ctx, session.node)) return;
  await holderLives(ctx, session.node);
  checkEpoch(ctx, session);
}

async function holderLives(ctx: ServiceContext, node: NodeId): Promise<void> {
  const { snapshot } = ctx.mirror;
  const before = snapshot.epochs.get(node);
  if (before?.holder?.contender === undefined) return;
  const { contender, ...holder } = before.holder;
  const otherMachine = { atMs: ctx.clock.now(), how: 'same-memory' } as const;
  const key = keys.epoch(node);
  const result = await ctx.store.transact({
    compares: [{ key, modRevision: snapshot.modRevision(key) }],
    writes: [putRecord('epochs', key, { ...before, epoch: before.epoch + 1, holder, otherMachine })],
  });
  await ctx.mirror.waitFor(result.revision, { timeoutMs: MIRROR_WAIT_MS });
  if (!result.committed) return;
  ctx.log.warn(
    { node, contender },
    "two agents run with the same memory: this node's own one lives, so the other is a clone",
  );
}

function refusalOf({ mirror, log }: ServiceContext, node: NodeId, admission: 'mismatch' | 'gone'): Refusal {
  const epoch = mirror.snapshot.epochs.get(node);
  if (admission === 'gone') {
    const by = epoch?.gone === undefined ? '' : ` by ${epoch.gone.by} at ${new Date(epoch.gone.atMs).toISOString()}`;
    return new Refusal(
      'node-gone',
      `node "${node}" was declared gone${by}, and what it ran has been replaced; its agent ends what still runs and joins as a new node, for which it needs a valid join token`,
    );
  }
  log.warn({ node }, 'an agent was refused: it has not the memory that this node had at its last registration');
  return new Refusal(
    'identity-mismatch',
    `this agent doesn't have the memory that node "${node}" had when it registered last: the disk was replaced or restored from a backup, or another machine runs with a copy of it; give a copy a --state-dir of its own, in which it becomes a new node; if the node that was here is no more, run \`berth node gone ${node}\`; if etcd was restored from an older snapshot, \`berth cluster recover\``,
  );
}
