/** Users of tasks: one each, among all agents of a machine. */
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { UserIds } from '../../../node-agent/adapters/process/user-ids.ts';
import { systemRandom } from '../../../node-agent/adapters/system/system-random.ts';

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

/** `next`: where the first number of the machine's life lies in the range, from 0 to 1. */
const make = (range = RANGE, next = 0) =>
  new UserIds(range, join(dir, 'claims'), { next: () => next, bytes: systemRandom.bytes });

it('are given once, over all agents of the machine, until there are none left', async () => {
  const agents = [make(), make()];
  const taken: (number | null)[] = [];
  for (const name of ['a', 'b', 'c', 'd'])
    taken.push((await agents[taken.length % 2]?.take(await folder(name))) ?? null);
  expect(taken).toEqual([70_000, 70_001, 70_002, null]);
});

it('are given once when agents ask at the same time, and when what they find is stale', async () => {
  const range = { first: 70_000, last: 70_039 };
  for (let round = 0; round < 5; round += 1) {
    const folders = await Promise.all(Array.from({ length: 20 }, (_, at) => folder(`${round}-${at}`)));
    const agents = folders.map(() => make(range));
    const taken = await Promise.all(folders.map((each, at) => agents[at]?.take(each)));
    expect(new Set(taken).size).toBe(folders.length);
    expect(taken).not.toContain(null);
    // Of agents that have died: nobody gives them back.
    await Promise.all(folders.map((each) => rm(each, { recursive: true })));
  }
  expect((await readdir(join(dir, 'claims'))).length).toBeLessThan(40);
});

it('are given in turn, by the next agent too: earlier users may have left files behind', async () => {
  expect(await make().take(await folder('a'))).toBe(70_000);
  await make().release(70_000, join(dir, 'a'));
  expect(await make().take(await folder('b'))).toBe(70_001);
});

it('begin anywhere in the range when the machine has been started', async () => {
  expect(await make(RANGE, 0.7).take(await folder('a'))).toBe(70_002);
  expect(await make(RANGE, 0.7).take(await folder('b'))).toBe(70_000);
});

it('are free again when they are given back, or when the folder of the task is gone or made anew', async () => {
  const ids = make();
  const folders = [await folder('a'), await folder('b'), await folder('c')];
  for (const each of folders) await ids.take(each);
  expect(await ids.release(70_000, folders[0] ?? '')).toBe(true);
  expect(await ids.take(await folder('d'))).toBe(70_000);
  expect(await ids.take(await folder('e'))).toBeNull();
  await rm(folders[1] ?? '', { recursive: true });
  expect(await ids.take(await folder('f'))).toBe(70_001);
  expect(await ids.take(folders[2] ?? '')).toBe(70_002);
});

it('are given back only by whose they are', async () => {
  const ids = make();
  await ids.take(await folder('a'));
  expect(await ids.release(70_000, join(dir, 'another'))).toBe(false);
  expect(await make({ first: 70_000, last: 70_000 }).take(await folder('b'))).toBeNull();
});

it('are kept for what was there before a reboot, and not taken from who has them', async () => {
  const narrow = { first: 70_000, last: 70_000 };
  await make().keep(70_000, await folder('old'));
  await make().keep(70_000, await folder('other'));
  expect(await make(narrow).take(await folder('new'))).toBeNull();
  await rm(join(dir, 'old'), { recursive: true });
  expect(await make(narrow).take(await folder('newer'))).toBe(70_000);
});
