import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import { registerNode } from '../../../control-plane/services/agents.ts';
import { submitJob, updateJob } from '../../../control-plane/services/jobs.ts';
import { reseal } from '../../../control-plane/services/resealing.ts';
import { deleteSecret, getSecret, listSecrets, setSecret } from '../../../control-plane/services/secrets.ts';
import { getStatus } from '../../../control-plane/services/status.ts';
import { secretsOfTask } from '../../../control-plane/services/task-secrets.ts';
import { stopTask } from '../../../control-plane/services/tasks.ts';
import { ensureSigningKey } from '../../../control-plane/services/tokens.ts';
import { keys, PREFIX } from '../../../control-plane/store/keys.ts';
import { decodeRecord, putRecord } from '../../../control-plane/store/records.ts';
import { jobSpecSchema } from '../../../shared/protocol/job.ts';
import type { SecretRequest } from '../../../shared/protocol/secrets.ts';
import { present } from '../../../shared/util/assert.ts';
import { base64Decode, utf8Decode } from '../../../shared/util/codec.ts';
import {
  ADMIN,
  callOf,
  caughtUp,
  envelopeKey,
  envelopeOf,
  granted,
  JOINER,
  nodeOf,
  specOf,
  startReplica,
  type TestReplica,
} from '../../support/replica.ts';

const VALUE = 'correct-horse-battery-staple';
const KEY = { role: 'eng', name: 'db-password' };
const ANYHOW = { ifVersion: null, onlyCreate: false };
const PAGE = { limit: 100, after: null };
const K1 = envelopeKey('k1');
const K2 = envelopeKey('k2');

let replica: TestReplica;

beforeEach(async () => {
  replica = await startReplica({ envelope: await envelopeOf(K1) });
});
afterEach(() => replica.stop());

function text(value: string): SecretRequest {
  return { value, encoding: 'utf8' };
}

async function set(key = KEY, value = VALUE, by = ADMIN) {
  const answer = await setSecret(replica.ctx, callOf(by), key, text(value), ANYHOW);
  await caughtUp(replica.ctx);
  return answer.body;
}

const group = (uses: readonly object[]) => ({ image: 'berth/busybox:local', secrets: uses });
const jobWith = (uses: readonly object[], role = 'eng') =>
  jobSpecSchema.parse({ name: 'hello', role, groups: [group(uses)] });
const AS_ENV = { name: 'db-password', env: 'DB_PASSWORD' };

/** Every value in the store, as one text. */
async function dump(): Promise<string> {
  const { keyValues } = await replica.ctx.store.range({ prefix: PREFIX });
  return keyValues.map(({ key, value }) => `${key} ${value}`).join('\n');
}

