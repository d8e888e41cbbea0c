import { describe, expect, it } from 'vitest';
import { UnseenEnds } from '../../../control-plane/controllers/unseen-ends.ts';
import type { ChangeListener } from '../../../control-plane/store/mirror.ts';
import { Snapshot } from '../../../control-plane/store/snapshot.ts';
import type { Task, TaskReason } from '../../../shared/domain/task.ts';
import { ManualClock } from '../../store/manual-clock.ts';
import { aJob, aTask, T0 } from '../../support/builders.ts';

const RUNNING = aTask(aJob(), { state: 'running', node: 'edge-1' });

function lost(reason: TaskReason = 'not-found-on-node'): Task {
  return { ...RUNNING, state: 'lost', history: [{ state: 'lost', atMs: T0 - 1e9, reason, message: '' }] };
}

function watching() {
  const clock = new ManualClock();
  const ends = new UnseenEnds(clock);
  let listener: ChangeListener = () => undefined;
  ends.follow({
    snapshot: new Snapshot(1),
    subscribe: (each) => {
      listener = each;
      return () => undefined;
    },
  });
  const show = (after: Task | null, reset = false) =>
    listener([{ kind: 'tasks', key: '/', id: RUNNING.id, revision: 2, before: null, after }], 2, reset);
  return { clock, show, knownForMs: () => ends.knownForMs().get(RUNNING.id) ?? null };
}

describe('how long an end that nobody saw has been known', () => {
  it('counts from when the end was seen, whatever time it names', async () => {
    const { clock, show, knownForMs } = watching();
    show(RUNNING);
    expect(knownForMs()).toBeNull();
    show(lost());
    await clock.advance(4000);
    show(lost());
    expect(knownForMs()).toBe(4000);
    show(null);
    expect(knownForMs()).toBeNull();
  });

  it('begins anew where history was missed, and does not count other ends', async () => {
    const { clock, show, knownForMs } = watching();
    show(lost());
    await clock.advance(4000);
    show(lost(), true);
    expect(knownForMs()).toBe(0);
    show(lost('node-lost'), true);
    expect(knownForMs()).toBeNull();
  });
});
