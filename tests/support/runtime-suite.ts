/**
 * What every container engine behind {@link Runtime} must do. The suite is run over the real one and over the one that tests use,
 * so that what is learned from the fake holds for the machine.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Container } from '../../node-agent/core/model.ts';
import {
  type ContainerEnd,
  EXEC_OUTPUT_LENGTH_MAX,
  type RunResult,
  type Runtime,
  RuntimeFault,
  type Subscription,
} from '../../node-agent/executor/contracts.ts';
import type { AssignedTask, LogLine } from '../../shared/protocol/agent.ts';

/** Tasks by what they do. */
export type TaskKind = 'sleeps' | 'ignores-term' | 'ends-with-3' | 'prints' | 'bad-command' | 'unknown-image';

/** Run beside tasks. */
export const COMMANDS = {
  complains: ['sh', '-c', 'echo words >&2; exit 3'],
  talks: ['sh', '-c', 'i=0; while [ $i -lt 2000 ]; do echo -n "words "; i=$((i+1)); done'],
  hangs: ['sleep', '600'],
} as const;

export interface RuntimeUnderTest {
  readonly runtime: Runtime;
  readonly task: (id: string, kind: TaskKind) => AssignedTask;
  /** Lets time pass until `look` gives something. */
  readonly until: <T>(look: () => Promise<T | null>) => Promise<T>;
  readonly dispose: () => Promise<void>;
}

