/** Users of tasks: one each, among all agents of a machine. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { UserIds } from '../../../node-agent/adapters/process/user-ids.ts';

const RANGE = { first: 70_000, last: 70_002 };

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'berth-user-ids-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

async function folder(name: string): Promise<string> {
  const path = join(dir, name);
  await mkdir(path);
  return path;
}

const make = () => new UserIds(RANGE, join(dir, 'claims'));

it('are given once, over all agents of the machine, until there are none left', async () => {
  const agents = [make(), make()];
  const taken: (number | null)[] = [];
  for (const name of ['a', 'b', 'c', 'd'])
    taken.push((await agents[taken.length % 2]?.take(await folder(name))) ?? null);
  expect(taken).toEqual([70_000, 70_001, 70_002, null]);
});

it('are free again when they are given back, or when the folder of the task is gone', async () => {
  const ids = make();
  const folders = [await folder('a'), await folder('b'), await folder('c')];
  for (const each of folders) await ids.take(each);
  await ids.release(70_000, folders[0] ?? '');
  expect(await ids.take(await folder('d'))).toBe(70_000);
  expect(await ids.take(await folder('e'))).toBeNull();
  await rm(folders[1] ?? '', { recursive: true });
  expect(await ids.take(await folder('f'))).toBe(70_001);
});

it('are given back only by whose they are', async () => {
  const ids = make();
  await ids.take(await folder('a'));
  await ids.release(70_000, join(dir, 'another'));
  expect(await make().take(await folder('b'))).toBe(70_001);
});

it('are kept for what was there before a reboot', async () => {
  await make().keep(70_000, await folder('old'));
  expect(await make().take(await folder('new'))).toBe(70_001);
});
