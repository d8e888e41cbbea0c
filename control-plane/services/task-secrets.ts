/**
 * Hands the agent of a node what a task that it is to start was promised in confidence. Only to the session that counts, only of tasks
 * that hold a place in the node's ledger and have not ended: a node learns nothing that no task on it needs.
 */
import { templateOf } from '../../shared/domain/cluster.ts';
import { Refusal } from '../../shared/domain/errors.ts';
import type { NodeId, TaskId } from '../../shared/domain/ids.ts';
import { type SecretKey, type SecretNote, secretKeyOf, secretName } from '../../shared/domain/secret.ts';
import { isTerminal, type Task } from '../../shared/domain/task.ts';
import type { MissingSecret, OpenedSecret, TaskSecretsResponse } from '../../shared/protocol/agent.ts';
import { base64Encode } from '../../shared/util/codec.ts';
import { OpenError } from '../auth/envelope.ts';
import { keys } from '../store/keys.ts';
import type { SealedRecord } from '../store/record-types.ts';
import { decodeRecord } from '../store/records.ts';
import type { ServiceContext } from './context.ts';
import { aboutSecret, demandEnvelope, named } from './secrets.ts';
import { catchUp, checkEpoch, currentSession, type NodeSession } from './session-check.ts';

/** Looks at a secret that is being set while it is looked at. */
const LOOKS_MAX = 4;
const CATCH_UP_MS = 2000;

/** Throws `not-found` for a task that isn't the node's to start, and `unavailable` where this replica can't open what there is. */
export async function secretsOfTask(
  ctx: ServiceContext,
  session: NodeSession,
  id: TaskId,
): Promise<TaskSecretsResponse> {
  await currentSession(ctx, session);
  // That a task isn't there may only mean that this mirror is behind the replica that placed it.
  if (placedTask(ctx, session.node, id) === null) {
    await catchUp(ctx, session.node);
    checkEpoch(ctx, session);
  }
  const task = placedTask(ctx, session.node, id);
  if (task === null) throw notItsTask(session.node, id);
  const answers = await Promise.all(keysOf(ctx, task).map((key) => openSecret(ctx, key)));
  return {
    secrets: answers.flatMap((answer) => ('value' in answer ? [answer] : [])),
    missing: answers.flatMap((answer) => ('why' in answer ? [answer] : [])),
  };
}

function placedTask({ mirror: { snapshot } }: ServiceContext, node: NodeId, id: TaskId): Task | null {
  const ledger = snapshot.ledgers.get(node);
  const entry = ledger !== undefined && Object.hasOwn(ledger.entries, id) ? ledger.entries[id] : undefined;
  const task = snapshot.tasks.get(id);
  if (entry === undefined || entry.stop !== null || entry.disowned) return null;
  return task === undefined || task.node !== node || isTerminal(task.state) ? null : task;
}

function notItsTask(node: NodeId, id: TaskId): Refusal {
  return new Refusal('not-found', `node "${node}" has no task "${id}" to start, so it is told no secrets of one`);
}

function keysOf({ mirror: { snapshot } }: ServiceContext, task: Task): SecretKey[] {
  const uses = templateOf(snapshot, task)?.group.secrets ?? [];
  const all = uses.map((use) => secretKeyOf(use, task));
  return [...new Map(all.map((key) => [secretName(key), key])).values()];
}

async function openSecret(ctx: ServiceContext, key: SecretKey): Promise<OpenedSecret | MissingSecret> {
  const found = await readSecret(ctx, key);
  if (found === null) return { ...key, why: `${named(key)} is not there any more` };
  const { note, sealed } = found;
  try {
    const value = await demandEnvelope(ctx).open(sealed, aboutSecret(ctx, key, sealed.version));
    return { ...key, version: note.version, value: base64Encode(value) };
  } catch (error) {
    if (!(error instanceof OpenError)) throw error;
    const why = `${named(key)} can't be opened: ${error.message}`;
    ctx.log.error({ secret: secretName(key), envelopeKey: sealed.envelopeKey }, why);
    if (error.trouble === 'damaged') return { ...key, why };
    // Another replica may have the key.
    throw new Refusal('unavailable', `replica "${ctx.replica.id}": ${why}`, { retryAfterSeconds: 5 });
  }
}

/**
 * The value that its note speaks of; null: there is none. Both are written together, so a value of another version than the note's is
 * one that is being set at this moment, or was put there by somebody else: it is never opened as the other version.
 */
async function readSecret(
  ctx: ServiceContext,
  key: SecretKey,
): Promise<{ readonly note: SecretNote; readonly sealed: SealedRecord } | null> {
  const { store, mirror } = ctx;
  for (let looks = 1; ; looks++) {
    const { keyValue, revision } = await store.get(keys.sealed(key));
    await mirror.waitFor(keyValue?.modRevision ?? revision, { timeoutMs: CATCH_UP_MS });
    const note = mirror.snapshot.secretNote(key);
    if (keyValue === null || note === undefined) {
      if (keyValue === null && note === undefined) return null;
    } else {
      const sealed = decodeRecord('sealed', keyValue.key, keyValue.value);
      if (sealed.version === note.version) return { note, sealed };
    }
    if (looks >= LOOKS_MAX) {
      throw new Refusal('unavailable', `${named(key)} is being set, or its records don't fit each other; ask again`, {
        retryAfterSeconds: 1,
      });
    }
  }
}