describe('a secret', () => {
  it('is there with its versions, and never with what it says', async () => {
    expect(await set()).toMatchObject({ ...KEY, version: 1, isText: true, createdBy: 'admin', usedBy: [] });
    expect(await set(KEY, 'another-value')).toMatchObject({ version: 2 });
    const shown = [getSecret(replica.ctx, ADMIN, KEY), listSecrets(replica.ctx, ADMIN, { role: 'eng' }, PAGE)];
    expect(JSON.stringify(shown)).not.toMatch(/another-value|correct-horse/);
    expect(shown[1]).toMatchObject({ items: [{ version: 2 }], next: null });
    const stored = await dump();
    expect(stored).toContain('/sealed/eng/db-password');
    expect(stored).not.toMatch(/another-value|correct-horse/);
    expect(JSON.stringify([...replica.ctx.mirror.snapshot.secretNotes()])).not.toMatch(/box|wrappedKey/);
  });

  it('is set under the version that was seen, or only where there is none', async () => {
    await set();
    const again = (conditions: object) =>
      setSecret(replica.ctx, callOf(), KEY, text('x'), { ...ANYHOW, ...conditions });
    await expect(again({ ifVersion: 2 })).rejects.toMatchObject({ code: 'revision-mismatch' });
    await expect(again({ onlyCreate: true })).rejects.toMatchObject({ code: 'revision-mismatch' });
    expect((await again({ ifVersion: 1 })).body.version).toBe(2);
  });

  it('keeps both of two settings that come at once, one after the other', async () => {
    const both = await Promise.all(
      ['a', 'b'].map((value) => setSecret(replica.ctx, callOf(), KEY, text(value), ANYHOW)),
    );
    expect(both.map(({ body }) => body.version).sort()).toEqual([1, 2]);
  });

  it('is nobody’s business in another role: there is none', async () => {
    await set();
    const other = granted(ADMIN, { roles: ['ops'], actions: ['*'] });
    expect(() => getSecret(replica.ctx, other, KEY)).toThrow('there is no secret "db-password" of role "eng"');
    expect(listSecrets(replica.ctx, other, { role: null }, PAGE).items).toEqual([]);
    const gone = deleteSecret(replica.ctx, callOf(other), KEY, { ifVersion: null, force: true });
    await expect(gone).rejects.toMatchObject({ code: 'not-found' });
    const put = setSecret(replica.ctx, callOf(other), KEY, text('x'), ANYHOW);
    await expect(put).rejects.toMatchObject({ code: 'forbidden' });
    const reader = granted(ADMIN, { roles: ['eng'], actions: ['secret:read'] });
    const refused = deleteSecret(replica.ctx, callOf(reader), KEY, { ifVersion: null, force: true });
    await expect(refused).rejects.toMatchObject({ code: 'forbidden' });
  });

  it('can’t be kept without an envelope key, and the refusal says how to make one', async () => {
    const { ctx } = replica;
    const bare = { ...ctx, envelope: undefined };
    await expect(setSecret(bare, callOf(), KEY, text('x'), ANYHOW)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('berth secret keygen'),
    });
  });

  it('stays while a job names it, unless its end is forced', async () => {
    await set();
    await submitJob(replica.ctx, callOf(), jobWith([AS_ENV]));
    await caughtUp(replica.ctx);
    expect(getSecret(replica.ctx, ADMIN, KEY).usedBy).toEqual(['eng:hello']);
    const end = (by = ADMIN, force = false) => deleteSecret(replica.ctx, callOf(by), KEY, { ifVersion: null, force });
    await expect(end()).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('"eng:hello"') });
    const blind = granted(ADMIN, { roles: ['eng'], actions: ['secret:*'] });
    await expect(end(blind)).rejects.toThrow('1 job that you may not read');
    await end(ADMIN, true);
    await caughtUp(replica.ctx);
    expect(await dump()).not.toContain('db-password","role":"eng","version');
    expect(() => getSecret(replica.ctx, ADMIN, KEY)).toThrow('there is no secret');
  });
});

describe('a job that names secrets', () => {
  it('is taken when they are there, of its own role or one above', async () => {
    await set();
    await set({ role: 'eng/ml', name: 'api-key' });
    const uses = [
      { ...AS_ENV, role: 'eng' },
      { name: 'api-key', file: 'api-key' },
    ];
    await submitJob(replica.ctx, callOf(), jobWith(uses, 'eng/ml'));
  });

  test.each([
    ['is not there', [{ name: 'nothing', env: 'X' }], 'eng', '/groups/0/secrets/0/name there is no secret "nothing"'],
    ['is of a role below', [{ ...AS_ENV, role: 'eng/ml' }], 'eng', 'neither the job'],
    ['is of a role beside', [{ ...AS_ENV, role: 'ops' }], 'eng', 'neither the job'],
    ['is no text and is to be a variable', [{ name: 'binary', env: 'X' }], 'eng', 'isn’t text'],
  ])('is refused when one %s', async (_what, uses, role, why) => {
    await set();
    const binary: SecretRequest = { value: 'AP/+', encoding: 'base64' };
    await setSecret(replica.ctx, callOf(), { role: 'eng', name: 'binary' }, binary, ANYHOW);
    await caughtUp(replica.ctx);
    const submit = async () => submitJob(replica.ctx, callOf(), jobWith(uses, role));
    await expect(submit()).rejects.toThrow(why.replace('’', "'"));
  });

  it('takes the right to use them, whoever first submitted it', async () => {
    await set();
    const without = granted(ADMIN, { roles: ['eng'], actions: ['job:*', 'secret:read', 'secret:write'] });
    const submit = async (by: typeof ADMIN) => submitJob(replica.ctx, callOf(by), jobWith([AS_ENV]));
    await expect(submit(without)).rejects.toMatchObject({ code: 'forbidden' });
    await submit(granted(without, { actions: ['job:*', 'secret:use'] }));
    await caughtUp(replica.ctx);
    const spec = { ...jobWith([AS_ENV]), labels: { changed: 'yes' } };
    const change = async () => updateJob(replica.ctx, callOf(without), spec, ANYHOW);
    await expect(change()).rejects.toMatchObject({ code: 'forbidden', message: expect.stringContaining('secret:use') });
  });

  it('is not accepted on a secret that goes at that moment', async () => {
    await set();
    const { ctx } = replica;
    const [submitted] = await Promise.allSettled([
      submitJob(ctx, callOf(), jobWith([AS_ENV])),
      deleteSecret(ctx, callOf(), KEY, { ifVersion: null, force: true }),
    ]);
    await caughtUp(ctx);
    const isAccepted = ctx.mirror.snapshot.jobByKey({ role: 'eng', name: 'hello' }) !== undefined;
    expect(submitted.status).toBe(isAccepted ? 'fulfilled' : 'rejected');
  });
});

