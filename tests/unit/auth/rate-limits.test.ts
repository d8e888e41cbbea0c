import { describe, expect, it } from 'vitest';
import type { Principal } from '../../../control-plane/auth/principal.ts';
import { anonymousPrincipal } from '../../../control-plane/auth/principal.ts';
import { guarded, RATE_DEFAULTS, RateLimits, type RatePolicy } from '../../../control-plane/auth/rate-limits.ts';
import type { VerifiedToken, Verifier } from '../../../control-plane/auth/verify.ts';
import { Refusal } from '../../../shared/domain/errors.ts';
import { ManualClock } from '../../store/manual-clock.ts';
import { ADMIN, nodePrincipal } from '../../support/replica.ts';

const SMALL = { perSecond: 1, burst: 2, lastingMax: 2 };
const POLICY: RatePolicy = {
  ...RATE_DEFAULTS,
  user: SMALL,
  node: { ...SMALL, burst: 4 },
  stranger: { perSecond: 1, burst: 2 },
};

function setUp(callersMax?: number) {
  const clock = new ManualClock();
  const limits = new RateLimits({ policy: POLICY, clock, ...(callersMax !== undefined && { callersMax }) });
  const allowed = (principal: Principal, address: string | null = null, times = 10) =>
    Array.from({ length: times }, () => isTaken(() => limits.countRequest(principal, address))).filter(Boolean).length;
  const strangers = (address: string | null, times = 10) =>
    Array.from({ length: times }, () => isTaken(() => limits.countStranger(address))).filter(Boolean).length;
  return { clock, limits, allowed, strangers };
}

function isTaken(count: () => unknown): boolean {
  try {
    count();
    return true;
  } catch (error) {
    expect(error).toMatchObject({ code: 'limit-exceeded' });
    return false;
  }
}

const user = (subject: string): Principal => ({ ...ADMIN, subject });

describe('requests of a principal', () => {
  it('are refused beyond its rate, with the time to wait', async () => {
    const { clock, limits, allowed } = setUp();
    expect(allowed(user('ci'))).toBe(2);
    const refused = () => limits.countRequest(user('ci'), null);
    expect(refused).toThrow(/user "ci" sends more than 1 requests a second .* try again in 1 s/);
    expect(refused).toThrow(expect.objectContaining({ retryAfterSeconds: 1 }));
    await clock.advance(1000);
    expect(allowed(user('ci'))).toBe(1);
  });

  it('count for each subject of each kind, whichever token it shows and wherever it comes from', () => {
    const { allowed } = setUp();
    expect(allowed(user('ci'), '192.0.2.1')).toBe(2);
    expect(allowed({ ...user('ci'), tokenId: 'another' }, '192.0.2.2')).toBe(0);
    expect(allowed(user('other'))).toBe(2);
    expect(allowed({ ...nodePrincipal('ci') })).toBe(4);
  });

  it('without a token of their own count for each address', () => {
    const { allowed } = setUp();
    const anonymous = anonymousPrincipal({ roles: ['default'], actions: [] });
    expect(allowed(anonymous, '192.0.2.1')).toBe(2);
    expect(allowed(anonymous, '192.0.2.2')).toBe(2);
    expect(allowed(anonymous, '192.0.2.1')).toBe(0);
  });

  it('are remembered of so many principals, and no flood of strangers makes them forgotten', () => {
    const { allowed, strangers } = setUp(2);
    allowed(user('a'));
    for (let at = 0; at < 50; at++) strangers(`192.0.2.${at}`);
    expect(allowed(user('a'))).toBe(0);
    allowed(user('b'));
    allowed(user('c'));
    expect(allowed(user('a'))).toBe(2);
  });

  it('are never refused where there is no policy', () => {
    const limits = new RateLimits({ policy: null, clock: new ManualClock() });
    for (let at = 0; at < 5000; at++) {
      limits.countRequest(user('ci'), null);
      limits.countStranger(null);
      limits.holdLasting(user('ci'), null);
    }
  });
});

describe('what lasts', () => {
  it('is bounded for each principal, and makes room once as it ends', () => {
    const { limits } = setUp();
    const [first] = [limits.holdLasting(user('ci'), null), limits.holdLasting(user('ci'), null)];
    expect(() => limits.holdLasting(user('ci'), null)).toThrow(/has 2 streams and waiting calls open/);
    expect(isTaken(() => limits.holdLasting(user('other'), null))).toBe(true);
    first?.();
    first?.();
    expect(isTaken(() => limits.holdLasting(user('ci'), null))).toBe(true);
    expect(isTaken(() => limits.holdLasting(user('ci'), null))).toBe(false);
  });
});

const VERIFIED: VerifiedToken = { principal: ADMIN, issuedAtMs: 0, expiresAtMs: 1, kid: null };

/** Knows the token `known`; checks the others, of which `good` is one. */
function fakeVerifier(): Verifier & { checks: number } {
  const verifier = {
    checks: 0,
    async verify(token: string, beforeCheck?: () => void) {
      if (token === 'known') return VERIFIED;
      beforeCheck?.();
      verifier.checks++;
      if (token === 'good') return VERIFIED;
      throw new Refusal(token === 'keyless' ? 'unavailable' : 'unauthenticated', 'no');
    },
    watch: () => () => undefined,
  };
  return verifier;
}

describe('tokens that are not valid', () => {
  it('cost no more checks than a stranger may have, and keep out nobody whose token is known', async () => {
    const { clock, limits } = setUp();
    const verifier = fakeVerifier();
    const here = guarded(verifier, limits, '192.0.2.1');
    const codes: unknown[] = [];
    for (let at = 0; at < 5; at++) codes.push(await here.verify('bad').catch(({ code }) => code));
    expect(codes).toEqual(['unauthenticated', 'unauthenticated', 'limit-exceeded', 'limit-exceeded', 'limit-exceeded']);
    expect(verifier.checks).toBe(2);
    await expect(here.verify('good')).rejects.toMatchObject({ code: 'limit-exceeded' });
    await expect(here.verify('known')).resolves.toBe(VERIFIED);
    await expect(guarded(verifier, limits, '192.0.2.2').verify('good')).resolves.toBe(VERIFIED);
    await clock.advance(1000);
    await expect(here.verify('good')).resolves.toBe(VERIFIED);
  });

  it('are all that counts: valid ones, and those whose keys can not be had, are given back', async () => {
    const { limits } = setUp();
    const here = guarded(fakeVerifier(), limits, null);
    for (let at = 0; at < 20; at++) {
      await here.verify('good');
      await here.verify('keyless').catch(() => undefined);
    }
    await expect(here.verify('bad')).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  it.each([
    ['2001:db8:1:2::1', '2001:db8:1:2:ffff::9', true],
    ['2001:db8::1', '2001:DB8:0:0:1::', true],
    ['2001:db8:1:2::1', '2001:db8:1:3::1', false],
    ['::1', '::2', true],
    ['192.0.2.1', '192.0.2.2', false],
  ])('from %s and from %s come from one network: %s', (one, other, isSame) => {
    const { strangers } = setUp();
    expect(strangers(one)).toBe(2);
    expect(strangers(other)).toBe(isSame ? 0 : 2);
  });
});
