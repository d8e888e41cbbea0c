/**
 * The cluster's signing keys: the first one, the next one, and the end of each. A new key is published for as long as anybody who
 * verifies tokens may keep what was published before, and only then signs, so that at no moment a token is refused for its key. What
 * the one before has signed is good until it expires.
 */
import { Refusal } from '../../shared/domain/errors.ts';
import type { KeyView } from '../../shared/protocol/tokens.ts';
import { randomId } from '../../shared/util/random.ts';
import { type KeyStates, keyThat, standingOf } from '../auth/key-standing.ts';
import { generateSigningKey, KEYS_MAX_AGE_SECONDS, KeyRing } from '../auth/keys.ts';
import { type Lifetimes, OLDER_LIFETIME_MAX } from '../auth/lifetimes.ts';
import type { Principal } from '../auth/principal.ts';
import { type Compare, RANGE_PAGE_MAX, type Write } from '../store/contract.ts';
import { keys } from '../store/keys.ts';
import type { KeyStateRecord, SecretRecord } from '../store/record-types.ts';
import { decodeRecord, putRecord } from '../store/records.ts';
import { demand } from './access.ts';
import type { Answer, Call, ServiceContext } from './context.ts';
import { type Draft, mutate } from './mutation.ts';
import { timeView } from './times.ts';

/** The name of the key that a cluster starts with. Replicas that start at once agree on it by this name alone. */
const FIRST_KID = '1';

/**
 * From when a key is made until it signs. Others keep the published keys for {@link KEYS_MAX_AGE_SECONDS}; the minute beyond that is for
 * replicas whose mirror is late, and for clocks that differ.
 */
export const PUBLISHED_BEFORE_SIGNING_MS = (KEYS_MAX_AGE_SECONDS + 60) * 1000;

/** Clocks may differ, and a token counts a little longer than it says. */
const SPENT_SLACK_MS = 3_600_000;

const KID_LENGTH = 10;
const CATCH_UP_MS = 2000;

type KeyContext = Pick<ServiceContext, 'store' | 'clock' | 'mirror' | 'log'>;

/**
 * The cluster's keys, kept up to date from the mirror; the first one is made by whichever replica comes first. Throws
 * StoreUnavailableError.
 */
export async function ensureSigningKey(ctx: KeyContext): Promise<KeyRing> {
  if ((await readSigningKeys(ctx)).length === 0) await createFirstKey(ctx);
  await adoptKeys(ctx);
  const states = () => ctx.mirror.snapshot.keyStates;
  const ring = new KeyRing({ load: () => readSigningKeys(ctx), states, clock: ctx.clock });
  await ring.load();
  ctx.mirror.subscribe((changes) => {
    if (!changes.some(({ kind }) => kind === 'keys')) return;
    // Before it signs there is time; a token of it that comes earlier is looked for by its key's name.
    ring.complete().catch((error: unknown) => ctx.log.warn({ error }, 'signing keys could not be read; trying again'));
  });
  return ring;
}

async function createFirstKey({ store, clock }: KeyContext): Promise<void> {
  const key = keys.signingKey(FIRST_KID);
  const record = await generateSigningKey(FIRST_KID, clock.now());
  // Whether this one or another replica's was put doesn't matter: the one that stands is read.
  await store.transact({ compares: [{ key, modRevision: 0 }], writes: [putRecord('secrets', key, record)] });
}

/** Notes where those stand that have just been made, or that an earlier version made. */
async function adoptKeys(ctx: KeyContext): Promise<void> {
  for (const { kid, createdAtMs } of await readSigningKeys(ctx)) {
    const key = keys.keyState(kid);
    const state: KeyStateRecord = {
      ...{ kid, createdAtMs, createdBy: 'berth', signsFromMs: createdAtMs, verifiesUntilMs: null, revoked: null },
      // How long it let tokens live that it signed isn't known.
      longestSeconds: OLDER_LIFETIME_MAX,
    };
    const compares = [{ key, modRevision: 0 }];
    const { revision } = await ctx.store.transact({ compares, writes: [putRecord('keys', key, state)] });
    await ctx.mirror.waitFor(revision, { timeoutMs: CATCH_UP_MS });
  }
}

