import { describe, expect, it } from 'vitest';
import { UnreachableNodes } from '../../../control-plane/controllers/unreachable-nodes.ts';
import type { ChangeListener } from '../../../control-plane/store/mirror.ts';
import { Snapshot } from '../../../control-plane/store/snapshot.ts';
import type { Epoch } from '../../../shared/domain/node.ts';
import { ManualClock } from '../../store/manual-clock.ts';

/** A mirror that shows what the test says, and its wall clock is wrong. */
function watching() {
  const clock = new ManualClock();
  const nodes = new UnreachableNodes(clock);
  let listener: ChangeListener = () => undefined;
  const stop = nodes.follow({
    snapshot: new Snapshot(1),
    subscribe: (each) => {
      listener = each;
      return () => {
        listener = () => undefined;
      };
    },
  });
  const show = (after: Epoch | null, reset = false) =>
    listener([{ kind: 'epochs', key: '/', id: 'edge-1', revision: 2, before: null, after }], 2, reset);
  const seenForMs = () => nodes.seenForMs().get('edge-1') ?? null;
  return { clock, show, seenForMs, stop };
}

const MARKED: Epoch = { epoch: 3, unreachableSinceMs: 12_345 };

describe('how long a node has been seen unreachable', () => {
  it('counts from when the mark was seen, whatever time the mark names', async () => {
    const { clock, show, seenForMs } = watching();
    expect(seenForMs()).toBeNull();
    show(MARKED);
    await clock.advance(4000);
    expect(seenForMs()).toBe(4000);
  });

  it('goes on when tasks of the node are given up, which raises its epoch', async () => {
    const { clock, show, seenForMs } = watching();
    show(MARKED);
    await clock.advance(4000);
    show({ ...MARKED, epoch: 4, lastGiveUpMs: 99 });
    await clock.advance(1000);
    expect(seenForMs()).toBe(5000);
  });

  it('ends when the node is back, and begins anew when it goes again', async () => {
    const { clock, show, seenForMs } = watching();
    show(MARKED);
    await clock.advance(4000);
    show({ epoch: 4, unreachableSinceMs: null });
    expect(seenForMs()).toBeNull();
    show({ epoch: 4, unreachableSinceMs: 12_345 });
    await clock.advance(10);
    expect(seenForMs()).toBe(10);
    show({ epoch: 5, unreachableSinceMs: 20_000 });
    expect(seenForMs()).toBe(0);
    show(null);
    expect(seenForMs()).toBeNull();
  });

  it('begins anew where the node may have been back while changes were missed', async () => {
    const { clock, show, seenForMs } = watching();
    show(MARKED);
    await clock.advance(4000);
    show({ ...MARKED, epoch: 5 }, true);
    expect(seenForMs()).toBe(0);
  });
});
