/** A persistent volume from end to end: reserved, made, written by one job, read by the next, deleted. */
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
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
