import { FakeFence } from '../../support/fake-fence.ts';
import { describeFence } from '../../support/fence-suite.ts';
import { TestClock } from './world.ts';

describeFence('the fence in memory', async () => {
  const clock = new TestClock();
  const running = new Set<string>();
  const fence = new FakeFence({ clock, kill: (container) => running.delete(container) });
  return {
    open: async () => fence,
    advance: (byMs) => clock.advance(byMs),
    run: (container) => void running.add(container),
    isRunning: (container) => running.has(container),
    until: async (what, look) => {
      await clock.advance(1000);
      if (!look()) throw new Error(`waited in vain for ${what}`);
    },
    dispose: async () => undefined,
  };
});
