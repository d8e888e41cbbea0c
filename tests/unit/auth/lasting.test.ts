import { describe, expect, it } from 'vitest';
import { Lasting, TokenOver } from '../../../control-plane/auth/lasting.ts';
import { goodUntilMs } from '../../../control-plane/auth/verify.ts';
import { ManualClock } from '../../store/manual-clock.ts';

const DAY_MS = 86_400_000;

/** A clock on the wall that somebody may set. */
class SetClock extends ManualClock {
  aheadMs = 0;

  override now(): number {
    return super.now() + this.aheadMs;
  }
}

function lasting({ leftMs = DAY_MS as number | null, ends = [] as AbortSignal[] } = {}) {
  const clock = new SetClock();
  return { clock, one: new Lasting({ clock, goodUntilMs: leftMs === null ? null : clock.now() + leftMs, ends }) };
}

describe('what a request has opened', () => {
  it('ends when its token does, and not before', async () => {
    const { clock, one } = lasting();
    const { signal } = one;
    await clock.advance(DAY_MS - 1);
    expect([signal.aborted, one.tokenOver]).toEqual([false, null]);
    await clock.advance(1);
    expect(signal.aborted).toBe(true);
    expect(signal.reason).toBeInstanceOf(TokenOver);
    expect(one.tokenOver).toMatchObject({ code: 'unauthenticated' });
    expect([one.tokenSignal.aborted, clock.pending]).toEqual([true, 0]);
  });

  it('ends within a minute where the clock is set forward, and later where it is set back', async () => {
    const ahead = lasting();
    const { signal } = ahead.one;
    ahead.clock.aheadMs = DAY_MS;
    await ahead.clock.advance(60_000);
    expect(signal.aborted).toBe(true);
    const back = lasting({ leftMs: 60_000 });
    const late = back.one.signal;
    back.clock.aheadMs = -60_000;
    await back.clock.advance(119_999);
    expect(late.aborted).toBe(false);
    await back.clock.advance(1);
    expect(late.aborted).toBe(true);
  });

  it('is over at once with a token that is not good any more', () => {
    const { one } = lasting({ leftMs: 0 });
    expect([one.signal.aborted, one.tokenOver?.code]).toEqual([true, 'unauthenticated']);
  });

  it('ends otherwise where another end comes first, and is not laid to the token then', async () => {
    const gone = new AbortController();
    const { clock, one } = lasting({ ends: [gone.signal] });
    const { signal } = one;
    gone.abort();
    expect([signal.aborted, one.tokenOver, clock.pending]).toEqual([true, null, 0]);
    await clock.advance(DAY_MS);
    expect([one.tokenSignal.aborted, one.tokenOver]).toEqual([false, null]);
  });

  it('never ends with a token where none was needed', async () => {
    const { clock, one } = lasting({ leftMs: null });
    const { signal } = one;
    expect(clock.pending).toBe(0);
    await clock.advance(DAY_MS);
    expect(signal.aborted).toBe(false);
    one.over.abort();
    expect(signal.aborted).toBe(true);
  });

  it.each([
    ['that is no body', () => 1, true],
    ['without a body', () => new Response(null, { status: 204 }), true],
    ['with a body that is still being made', () => new Response(new ReadableStream()), false],
  ])('after an answer %s is over: %#', async (_what, make, isOver) => {
    const { clock, one } = lasting();
    const { signal } = one;
    const answer = make();
    expect(await one.until(() => answer)).toBe(answer);
    expect([signal.aborted, clock.pending === 0, one.tokenOver]).toEqual([isOver, isOver, null]);
  });

  it('is over where no answer could be made', async () => {
    const { clock, one } = lasting();
    const { signal } = one;
    await expect(one.until(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect([signal.aborted, clock.pending]).toEqual([true, 0]);
  });

  it('costs no timer where nothing was opened', async () => {
    const { clock, one } = lasting();
    await one.until(() => 1);
    expect([clock.pending, one.tokenOver]).toEqual([0, null]);
  });
});

describe('a token', () => {
  it('is good for half a minute after its expiry, by which clocks may differ', () => {
    expect(goodUntilMs({ expiresAtMs: 1000 })).toBe(31_000);
  });
});
