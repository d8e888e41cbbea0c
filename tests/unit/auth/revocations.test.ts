/** Which tokens count no more, asked from memory and told as it happens. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CryptoRandom } from '../../../control-plane/adapters/random/crypto-random.ts';
import { MirroredRevocations, type Revocable } from '../../../control-plane/auth/revocations.ts';
import { TokenMint, type TokenTerms } from '../../../control-plane/auth/tokens.ts';
import { createVerifier } from '../../../control-plane/auth/verify.ts';
import { ensureSigningKey } from '../../../control-plane/services/signing-keys.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import type { RevocationScope, TokenRecord } from '../../../shared/domain/token-record.ts';
import { ManualClock } from '../../store/manual-clock.ts';
import { caughtUp, startReplica, type TestReplica } from '../../support/replica.ts';

const NOTED = { atMs: 0, by: 'alice', untilMs: 1e15, reason: 'lost' };
const TOKEN: Revocable = {
  principal: { kind: 'user', subject: 'ci', tokenId: 't1', node: null },
  issuedAtMs: 1000,
  kid: '1',
};

let clock: ManualClock;
let replica: TestReplica;
let revocations: MirroredRevocations;

beforeEach(async () => {
  clock = new ManualClock();
  replica = await startReplica({ clock });
  revocations = new MirroredRevocations(replica.ctx.mirror);
});
afterEach(() => replica.stop());

async function put(record: TokenRecord): Promise<string> {
  const key = record.type === 'revoked-before' ? keys.revokedBefore(record.scope) : keys.revokedToken('t1');
  await replica.ctx.store.transact({ compares: [], writes: [putRecord('tokens', key, record)] });
  await caughtUp(replica.ctx);
  return key;
}

async function remove(key: string): Promise<void> {
  await replica.ctx.store.transact({ compares: [], writes: [{ type: 'delete', key }] });
  await caughtUp(replica.ctx);
}

const issuedBefore = (scope: RevocationScope, beforeMs = 1001): TokenRecord => ({
  ...{ type: 'revoked-before', scope, beforeMs },
  ...NOTED,
});

describe('a token counts no more', () => {
  it('when its id is revoked, for as long as the record stands', async () => {
    expect(revocations.reasonAgainst(TOKEN)).toBeNull();
    const key = await put({ type: 'revoked', id: 't1', ...NOTED });
    expect(revocations.reasonAgainst(TOKEN)).toBe('the token was revoked');
    const other = { ...TOKEN, principal: { ...TOKEN.principal, tokenId: 't2' } };
    expect(revocations.reasonAgainst(other)).toBeNull();
    await remove(key);
    expect(revocations.reasonAgainst(TOKEN)).toBeNull();
  });

  it.each<[RevocationScope, Partial<Revocable['principal']>, Partial<Revocable['principal']>]>([
    [{ of: 'all' }, {}, { tokenId: '' }],
    [{ of: 'kind', kind: 'node' }, { kind: 'node' }, { kind: 'user' }],
    [{ of: 'subject', subject: 'ci' }, { subject: 'ci' }, { subject: 'ci2' }],
    [{ of: 'node', node: 'edge-1' }, { node: 'edge-1' }, { node: null }],
  ])('when it was issued before a time: %j', async (scope, within, outside) => {
    await put(issuedBefore(scope));
    const of = (principal: Partial<Revocable['principal']>, issuedAtMs: number): Revocable => ({
      ...{ ...TOKEN, issuedAtMs },
      principal: { ...TOKEN.principal, ...principal },
    });
    expect(revocations.reasonAgainst(of(within, 1000))).toContain('was issued before a time');
    expect(revocations.reasonAgainst(of(within, 1001))).toBeNull();
    if (scope.of !== 'all') expect(revocations.reasonAgainst(of(outside, 1000))).toBeNull();
  });

  it('when its key was retired at once', async () => {
    const state = {
      kid: '1',
      createdAtMs: 0,
      createdBy: 'a',
      signsFromMs: 0,
      verifiesUntilMs: null,
      longestSeconds: 1,
    };
    const revoked = { atMs: 1, by: 'a', reason: 'leaked' };
    const write = putRecord('keys', keys.keyState('1'), { ...state, revoked });
    await replica.ctx.store.transact({ compares: [], writes: [write] });
    await caughtUp(replica.ctx);
    expect(revocations.reasonAgainst(TOKEN)).toContain('a key that was retired');
    expect(revocations.reasonAgainst({ ...TOKEN, kid: null })).toBeNull();
  });
});

describe('whoever watches a token', () => {
  it('is told once, as it happens, and not of others', async () => {
    const told: string[] = [];
    revocations.watch(TOKEN, (why) => told.push(why));
    await put(issuedBefore({ of: 'subject', subject: 'else' }));
    expect(told).toEqual([]);
    await put({ type: 'revoked', id: 't1', ...NOTED });
    await put(issuedBefore({ of: 'all' }));
    expect(told).toEqual(['the token was revoked']);
  });

  it('is told at once of one that is revoked already, and nothing once it has left', async () => {
    const told: string[] = [];
    revocations.watch(TOKEN, (why) => told.push(why))();
    await put({ type: 'revoked', id: 't1', ...NOTED });
    expect(told).toEqual([]);
    revocations.watch(TOKEN, (why) => told.push(why));
    expect(told).toEqual(['the token was revoked']);
  });
});

describe('tokens that are verified', () => {
  const TERMS: TokenTerms = { kind: 'user', subject: 'ci', grants: [], node: null, ttlSeconds: 600 };

  async function parts() {
    const ring = await ensureSigningKey(replica.ctx);
    const issuer = 'berth:here';
    const mint = new TokenMint({ issuer, ring, clock, random: new CryptoRandom(), revocations });
    const fetch = () => Promise.reject(new Error('nothing is fetched'));
    return { mint, verifier: createVerifier({ clock, ring, revocations, issuer, outside: [], fetch }) };
  }

  it('are refused from the moment on that the mirror knows, though they were seen before', async () => {
    const { mint, verifier } = await parts();
    const { token, id } = await mint.mint(TERMS);
    await verifier.verify(token);
    await put({ type: 'revoked', id, ...NOTED });
    await expect(verifier.verify(token)).rejects.toMatchObject({
      code: 'unauthenticated',
      message: 'the token was revoked',
    });
  });

  it('count if they were made after a revocation, be it in the same second or by a clock that is behind', async () => {
    const { mint, verifier } = await parts();
    await clock.advance(250);
    const earlier = (await mint.mint(TERMS)).token;
    await clock.advance(250);
    await put(issuedBefore({ of: 'all' }, clock.now()));
    await expect(verifier.verify(earlier)).rejects.toMatchObject({ code: 'unauthenticated' });
    await expect(verifier.verify((await mint.mint(TERMS)).token)).resolves.toBeDefined();
    await put(issuedBefore({ of: 'all' }, clock.now() + 20_000));
    await expect(verifier.verify((await mint.mint(TERMS)).token)).resolves.toBeDefined();
  });
});
