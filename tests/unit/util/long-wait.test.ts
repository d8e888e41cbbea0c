import { describe, expect, it } from 'vitest';
import { LongWait } from '../../../shared/util/long-wait.ts';
import { ManualClock } from '../../store/manual-clock.ts';

describe('a long wait', () => {
  it('is for a while each time, until the promise settles', async () => {
    const clock = new ManualClock();
    const { promise, resolve } = Promise.withResolvers<string>();
    const wait = new LongWait(promise);
    const early = wait.within(clock, 1000);
    await clock.advance(1000);
    expect(await early).toBe(false);
    const late = wait.within(clock, 1000);
    resolve('now');
    expect(await late).toBe(true);
    expect(await wait.within(clock, 1000)).toBe(true);
    expect([await wait.promise, clock.pending]).toEqual(['now', 0]);
  });

  it('ends with an error as well, which is told to whoever takes the promise', async () => {
    const clock = new ManualClock();
    const wait = new LongWait(Promise.reject(new Error('broken')));
    expect(await wait.within(clock, 1000)).toBe(true);
    await expect(wait.promise).rejects.toThrow('broken');
    expect(clock.pending).toBe(0);
  });

  it('leaves nothing on a promise that stays pending, however often it is waited for', async () => {
    const clock = new ManualClock();
    const listened = new ListenedPromise();
    const wait = new LongWait(listened.promise);
    for (let time = 0; time < 10; time++) {
      const waited = wait.within(clock, 1000);
      await clock.advance(1000);
      expect(await waited).toBe(false);
    }
    expect(listened.listeners).toBe(1);
  });
});

/** A promise that never settles, and counts who listens to it. */
class ListenedPromise {
  readonly promise = new Promise<never>(() => {});
  listeners = 0;

  constructor() {
    const listen = this.promise.then.bind(this.promise);
    Object.defineProperty(this.promise, 'then', {
      value: (...reactions: Parameters<typeof listen>) => {
        this.listeners += 1;
        return listen(...reactions);
      },
    });
  }
}
