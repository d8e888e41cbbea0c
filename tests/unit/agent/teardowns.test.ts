import { describe, expect, it } from 'vitest';
import { TEARDOWN_WAIT_MAX_MS, Teardowns } from '../../../node-agent/adapters/docker/teardowns.ts';
import { TestClock } from './world.ts';

function waiting(teardowns: Teardowns) {
  const wait = { isOver: false };
  void teardowns.settled().then(() => {
    wait.isOver = true;
  });
  return wait;
}

describe('a start on the bridge', () => {
  it('waits for nothing where nothing is being taken down', async () => {
    const clock = new TestClock();
    const wait = waiting(new Teardowns(clock));
    await clock.advance(0);
    expect(wait.isOver).toBe(true);
  });

  it('waits until all that is being taken down is over, whether or not the engine has said so', async () => {
    const clock = new TestClock();
    const teardowns = new Teardowns(clock);
    const [one, two] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    teardowns.began('one', one.promise);
    teardowns.began('two', two.promise);
    const wait = waiting(teardowns);
    one.resolve();
    await clock.advance(TEARDOWN_WAIT_MAX_MS - 1);
    expect(wait.isOver).toBe(false);
    two.reject(new Error('the engine is away'));
    await clock.advance(0);
    expect(wait.isOver).toBe(true);
    const next = waiting(teardowns);
    await clock.advance(0);
    expect(next.isOver).toBe(true);
  });

  it('does not wait for ever for one that hangs', async () => {
    const clock = new TestClock();
    const teardowns = new Teardowns(clock);
    teardowns.began('one', new Promise(() => {}));
    const wait = waiting(teardowns);
    await clock.advance(TEARDOWN_WAIT_MAX_MS - 1);
    expect(wait.isOver).toBe(false);
    await clock.advance(1);
    expect(wait.isOver).toBe(true);
  });
});
