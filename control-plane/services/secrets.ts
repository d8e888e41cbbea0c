/**
 * What can be done with secrets: set them, see that they are there, take them away. What one says goes in here and comes out nowhere
 * but to the agent that runs a task which names it: that is in `task-secrets.ts`.
 */
import { Refusal } from '../../shared/domain/errors.ts';
import { type RolePath, roleWithin } from '../../shared/domain/ids.ts';
import type { Job } from '../../shared/domain/job.ts';
import {
  mayNameSecretsOf,
  SECRETS_PER_ROLE_MAX,
  type SecretKey,
  type SecretNote,
  secretName,
  secretsOf,
} from '../../shared/domain/secret.ts';
import type { SecretRequest, SecretView } from '../../shared/protocol/secrets.ts';
import type { Page } from '../../shared/protocol/views.ts';
import { present } from '../../shared/util/assert.ts';
import { base64Decode, utf8Decode, utf8Encode } from '../../shared/util/codec.ts';
import type { Envelope } from '../auth/envelope.ts';
import type { Principal } from '../auth/principal.ts';
import { keys } from '../store/keys.ts';
import type { SealedBox } from '../store/record-types.ts';
import { putRecord } from '../store/records.ts';
import { demand, mayRead } from './access.ts';
import type { Answer, Call, PageRequest, ServiceContext } from './context.ts';
import { type Draft, mutate } from './mutation.ts';
import { pageThrough } from './paging.ts';
import { checkVersion } from './set-version.ts';
import { demandRoom } from './store-room.ts';
import { timeView } from './views.ts';

/** A value is sealed for the version that it becomes: anew this often when others set the same secret. */
const SEALINGS_MAX = 8;
/** Of jobs that a refusal names. */
const NAMED_MAX = 5;

export interface SecretConditions {
  /** The version that the caller has seen; anything else that stands is a `revision-mismatch`. */
  readonly ifVersion: number | null;
  /** Refuse if there is such a secret already. */
  readonly onlyCreate: boolean;
}

/** Sets what the secret says. Tasks that run keep what they were given; what starts from now on gets this. */
export async function setSecret(
  ctx: ServiceContext,
  call: Call,
  key: SecretKey,
  request: SecretRequest,
  conditions: SecretConditions,
): Promise<Answer<SecretView>> {
  demand(call.principal, 'secret:write', key.role);
  const envelope = demandEnvelope(ctx);
  const value = bytesOf(request);
  for (let tries = 0; tries < SEALINGS_MAX; tries++) {
    const version = (ctx.mirror.snapshot.secretNote(key)?.version ?? 0) + 1;
    const sealed = await envelope.seal(value, aboutSecret(ctx, key, version));
    const wish = { key, version, sealed, isText: isVariable(value), conditions };
    try {
      return await mutate(ctx, call, () => draftSecret(ctx, call, wish));
    } catch (error) {
      if (!(error instanceof OtherVersionError)) throw error;
    }
  }
  throw new Refusal('conflict', `others kept setting ${named(key)}; try again`, { retryAfterSeconds: 1 });
}

/** What was sealed is for another version than the one that is next. */
class OtherVersionError extends Error {
  override readonly name = 'OtherVersionError';
}

interface Wish {
  readonly key: SecretKey;
  readonly version: number;
  readonly sealed: SealedBox;
  readonly isText: boolean;
  readonly conditions: SecretConditions;
}

function draftSecret(
  ctx: ServiceContext,
  { principal }: Call,
  { key, version, sealed, isText, conditions: { ifVersion, onlyCreate } }: Wish,
): Draft<SecretView> {
  const { snapshot } = ctx.mirror;
  const before = snapshot.secretNote(key);
  if (onlyCreate && before !== undefined) throw new Refusal('revision-mismatch', `there is ${named(key)} already`);
  checkVersion(named(key), before?.version ?? 0, ifVersion);
  if (version !== (before?.version ?? 0) + 1) throw new OtherVersionError();
  demandRoom(ctx);
  if (before === undefined) demandPlaceFor(ctx, key);
  const atMs = ctx.clock.now();
  const by = principal.subject;
  const note: SecretNote = {
    ...{ name: key.name, role: key.role, version, isText, envelopeKey: sealed.envelopeKey },
    ...{
      createdAtMs: before?.createdAtMs ?? atMs,
      createdBy: before?.createdBy ?? by,
      updatedAtMs: atMs,
      updatedBy: by,
    },
  };
  const noteKey = keys.secretNote(key);
  return {
    status: before === undefined ? 201 : 200,
    body: secretView(ctx, principal, note),
    compares: [{ key: noteKey, modRevision: snapshot.modRevision(noteKey) }],
    writes: [putRecord('vault', noteKey, note), putRecord('sealed', keys.sealed(key), { ...sealed, version })],
  };
}

/** Several that come at once may go over the bound by as many. */
function demandPlaceFor({ mirror: { snapshot } }: ServiceContext, { role }: SecretKey): void {
  const count = [...snapshot.secretNotes()].filter((note) => note.role === role).length;
  if (count < SECRETS_PER_ROLE_MAX) return;
  throw new Refusal('limit-exceeded', `role "${role}" has ${count} secrets; at most ${SECRETS_PER_ROLE_MAX} are kept`);
}