describe('what the agent is told', () => {
  async function placed(uses: readonly object[] = [AS_ENV]) {
    const { ctx } = replica;
    const session = await joined('edge-1');
    await submitJob(ctx, callOf(), jobWith(uses));
    await caughtUp(ctx);
    await replica.settle();
    const [task] = [...ctx.mirror.snapshot.tasks.values()];
    return { session, task: present(task, 'a placed task').id };
  }

  async function joined(node: string) {
    const { epoch } = await registerNode(replica.ctx, JOINER, { node: nodeOf(node), seen: null, tasks: [] });
    await caughtUp(replica.ctx);
    return { node, epoch };
  }

  it('is what the task names, as it is now', async () => {
    await set();
    await set({ role: 'eng', name: 'unnamed' });
    const { session, task } = await placed();
    await set(KEY, 'the-latest');
    const { secrets, missing } = await secretsOfTask(replica.ctx, session, task);
    expect(missing).toEqual([]);
    expect(secrets).toMatchObject([{ ...KEY, version: 2 }]);
    expect(utf8Decode(base64Decode(secrets[0]?.value ?? '') ?? new Uint8Array())).toBe('the-latest');
  });

  it('is nothing where the task is another node’s, has an end to come, or has ended', async () => {
    await set();
    const { session, task } = await placed();
    const other = await joined('edge-2');
    const refusal = { code: 'not-found' };
    await expect(secretsOfTask(replica.ctx, other, task)).rejects.toMatchObject(refusal);
    await expect(secretsOfTask(replica.ctx, session, 'no-such-task')).rejects.toMatchObject(refusal);
    const later = { ...session, epoch: session.epoch + 1 };
    await expect(secretsOfTask(replica.ctx, later, task)).rejects.toMatchObject({ code: 'stale-epoch' });
    await stopTask(replica.ctx, callOf(), task, { reason: 'enough' });
    await caughtUp(replica.ctx);
    await replica.settle();
    await expect(secretsOfTask(replica.ctx, session, task)).rejects.toMatchObject(refusal);
  });

  it('names what is gone', async () => {
    await set();
    const { session, task } = await placed();
    await deleteSecret(replica.ctx, callOf(), KEY, { ifVersion: null, force: true });
    await caughtUp(replica.ctx);
    expect(await secretsOfTask(replica.ctx, session, task)).toEqual({
      secrets: [],
      missing: [{ ...KEY, why: 'secret "db-password" of role "eng" is not there any more' }],
    });
  });

  it('is never what somebody has put there by way of the store', async () => {
    await set({ role: 'ops', name: 'db-password' }, 'of-another-role');
    await set(KEY, 'the-first');
    const { store } = replica.ctx;
    const read = async (key: string) => present((await store.get(key)).keyValue, key);
    const first = decodeRecord('sealed', 'sealed', (await read(keys.sealed(KEY))).value);
    await set(KEY, 'the-second');
    const { session, task } = await placed();
    const foreign = decodeRecord('sealed', 'sealed', (await read(keys.sealed({ ...KEY, role: 'ops' }))).value);
    const put = async (record: typeof first) => {
      await store.transact({ compares: [], writes: [putRecord('sealed', keys.sealed(KEY), record)] });
      await caughtUp(replica.ctx);
      return secretsOfTask(replica.ctx, session, task);
    };
    await expect(put(first)).rejects.toMatchObject({ code: 'unavailable' });
    for (const forged of [first, foreign]) {
      expect(await put({ ...forged, version: 2 })).toMatchObject({
        secrets: [],
        missing: [{ ...KEY, why: expect.stringContaining('not what was sealed') }],
      });
    }
  });

  it('waits for a replica that has the key', async () => {
    await set();
    const { session, task } = await placed();
    const other = { ...replica.ctx, envelope: await envelopeOf(K2) };
    await expect(secretsOfTask(other, session, task)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(/secret "db-password".*sealed under the envelope key k1\..*has k2\./),
    });
    const bare = { ...replica.ctx, envelope: undefined };
    await expect(secretsOfTask(bare, session, task)).rejects.toMatchObject({ code: 'unavailable' });
    expect((await getStatus(other, ADMIN)).secrets).toMatchObject({ total: 1, elsewhere: 1, unopenable: 1 });
    expect((await getStatus(replica.ctx, ADMIN)).secrets).toMatchObject({ total: 1, elsewhere: 0, unopenable: 0 });
  });

  it('is the same through a change of the envelope key, with replicas that have the one or the other', async () => {
    await set();
    const { session, task } = await placed();
    const { ctx } = replica;
    const told = async (context: typeof ctx) => (await secretsOfTask(context, session, task)).secrets[0]?.value;
    const value = await told(ctx);
    // Opened everywhere before anything is sealed under it.
    const opening = { ...ctx, envelope: await envelopeOf(K1, K2) };
    const sealing = { ...ctx, envelope: await envelopeOf(K2, K1) };
    const after = { ...ctx, envelope: await envelopeOf(K2) };
    await ensureSigningKey(ctx);
    expect(await reseal(sealing, ADMIN)).toMatchObject({ resealed: 2, left: 0, unopenable: 0 });
    await caughtUp(ctx);
    for (const context of [opening, sealing, after]) {
      expect(await told(context)).toBe(value);
      await ensureSigningKey(context);
    }
    expect(await reseal(after, ADMIN)).toMatchObject({ resealed: 0, left: 0 });
    expect(await reseal(ctx, ADMIN)).toMatchObject({ resealed: 0, left: 2, unopenable: 2 });
    expect(getSecret(ctx, ADMIN, KEY)).toMatchObject({ version: 1, envelopeKey: after.envelope.current });
    await expect(told(ctx)).rejects.toMatchObject({ code: 'unavailable' });
    await expect(reseal(after, granted(ADMIN, { actions: ['secret:write'] }))).rejects.toMatchObject({
      code: 'forbidden',
    });
  });
});

