/** Persistent volumes from end to end: reserved, made, written by one task, read by those that follow, deleted. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { INDEX_PLACEHOLDER } from '../../shared/domain/job.ts';
import { berth, type DevCluster, IMAGE, type Ran, startDev } from './cli-process.ts';

let dev: DevCluster;
beforeAll(async () => {
  dev = await startDev();
}, 180_000);
afterAll(() => dev?.stop());

const WAIT = { timeout: 30_000, interval: 200 };

function cli(...args: readonly string[]): Promise<Ran> {
  return berth(args, dev.env);
}

/** Runs a job that mounts the volume to its end. */
async function job(name: string, script: string): Promise<Ran> {
  const file = join(dev.home, `${name}.json`);
  const mounts = [{ type: 'persistent', source: 'data', target: '/data' }];
  const groups = [{ image: IMAGE, command: ['sh', '-c', script], mounts }];
  await writeFile(file, JSON.stringify({ name, role: 'eng/ml', groups }));
  return cli('run', '-f', file);
}

it('stays where it is, for whoever may use it, until it is deleted', { timeout: 120_000 }, async () => {
  // The second one, which nothing else would be put on first.
  const [node = ''] = (await cli('node', 'list', '-o', 'name')).out.trim().split('\n').slice(1);
  expect(await cli('node', 'reserve', node, 'eng', 'diskMiB=100', '--id', 'keep')).toMatchObject({ code: 0 });
  expect(await cli('volume', 'create', node, 'keep', '--size', '50', '--id', 'data')).toMatchObject({ code: 0 });
  expect(await job('writer', 'echo kept > /data/file')).toMatchObject({ code: 0 });
  expect(await job('reader', 'test "$(cat /data/file)" = kept')).toMatchObject({ code: 0 });
  const placed = await cli('task', 'list', '--role', 'eng/ml', '-o', 'json');
  const nodes = JSON.parse(placed.out).map((task: { node: string }) => task.node);
  expect(nodes).toEqual([node, node]);

  expect(await cli('volume', 'delete', node, 'data', '--yes')).toMatchObject({ code: 0 });
  await vi.waitFor(async () => expect((await cli('volume', 'list', '-o', 'name')).out).toBe(''), WAIT);
  const folders = (await readdir(dev.dataDir, { recursive: true })).filter((path) => /volumes\/.+/.test(path));
  expect(folders).toEqual([]);
  expect(await cli('node', 'unreserve', node, 'keep')).toMatchObject({ code: 0 });
});

/** What the tasks of an index have written to their volume. */
async function written(index: number): Promise<string[]> {
  const [path = ''] = (await readdir(dev.dataDir, { recursive: true })).filter((one) =>
    one.endsWith(`volumes/data-${index}/log`),
  );
  return (await readFile(join(dev.dataDir, path), 'utf8')).trim().split('\n');
}

it('is found again by each task of a service, in a new version, and when it is scaled away and back', {
  timeout: 180_000,
}, async () => {
  const nodes = (await cli('node', 'list', '-o', 'name')).out.trim().split('\n').slice(0, 2);
  // The first index has its volume on the last node, where nothing would bring it but that.
  const homes = new Map(nodes.toReversed().map((node, index) => [index, node]));
  for (const [index, node] of homes) {
    expect(await cli('node', 'reserve', node, 'eng', 'diskMiB=100', '--id', 'own')).toMatchObject({ code: 0 });
    const volume = ['volume', 'create', node, 'own', '--size', '50', '--id', `data-${index}`];
    expect(await cli(...volume)).toMatchObject({ code: 0 });
  }
  const roll = async (name: string) => {
    const mounts = [{ type: 'persistent', source: `data-${INDEX_PLACEHOLDER}`, target: '/data' }];
    const command = ['sh', '-c', `echo "$BERTH_INDEX of ${name}" >> /data/log; exec sleep 3600`];
    const groups = [{ image: IMAGE, count: 2, command, mounts, killGraceSeconds: 0 }];
    const file = join(dev.home, `db-${name}.json`);
    await writeFile(
      file,
      JSON.stringify({ name: 'db', role: 'eng/ml', kind: 'service', update: { minHealthySeconds: 0 }, groups }),
    );
    expect(await cli('job', 'apply', '-f', file)).toMatchObject({ code: 0 });
  };
  const running = async () => {
    const { out } = await cli('task', 'list', '--role', 'eng/ml', '--job', 'db', '-o', 'json');
    const tasks: { index: number; node: string; state: string }[] = JSON.parse(out);
    return tasks
      .filter(({ state }) => state === 'running')
      .map(({ index, node }) => [index, node])
      .sort();
  };

  await roll('one');
  expect(await running()).toEqual([...homes].sort());
  await roll('two');
  expect(await running()).toEqual([...homes].sort());
  expect([await written(0), await written(1)]).toEqual([
    ['0 of one', '0 of two'],
    ['1 of one', '1 of two'],
  ]);

  expect(await cli('job', 'scale', 'db', '1', '--role', 'eng/ml')).toMatchObject({ code: 0 });
  await vi.waitFor(async () => expect(await running()).toEqual([[0, homes.get(0)]]), WAIT);
  expect(await cli('job', 'scale', 'db', '2', '--role', 'eng/ml')).toMatchObject({ code: 0 });
  await vi.waitFor(async () => expect(await running()).toEqual([...homes].sort()), WAIT);
  expect([await written(0), await written(1)]).toEqual([
    ['0 of one', '0 of two'],
    ['1 of one', '1 of two', '1 of two'],
  ]);
});