/** Takes the secret away. Refused, unless forced, while a job names it: its next tasks couldn't start. */
export function deleteSecret(
  ctx: ServiceContext,
  call: Call,
  key: SecretKey,
  { ifVersion, force }: { readonly ifVersion: number | null; readonly force: boolean },
): Promise<Answer<SecretView>> {
  const { principal } = call;
  return mutate(ctx, call, () => {
    const may = (action: 'secret:read' | 'secret:write') => mayRead(principal, action, key.role);
    if (!may('secret:read') && !may('secret:write')) throw absent(key);
    demand(principal, 'secret:write', key.role);
    const { snapshot } = ctx.mirror;
    const note = snapshot.secretNote(key);
    if (note === undefined) throw absent(key);
    checkVersion(named(key), note.version, ifVersion);
    if (!force) demandUnused(ctx, principal, key);
    const noteKey = keys.secretNote(key);
    return {
      status: 200,
      body: secretView(ctx, principal, note),
      compares: [{ key: noteKey, modRevision: snapshot.modRevision(noteKey) }],
      writes: [
        { type: 'delete', key: noteKey },
        { type: 'delete', key: keys.sealed(key) },
      ],
    };
  });
}

function demandUnused(ctx: ServiceContext, principal: Principal, key: SecretKey): void {
  const users = jobsThatUse(ctx, key);
  if (users.length === 0) return;
  const known = users.filter(({ spec }) => mayRead(principal, 'job:read', spec.role));
  const shown = known.slice(0, NAMED_MAX).map(({ spec }) => `"${secretName(spec)}"`);
  const others = users.length - shown.length;
  const more =
    others === 0 ? [] : [shown.length === 0 ? `${counted(others, 'job')} that you may not read` : `${others} more`];
  const who = [...shown, ...more].join(', ');
  throw new Refusal(
    'conflict',
    `${named(key)} is named by ${who}: tasks of them that start later would fail; change them first, or force it`,
  );
}

/** One secret, as far as it may be known: never what it says. */
export function getSecret(ctx: ServiceContext, principal: Principal, key: SecretKey): SecretView {
  const note = mayRead(principal, 'secret:read', key.role) ? ctx.mirror.snapshot.secretNote(key) : undefined;
  if (note === undefined) throw absent(key);
  return secretView(ctx, principal, note);
}

/** Secrets of roles that the principal may know of: of that one and those below it, or of all. */
export function listSecrets(
  ctx: ServiceContext,
  principal: Principal,
  { role }: { readonly role: RolePath | null },
  page: PageRequest,
): Page<SecretView> {
  const visible = [...ctx.mirror.snapshot.secretNotes()].filter(
    (note) => (role === null || roleWithin(note.role, role)) && mayRead(principal, 'secret:read', note.role),
  );
  return pageThrough(visible, page, { keyOf: secretName, view: (note) => secretView(ctx, principal, note) });
}

function secretView(ctx: ServiceContext, principal: Principal, note: SecretNote): SecretView {
  const users = jobsThatUse(ctx, note).filter(({ spec }) => mayRead(principal, 'job:read', spec.role));
  return {
    ...{ name: note.name, role: note.role, version: note.version, isText: note.isText, envelopeKey: note.envelopeKey },
    ...{ createdAt: timeView(note.createdAtMs), createdBy: note.createdBy },
    ...{ updatedAt: timeView(note.updatedAtMs), updatedBy: note.updatedBy },
    usedBy: users.map(({ spec }) => secretName(spec)).sort(),
  };
}

/** Jobs that may yet start tasks which name it. */
function jobsThatUse({ mirror: { snapshot } }: ServiceContext, key: SecretKey): Job[] {
  const wanted = secretName(key);
  return [...snapshot.unsettledJobs()].filter(
    ({ spec, deleted }) =>
      !deleted &&
      mayNameSecretsOf(spec.role, key.role) &&
      secretsOf(spec).some((other) => secretName(other) === wanted),
  );
}

/** What a value is bound to: put into another place of the store, or back after it was set anew, it can't be opened. */
export function aboutSecret({ mirror }: ServiceContext, { role, name }: SecretKey, version: number): string[] {
  return ['secret', present(mirror.snapshot.cluster, 'the cluster record').id, role, name, String(version)];
}

/** Throws where nothing can be sealed here. */
export function demandEnvelope({ envelope, replica }: ServiceContext): Envelope {
  if (envelope !== undefined) return envelope;
  const how = 'make one with `berth secret keygen`, and start every replica with --envelope-key-file';
  throw new Refusal('unavailable', `replica "${replica.id}" has no envelope key, so it keeps no secrets; ${how}`);
}

/** Once, when a replica starts: what it will not be able to hand to anybody. */
export function tellUnopenable({ mirror, envelope, log }: Pick<ServiceContext, 'mirror' | 'envelope' | 'log'>): void {
  const closed = [...mirror.snapshot.secretNotes()].filter((note) => envelope?.opens(note) !== true);
  if (closed.length === 0) return;
  const envelopeKeys = [...new Set(closed.map((note) => note.envelopeKey))].sort().join(', ');
  log.error(
    { secrets: closed.length, envelopeKeys },
    'secrets are sealed under envelope keys that this replica does not have; give it those keys with --envelope-key-file',
  );
}

function counted(count: number, word: string): string {
  return count === 1 ? `1 ${word}` : `${count} ${word}s`;
}

/** As people say it: `secret "db-password" of role "eng/ml"`. */
export function named({ role, name }: SecretKey): string {
  return `secret "${name}" of role "${role}"`;
}

function absent(key: SecretKey): Refusal {
  return new Refusal('not-found', `there is no ${named(key)}`);
}

function bytesOf({ value, encoding }: SecretRequest): Uint8Array<ArrayBuffer> {
  if (encoding === 'utf8') return utf8Encode(value);
  return present(base64Decode(value), 'bytes of a checked request');
}

function isVariable(value: Uint8Array): boolean {
  if (value.includes(0)) return false;
  try {
    utf8Decode(value);
    return true;
  } catch {
    return false;
  }
}