describe('the control plane’s own keys', () => {
  const stored = async () => (await replica.ctx.store.range({ prefix: keys.signingKey('') })).keyValues[0]?.value ?? '';

  it('are sealed from the start where there is an envelope key, and of no use without it', async () => {
    const ring = await ensureSigningKey(replica.ctx);
    expect(JSON.parse(await stored())).toMatchObject({ privateJwk: null, sealed: { envelopeKey: expect.any(String) } });
    expect((await ensureSigningKey(replica.ctx)).current.publicJwk).toEqual(ring.current.publicJwk);
    for (const envelope of [undefined, await envelopeOf(K2)]) {
      await expect(ensureSigningKey({ ...replica.ctx, envelope })).rejects.toThrow(
        /the signing key "1" can't be opened: it is sealed under the envelope key k1\./,
      );
    }
  });

  it('that an earlier replica left in the clear are sealed by the first that can', async () => {
    const clear = await ensureSigningKey({ ...replica.ctx, envelope: undefined });
    expect(await stored()).toContain('\\"d\\":');
    const sealed = await ensureSigningKey(replica.ctx);
    expect(sealed.current.publicJwk).toEqual(clear.current.publicJwk);
    expect(await stored()).not.toContain('\\"d\\":');
  });
});

test('a job without secrets takes no right to use any', async () => {
  const plain = granted(ADMIN, { roles: ['default'], actions: ['job:*'] });
  await submitJob(replica.ctx, callOf(plain), specOf());
});