async function readSigningKeys({ store }: Pick<KeyContext, 'store'>): Promise<SecretRecord[]> {
  const { keyValues } = await store.range({ prefix: keys.signingKey(''), limit: RANGE_PAGE_MAX });
  return keyValues.map(({ key, value }) => decodeRecord('secrets', key, value));
}

export function listKeys(ctx: ServiceContext, principal: Principal): KeyView[] {
  demand(principal, 'key:read', null);
  const { keyStates } = ctx.mirror.snapshot;
  return [...keyStates.values()]
    .sort((a, b) => b.signsFromMs - a.signsFromMs)
    .map((state) => keyView(state, keyStates, ctx.clock.now()));
}

/** Makes the next key, unless there is one already that waits for its turn: then it is that one. */
export async function rotateKeys(ctx: ServiceContext, lifetimes: Lifetimes, call: Call): Promise<Answer<KeyView>> {
  demand(call.principal, 'key:rotate', null);
  const secret = await newSecret(ctx);
  return untilSeen(ctx, await mutate(ctx, call, () => rotationDraft(ctx, { secret, lifetimes, by: subjectOf(call) })));
}

/** The same, for a replica that does it by itself. */
export async function rotateByAge(ctx: ServiceContext, lifetimes: Lifetimes): Promise<void> {
  const { compares, writes } = rotationDraft(ctx, { secret: await newSecret(ctx), lifetimes, by: 'berth' });
  // Lost to another replica: then that one has made it.
  if (writes.length > 0) await ctx.store.transact({ compares, writes });
}

interface NewKey {
  readonly secret: SecretRecord;
  readonly lifetimes: Lifetimes;
  readonly by: string;
}

/** Whoever rotates compares the key that signs, and puts it: of two at once, one makes a key. */
function rotationDraft(ctx: ServiceContext, made: NewKey): Draft<KeyView> {
  const { keyStates } = ctx.mirror.snapshot;
  const nowMs = ctx.clock.now();
  const waiting = keyThat('next', keyStates, nowMs);
  if (waiting !== undefined) {
    return { status: 200, body: keyView(waiting, keyStates, nowMs), compares: [], writes: [] };
  }
  const signing = keyThat('signing', keyStates, nowMs);
  const next = stateOf(made, { nowMs, signsFromMs: nowMs + PUBLISHED_BEFORE_SIGNING_MS });
  const succeeded = signing === undefined ? [] : [succeededBy(signing, next)];
  return { status: 201, body: keyView(next, keyStates, nowMs), ...keyUnit(ctx, [...succeeded, next], made.secret) };
}

/**
 * Ends a key that is in the wrong hands, and with it all that it has signed: its private half goes. If it is the one that signs, the
 * next one takes its place at once. Saying it again changes nothing.
 */
export async function retireKey(
  ctx: ServiceContext,
  { ring, lifetimes }: { readonly ring: KeyRing; readonly lifetimes: Lifetimes },
  call: Call,
  { kid, reason }: { readonly kid: string; readonly reason: string },
): Promise<Answer<KeyView>> {
  demand(call.principal, 'key:rotate', null);
  const secret = await newSecret(ctx);
  const made = { secret, lifetimes, by: subjectOf(call) };
  const answer = await untilSeen(ctx, await mutate(ctx, call, () => retirementDraft(ctx, { kid, reason, made })));
  await ring.complete();
  return answer;
}

function retirementDraft(
  ctx: ServiceContext,
  { kid, reason, made }: { readonly kid: string; readonly reason: string; readonly made: NewKey },
): Draft<KeyView> {
  const { keyStates } = ctx.mirror.snapshot;
  const nowMs = ctx.clock.now();
  const state = keyStates.get(kid);
  if (state === undefined) throw new Refusal('not-found', `there is no signing key "${kid}"; see \`berth key list\``);
  const standing = standingOf(kid, keyStates, nowMs);
  if (standing === 'retired') {
    return { status: 200, body: keyView(state, keyStates, nowMs), compares: [], writes: [] };
  }
  const verifiesUntilMs = state.verifiesUntilMs ?? nowMs + state.longestSeconds * 1000 + SPENT_SLACK_MS;
  const retired = { ...state, verifiesUntilMs, revoked: { atMs: nowMs, by: made.by, reason } };
  const others = othersAfter(keyStates, { standing, nowMs, made });
  const unit = keyUnit(ctx, [retired, ...others.states], others.isNew ? made.secret : null);
  const writes = [...unit.writes, { type: 'delete', key: keys.signingKey(kid) } as const];
  const after = new Map([...keyStates, ...[retired, ...others.states].map((one) => [one.kid, one] as const)]);
  return { status: 200, body: keyView(retired, after, nowMs), compares: unit.compares, writes };
}

