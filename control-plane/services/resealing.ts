/** Brings everything that is sealed under the first envelope key, so that the keys after it can be thrown away. */
import { type SecretNote, secretName } from '../../shared/domain/secret.ts';
import type { ResealView } from '../../shared/protocol/secrets.ts';
import { type Envelope, OpenError } from '../auth/envelope.ts';
import type { Principal } from '../auth/principal.ts';
import { keys } from '../store/keys.ts';
import { decodeRecord, putRecord } from '../store/records.ts';
import { demand } from './access.ts';
import type { ServiceContext } from './context.ts';
import { resealKeys } from './sealed-keys.ts';
import { aboutSecret, demandEnvelope } from './secrets.ts';

/** In one call: each is opened, sealed and put by itself. */
const RESEALED_MAX = 100;

/**
 * Seals some more of it anew; again until nothing is left. Harmless to repeat, and to be broken off: each secret is exchanged in one
 * transaction under a compare, and says the same before and after.
 */
export async function reseal(ctx: ServiceContext, principal: Principal): Promise<ResealView & { revision: number }> {
  demand(principal, 'secret:reseal', null);
  const envelope = demandEnvelope(ctx);
  const signing = await resealKeys(ctx, envelope);
  const others = [...ctx.mirror.snapshot.secretNotes()].filter((note) => note.envelopeKey !== envelope.current);
  const openable = others.filter((note) => envelope.opens(note));
  let resealed = 0;
  let { revision } = ctx.mirror;
  for (const note of openable.slice(0, RESEALED_MAX)) {
    const done = await resealSecret(ctx, envelope, note);
    if (done === null) continue;
    resealed += 1;
    revision = done;
  }
  return {
    envelopeKey: envelope.current,
    resealed: signing.resealed + resealed,
    left: signing.left + others.length - resealed,
    unopenable: signing.left + others.length - openable.length,
    revision,
  };
}

/** The revision that it was exchanged at; null: it can't be opened, or somebody else has changed it. */
async function resealSecret(ctx: ServiceContext, envelope: Envelope, seen: SecretNote): Promise<number | null> {
  const noteKey = keys.secretNote(seen);
  const { keyValue: noteValue } = await ctx.store.get(noteKey);
  const { keyValue } = await ctx.store.get(keys.sealed(seen));
  if (keyValue === null || noteValue === null) return null;
  const note = decodeRecord('vault', noteKey, noteValue.value);
  const sealed = decodeRecord('sealed', keyValue.key, keyValue.value);
  if (sealed.version !== note.version) return null;
  const about = aboutSecret(ctx, note, sealed.version);
  try {
    const fresh = await envelope.seal(await envelope.open(sealed, about), about);
    const { committed, revision } = await ctx.store.transact({
      compares: [
        { key: noteKey, modRevision: noteValue.modRevision },
        { key: keyValue.key, modRevision: keyValue.modRevision },
      ],
      writes: [
        putRecord('vault', noteKey, { ...note, envelopeKey: fresh.envelopeKey }),
        putRecord('sealed', keyValue.key, { ...fresh, version: sealed.version }),
      ],
    });
    return committed ? revision : null;
  } catch (error) {
    if (!(error instanceof OpenError)) throw error;
    ctx.log.error(
      { secret: secretName(note), envelopeKey: sealed.envelopeKey },
      `a secret can't be opened: ${error.message}`,
    );
    return null;
  }
}