/** `hasImages`: tasks are made from images, which have to be had first. */
export function describeRuntime(
  name: string,
  make: () => Promise<RuntimeUnderTest>,
  { hasImages }: { readonly hasImages: boolean } = { hasImages: true },
): void {
  describe(`the contract of a runtime, kept by ${name}`, () => {
    let under: RuntimeUnderTest;
    let ends: { readonly task: string; readonly container: string; readonly end?: ContainerEnd | undefined }[];
    let subscription: Subscription;
    let gaps: number;

    beforeEach(async () => {
      under = await make();
      ends = [];
      gaps = 0;
      subscription = under.runtime.watch({
        onEnd: (task, container, end) => ends.push({ task, container, end }),
        onGap: () => {
          gaps += 1;
        },
      });
    });

    afterEach(async () => {
      subscription.close();
      await under.dispose();
    });

    const run = async (id: string, kind: TaskKind, beforeStart = async () => {}): Promise<RunResult> => {
      const request = { assigned: under.task(id, kind), epoch: 1, run: 0, mountSources: new Map() };
      const running = under.runtime.run(request, beforeStart);
      let isDone = false;
      const done = () => {
        isDone = true;
      };
      running.then(done, done);
      await under.until(async () => (isDone ? true : null));
      return running;
    };

    const started = async (id: string, kind: TaskKind): Promise<Container> => {
      const result = await run(id, kind);
      if (result.type !== 'started') throw new Error(JSON.stringify(result));
      return result.container;
    };

    const exited = (id: string) =>
      under.until(async () => {
        const container = await under.runtime.inspect(id);
        return container?.state === 'exited' ? container : null;
      });

    it('begins watching with a gap, so that whoever watches looks for what was before', async () => {
      await under.until(async () => (gaps > 0 ? true : null));
    });

    it('runs a task, and lists it with the task that it is of', async () => {
      const container = await started('a', 'sleeps');
      expect(container).toMatchObject({ task: under.task('a', 'sleeps').id, state: 'running' });
      const listed = await under.runtime.list();
      expect(listed).toMatchObject([{ id: container.id, task: container.task, state: 'running' }]);
    });

    it('asks between creating and starting', async () => {
      const before: Container[] = [];
      await run('a', 'sleeps', async () => void before.push(...(await under.runtime.list())));
      expect(before).toMatchObject([{ task: under.task('a', 'sleeps').id, state: 'created' }]);
      expect(await under.runtime.list()).toMatchObject([{ id: before[0]?.id, state: 'running' }]);
    });

    it('starts nothing where that fails, and leaves what was created', async () => {
      const failed = run('a', 'sleeps', () => Promise.reject(new Error('not on record')));
      await expect(failed).rejects.toThrow('not on record');
      expect(await under.runtime.list()).toMatchObject([{ state: 'created' }]);
    });

    it('tells the end, and how it was', async () => {
      await under.until(async () => (gaps > 0 ? true : null));
      const { id, task } = await started('a', 'ends-with-3');
      await under.until(async () => (ends.some((end) => end.container === id && end.task === task) ? true : null));
      const seen = await exited(id);
      expect(seen).toMatchObject({ state: 'exited', exitCode: 3, outOfMemory: false });
      // Not every runtime tells it with the end; one that does tells what it shows.
      const told = ends.find((end) => end.container === id)?.end;
      if (told !== undefined) expect(told).toMatchObject({ exitCode: 3 });
      if (told !== undefined) expect(Math.abs(told.atMs - (seen.endedAtMs ?? 0))).toBeLessThan(5000);
      expect(await under.runtime.list()).toMatchObject([{ id, state: 'exited', exitCode: 3 }]);
    });

    it('ends a task politely', async () => {
      const { id } = await started('a', 'sleeps');
      const ended = await under.until(async () => {
        // Asked again each time: right after its start a process may not listen yet.
        await under.runtime.signal(id, 'SIGTERM');
        const container = await under.runtime.inspect(id);
        return container?.state === 'exited' ? container : null;
      });
      expect(ended.exitCode).toBe(143);
    });

    it('ends a task that does not listen', async () => {
      const { id } = await started('a', 'ignores-term');
      await under.runtime.signal(id, 'SIGTERM');
      expect((await under.runtime.inspect(id))?.state).toBe('running');
      await under.runtime.signal(id, 'SIGKILL');
      expect((await exited(id)).exitCode).toBe(137);
    });

    it('takes signals to what has ended or is gone for done', async () => {
      const { id } = await started('a', 'ends-with-3');
      await exited(id);
      await under.runtime.signal(id, 'SIGKILL');
      expect(await under.runtime.remove(id)).toBe(true);
      await under.runtime.signal(id, 'SIGTERM');
    });

    it('removes what has ended, and leaves alone what runs', async () => {
      const { id } = await started('a', 'sleeps');
      expect(await under.runtime.remove(id)).toBe(false);
      expect((await under.runtime.inspect(id))?.state).toBe('running');
      await under.runtime.signal(id, 'SIGKILL');
      await exited(id);
      expect(await under.runtime.remove(id)).toBe(true);
      expect(await under.runtime.inspect(id)).toBeNull();
      expect(await under.runtime.list()).toEqual([]);
      expect(await under.runtime.remove(id)).toBe(true);
    });

    it('refuses a command that cannot be run, and leaves nothing behind', async () => {
      expect(await run('a', 'bad-command')).toMatchObject({ type: 'refused', reason: 'command-unusable' });
      expect(await under.runtime.list()).toEqual([]);
    });

    if (hasImages) {
      it('says that an image is missing, and leaves nothing behind', async () => {
        const { image } = under.task('a', 'unknown-image').group;
        expect(await under.runtime.hasImage(image)).toBe(false);
        expect(await run('a', 'unknown-image')).toEqual({ type: 'image-missing' });
        expect(await under.runtime.list()).toEqual([]);
      });
    }

    it('has the image of a task that runs', async () => {
      expect(await under.runtime.hasImage(under.task('a', 'sleeps').group.image)).toBe(true);
    });

    it('gives a pull up that nobody waits for', async () => {
      const { image } = under.task('a', 'unknown-image').group;
      const result = await under.runtime.pullImage(image, AbortSignal.abort());
      expect(result.type).toBe('failed');
    });

    it('reads output, all of it or the last of it', async () => {
      const { id } = await started('a', 'prints');
      await exited(id);
      const read = async (tail: number | null) => {
        const lines: LogLine[] = [];
        const request = { follow: false, tail, since: null };
        for await (const batch of under.runtime.logs(id, request, new AbortController().signal)) lines.push(...batch);
        return lines.map((line) => line.text);
      };
      expect(await read(null)).toEqual(['one', 'two', 'three']);
      expect(await read(1)).toEqual(['three']);
    });

    it('ends output that is followed when it is given up', async () => {
      const { id } = await started('a', 'sleeps');
      const over = new AbortController();
      const request = { follow: true, tail: null, since: null };
      let isDone = false;
      const reading = (async () => {
        for await (const batch of under.runtime.logs(id, request, over.signal)) expect(batch.length).toBeGreaterThan(0);
        isDone = true;
      })();
      over.abort();
      await under.until(async () => (isDone ? true : null));
      await reading;
    });

    it('runs a command beside what runs already, and tells how it came out', async () => {
      const { id } = await started('a', 'sleeps');
      const waited = new AbortController();
      const { exitCode, output } = await under.runtime.exec(id, COMMANDS.complains, waited.signal);
      expect({ exitCode, output: output.trim() }).toEqual({ exitCode: 3, output: 'words' });
      expect(await under.runtime.inspect(id)).toMatchObject({ state: 'running' });
    });

    it('keeps no more than the beginning of what a command writes', async () => {
      const { id } = await started('a', 'sleeps');
      const { exitCode, output } = await under.runtime.exec(id, COMMANDS.talks, new AbortController().signal);
      expect(exitCode).toBe(0);
      expect(output.startsWith('words words')).toBe(true);
      expect(output.length).toBeLessThanOrEqual(EXEC_OUTPUT_LENGTH_MAX);
    });

    it('lets go of a command that nobody waits for any more', async () => {
      const { id } = await started('a', 'sleeps');
      const over = new AbortController();
      const hanging = under.runtime.exec(id, COMMANDS.hangs, over.signal);
      over.abort();
      expect((await hanging).exitCode).toBeNull();
    });

    it('does not run a command beside what has ended', async () => {
      const { id } = await started('a', 'ends-with-3');
      await exited(id);
      const running = under.runtime.exec(id, COMMANDS.complains, new AbortController().signal);
      await expect(running).rejects.toThrow(RuntimeFault);
    });

    it('knows where a path leads, and that some lead nowhere', async () => {
      expect(await under.runtime.resolvePath('/etc')).toBe('/etc');
      expect(await under.runtime.resolvePath('/no/such/path')).toBeNull();
    });
  });
}
