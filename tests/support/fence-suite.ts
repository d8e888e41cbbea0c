/** What every fence does, whatever it is made of. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Fence } from '../../node-agent/executor/contracts.ts';

/** A machine with a fence, on which containers run. */
export interface FenceUnderTest {
  /** As the next agent gets it. */
  open(): Promise<Fence>;
  /** So much time passes on the machine. */
  advance(byMs: number): Promise<void>;
  /** A process of the container starts. */
  run(container: string): void;
  isRunning(container: string): boolean;
  /** Lets the dead-man look until it is so. Fails after a while. */
  until(what: string, look: () => boolean): Promise<void>;
  dispose(): Promise<void>;
}

const [FIRST, SECOND, WITNESS] = ['container-one-1', 'container-two-2', 'container-witness'];

export function describeFence(name: string, begin: () => Promise<FenceUnderTest>): void {
  describe(name, () => {
    let machine: FenceUnderTest;
    let fence: Fence;
    beforeEach(async () => {
      machine = await begin();
      fence = await machine.open();
    });
    afterEach(() => machine.dispose());

    /** Contact was lost so long ago. */
    const lastContact = async (agoMs: number) => {
      fence.confirmed(fence.nowMs());
      await machine.advance(agoMs);
    };

    /** The dead-man has looked at all that is armed, since it has killed this. */
    const untilLooked = async () => {
      await fence.arm(WITNESS, 1);
      machine.run(WITNESS);
      await machine.until('the witness to be killed', () => !machine.isRunning(WITNESS));
    };

    it('counts from the sending of the last heartbeat that was confirmed, in whatever order answers come', async () => {
      expect(fence.contactAgeMs()).toBe(Number.POSITIVE_INFINITY);
      const sentAtMs = fence.nowMs();
      await machine.advance(3000);
      fence.confirmed(sentAtMs);
      expect(fence.contactAgeMs()).toBe(3000);
      fence.confirmed(sentAtMs - 1000);
      expect(fence.contactAgeMs()).toBe(3000);
      await machine.advance(4000);
      fence.confirmed(sentAtMs + 7000);
      expect(fence.contactAgeMs()).toBe(0);
    });

    it('kills what has no time left, and nothing else', async () => {
      await lastContact(10_000);
      machine.run(FIRST);
      machine.run(SECOND);
      await fence.arm(FIRST, 20_000);
      await untilLooked();
      expect([machine.isRunning(FIRST), machine.isRunning(SECOND)]).toEqual([true, true]);
      expect(fence.hasStopped(FIRST)).toBe(false);
      await machine.advance(10_000);
      await machine.until('the first to be killed', () => !machine.isRunning(FIRST));
      expect(machine.isRunning(SECOND)).toBe(true);
      expect([fence.hasStopped(FIRST), fence.hasStopped(SECOND)]).toEqual([true, false]);
    });

    it('kills what is started too late, each time', async () => {
      await lastContact(0);
      await fence.arm(FIRST, 5000);
      await machine.advance(5000);
      await untilLooked();
      expect(fence.hasStopped(FIRST)).toBe(false);
      for (let start = 0; start < 2; start += 1) {
        machine.run(FIRST);
        await machine.until('it to be killed', () => !machine.isRunning(FIRST));
      }
      expect(fence.hasStopped(FIRST)).toBe(true);
    });

    it('gives time again when contact is back', async () => {
      await lastContact(4000);
      machine.run(FIRST);
      await fence.arm(FIRST, 5000);
      fence.confirmed(fence.nowMs());
      await machine.advance(3000);
      await untilLooked();
      expect(machine.isRunning(FIRST)).toBe(true);
    });

    it('gives no time again to what was out of time', async () => {
      await lastContact(0);
      await fence.arm(FIRST, 5000);
      await fence.arm(SECOND, 60_000);
      await machine.advance(5000);
      fence.confirmed(fence.nowMs());
      machine.run(FIRST);
      machine.run(SECOND);
      await machine.until('the first to be killed', () => !machine.isRunning(FIRST));
      expect(machine.isRunning(SECOND)).toBe(true);
    });

    it('lets go of all but what it is told to keep', async () => {
      await lastContact(0);
      await fence.arm(FIRST, 5000);
      await fence.arm(SECOND, 6000);
      fence.keepOnly(new Set([SECOND, 'container-unknown']));
      expect([fence.isArmed(FIRST), fence.isArmed(SECOND)]).toEqual([false, true]);
      machine.run(FIRST);
      await machine.advance(60_000);
      await untilLooked();
      expect(machine.isRunning(FIRST)).toBe(true);
    });

    it('forgets with what it lets go of that it has killed it', async () => {
      await lastContact(0);
      await fence.arm(FIRST, 1);
      await machine.advance(10);
      machine.run(FIRST);
      await machine.until('it to be killed', () => fence.hasStopped(FIRST));
      fence.keepOnly(new Set());
      expect(fence.hasStopped(FIRST)).toBe(false);
    });

    it('goes on for the next agent where this one was', async () => {
      await lastContact(3000);
      machine.run(FIRST);
      await fence.arm(FIRST, 5000);
      const next = await machine.open();
      expect(next.contactAgeMs()).toBe(3000);
      expect(next.isArmed(FIRST)).toBe(true);
      await machine.advance(2000);
      await machine.until('it to be killed', () => !machine.isRunning(FIRST));
      expect(next.hasStopped(FIRST)).toBe(true);
    });
  });
}