/** What the end of a key makes of others: the next one signs at once, or the one before it goes on. */
function othersAfter(
  states: KeyStates,
  { standing, nowMs, made }: { readonly standing: ReturnType<typeof standingOf>; readonly nowMs: number; made: NewKey },
): { readonly states: readonly KeyStateRecord[]; readonly isNew: boolean } {
  const [signing, next] = [keyThat('signing', states, nowMs), keyThat('next', states, nowMs)];
  if (standing === 'next') {
    return { states: signing === undefined ? [] : [{ ...signing, verifiesUntilMs: null }], isNew: false };
  }
  if (standing !== 'signing') return { states: [], isNew: false };
  if (next !== undefined) return { states: [{ ...next, signsFromMs: nowMs }], isNew: false };
  return { states: [stateOf(made, { nowMs, signsFromMs: nowMs })], isNew: true };
}

function keyUnit(
  { mirror: { snapshot } }: ServiceContext,
  states: readonly KeyStateRecord[],
  secret: SecretRecord | null,
): { compares: Compare[]; writes: Write[] } {
  const unit = {
    compares: states.map(({ kid }) => {
      const key = keys.keyState(kid);
      return { key, modRevision: snapshot.modRevision(key) };
    }),
    writes: states.map((state) => putRecord('keys', keys.keyState(state.kid), state)),
  };
  if (secret === null) return unit;
  const key = keys.signingKey(secret.kid);
  return {
    compares: [...unit.compares, { key, modRevision: 0 }],
    writes: [...unit.writes, putRecord('secrets', key, secret)],
  };
}

function newSecret({ random, clock }: ServiceContext): Promise<SecretRecord> {
  return generateSigningKey(randomId(random, KID_LENGTH), clock.now());
}

function stateOf(
  { secret: { kid }, lifetimes, by }: NewKey,
  { nowMs, signsFromMs }: { readonly nowMs: number; readonly signsFromMs: number },
): KeyStateRecord {
  const longestSeconds = Math.max(...Object.values(lifetimes));
  const times = { createdAtMs: nowMs, signsFromMs, verifiesUntilMs: null, longestSeconds };
  return { kid, createdBy: by, ...times, revoked: null };
}

/** What it has signed may have been under other bounds than those that hold now. */
function succeededBy(state: KeyStateRecord, next: KeyStateRecord): KeyStateRecord {
  const longestMs = Math.max(state.longestSeconds, next.longestSeconds) * 1000;
  return { ...state, verifiesUntilMs: next.signsFromMs + longestMs + SPENT_SLACK_MS };
}

function subjectOf({ principal }: Call): string {
  return principal.subject;
}

/** Whoever asks this replica next finds what it has said. */
export async function untilSeen<T extends { readonly revision: number }>(ctx: ServiceContext, answer: T): Promise<T> {
  await ctx.mirror.waitFor(answer.revision, { timeoutMs: CATCH_UP_MS });
  return answer;
}

function keyView(state: KeyStateRecord, states: KeyStates, nowMs: number): KeyView {
  const { kid, createdAtMs, createdBy, signsFromMs, verifiesUntilMs, revoked } = state;
  return {
    kid,
    state: standingOf(kid, new Map([...states, [kid, state]]), nowMs),
    createdAt: timeView(createdAtMs),
    createdBy,
    signsFrom: timeView(signsFromMs),
    verifiesUntil: verifiesUntilMs === null ? null : timeView(verifiesUntilMs),
    retired: revoked === null ? null : { at: timeView(revoked.atMs), by: revoked.by, reason: revoked.reason },
  };
}
