/** Messages between the control plane and executors: none is lost while its time lasts, and none waits beyond a bound. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { Executors, ExecutorsListener } from '../../../node-agent/executor/contracts.ts';
import { SAID_WAITING_MAX } from '../../../node-agent/executor/messenger.ts';
import { MESSAGES_MAX } from '../../../shared/protocol/agent.ts';
import { present } from '../../../shared/util/assert.ts';
import { World } from './world.ts';

class FakeExecutors implements Executors {
  readonly delivered: string[] = [];
  readonly withdrawn: string[] = [];
  outcome: 'waits' | 'gone' | 'crowded' = 'waits';
  #listener: ExecutorsListener | null = null;

  get listener(): ExecutorsListener {
    return present(this.#listener, 'somebody who listens');
  }

  deliver({ id }: { readonly id: string }): 'waits' | 'gone' | 'crowded' {
    if (this.outcome === 'waits') this.delivered.push(id);
    return this.outcome;
  }

  withdraw(message: string): void {
    this.withdrawn.push(message);
  }

  listen(listener: ExecutorsListener) {
    this.#listener = listener;
    return { close: () => {} };
  }
}

let world: World;
let executors: FakeExecutors;

beforeEach(async () => {
  world = new World();
  executors = new FakeExecutors();
  await world.startAgent({ executors });
  await world.clock.advance(1000);
});

const message = (id: string) => ({ id, task: 'runner', data: id });

describe('a message of a framework', () => {
  it('is handed over once, and taken off the list when it is taken', async () => {
    world.controlPlane.send(message('a'));
    await world.clock.advance(1000);
    world.controlPlane.send(message('b'));
    await world.clock.advance(1000);
    expect(executors.delivered).toEqual(['a', 'b']);
    expect(world.controlPlane.received.taken).toEqual([]);
    executors.listener.onTaken('a');
    await world.clock.advance(1000);
    expect(world.controlPlane.received.taken).toEqual(['a']);
    expect(executors.withdrawn).toEqual([]);
  });

  it('is not handed over again where only the answer was lost', async () => {
    world.controlPlane.send(message('a'));
    await world.clock.advance(1000);
    world.controlPlane.losesAnswers = true;
    executors.listener.onTaken('a');
    await world.clock.advance(5000);
    world.controlPlane.losesAnswers = false;
    await world.clock.advance(10_000);
    expect(executors.delivered).toEqual(['a']);
  });

  it('is handed over by the next agent where its executor has not taken it', async () => {
    world.controlPlane.send(message('a'));
    await world.clock.advance(1000);
    await world.crash();
    const next = new FakeExecutors();
    await world.startAgent({ executors: next });
    await world.clock.advance(1000);
    expect(next.delivered).toEqual(['a']);
  });

  it('for nobody is taken off the list', async () => {
    executors.outcome = 'gone';
    world.controlPlane.send(message('a'));
    await world.clock.advance(1000);
    expect(world.controlPlane.received.taken).toEqual(['a']);
  });

  it('waits where its executor has too many, until it takes one', async () => {
    world.controlPlane.send(message('a'));
    await world.clock.advance(1000);
    executors.outcome = 'crowded';
    world.controlPlane.send(message('b'));
    await world.clock.advance(1000);
    executors.outcome = 'waits';
    expect(executors.delivered).toEqual(['a']);
    executors.listener.onTaken('a');
    expect(executors.delivered).toEqual(['a', 'b']);
  });

  it('is withdrawn when its time is over', async () => {
    world.controlPlane.send(message('a'));
    await world.clock.advance(1000);
    world.controlPlane.forget('a');
    await world.clock.advance(1000);
    expect(executors.withdrawn).toEqual(['a']);
  });
});

describe('a message of an executor', () => {
  it('is told in its turn, in requests that are taken', async () => {
    const data = '\u0001'.repeat(60_000);
    for (let n = 0; n < 5; n += 1) executors.listener.onSaid({ task: 'runner', data: `${n}${data}` });
    await world.clock.advance(1000);
    const { said } = world.controlPlane.received;
    expect(said.map((each) => each.data[0])).toEqual(['0', '1', '2', '3', '4']);
    expect(new Set(said.map(({ id }) => id)).size).toBeGreaterThan(0);
  });

  it('waits while the control plane is away, and no more than a bound of them', async () => {
    world.controlPlane.fault = 'away';
    for (let n = 0; n < SAID_WAITING_MAX; n += 1) {
      expect(executors.listener.onSaid({ task: 'runner', data: String(n) })).toBe(true);
    }
    expect(executors.listener.onSaid({ task: 'runner', data: 'more' })).toBe(false);
    await world.clock.advance(5000);
    world.controlPlane.fault = null;
    await world.clock.advance(10_000);
    expect(world.controlPlane.received.said).toHaveLength(SAID_WAITING_MAX);
    expect(Math.max(...world.controlPlane.received.saidAtOnce)).toBe(MESSAGES_MAX);
    expect(executors.listener.onSaid({ task: 'runner', data: 'more' })).toBe(true);
  });
});
