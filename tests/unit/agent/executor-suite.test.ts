/** For all that no executor runs, knowing of executors makes no difference to a runtime. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ExecutorRuntime } from '../../../node-agent/adapters/executor/executor-runtime.ts';
import { aGroup } from '../../support/builders.ts';
import { type Behaviour, FakeRuntime, LONG_RUNNING, playedAnswer } from '../../support/fake-runtime.ts';
import { describeRuntime, type TaskKind } from '../../support/runtime-suite.ts';
import { anAssigned, evenChance, IMAGE, TestClock } from './world.ts';

const BEHAVIOURS: Readonly<Record<TaskKind, Behaviour>> = {
  sleeps: LONG_RUNNING,
  'ignores-term': { ...LONG_RUNNING, stopMs: null },
  'ends-with-3': { ...LONG_RUNNING, lifeMs: 10, exitCode: 3 },
  prints: { ...LONG_RUNNING, lifeMs: 10, output: ['one', 'two', 'three'] },
  'bad-command': { ...LONG_RUNNING, refusal: { reason: 'command-unusable', message: 'not found' } },
  'unknown-image': LONG_RUNNING,
};

describeRuntime('the one that knows of executors', async () => {
  const clock = new TestClock();
  const kinds = new Map<string, TaskKind>();
  const dir = mkdtempSync(join(tmpdir(), 'berth-ex-'));
  const machine = new FakeRuntime({
    clock,
    images: [IMAGE],
    paths: { '/etc': '/etc' },
    behaviour: ({ id }) => BEHAVIOURS[kinds.get(id) ?? 'sleeps'],
  });
  machine.execAnswer = (_, command) => playedAnswer(command);
  const runtime = await ExecutorRuntime.open({ machine, dir, clock, random: evenChance });
  return {
    runtime,
    task: (id, kind) => {
      kinds.set(id, kind);
      return anAssigned(id, { group: aGroup({ image: kind === 'unknown-image' ? 'nobody/knows:1' : IMAGE }) });
    },
    until: async (look) => {
      for (let steps = 0; steps < 1000; steps += 1) {
        const found = await look();
        if (found !== null) return found;
        await clock.advance(10);
      }
      throw new Error('waited in vain');
    },
    dispose: async () => {
      runtime.close();
      rmSync(dir, { recursive: true });
    },
  };
});
