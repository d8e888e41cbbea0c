/** The agent's own folder: one owner at a time, and what is in it survives. */
import { appendFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FileJournal } from '../../../node-agent/adapters/journal/file-journal.ts';
import { decodeLine, encodeLine } from '../../../node-agent/adapters/journal/record-line.ts';
import { StateDir, StateDirError } from '../../../node-agent/adapters/journal/state-dir.ts';
import type { JournalRecord } from '../../../node-agent/core/records.ts';

let path: string;

beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'berth-state-'));
});

afterEach(() => rm(path, { recursive: true, force: true }));

const running = { isRunning: () => true };
const forgotten = (task: string): JournalRecord => ({ kind: 'forgotten', task });

describe('the state folder', () => {
  it('keeps the identity and the token', async () => {
    const dir = await StateDir.open({ path, pid: process.pid, ...running });
    expect(await dir.readNodeId()).toBeNull();
    await dir.writeNodeId('n1');
    await dir.writeNodeToken('secret');
    await dir.close();
    const again = await StateDir.open({ path, pid: process.pid, ...running });
    expect([await again.readNodeId(), await again.readNodeToken()]).toEqual(['n1', 'secret']);
    await again.writeNodeToken(null);
    expect(await again.readNodeToken()).toBeNull();
  });

  it('names its files so that they mean the same to a process that stands elsewhere', async () => {
    const dir = await StateDir.open({ path: relative(process.cwd(), path), pid: process.pid, ...running });
    expect([dir.fenceDir, dir.journalPath]).toEqual([join(path, 'fence'), join(path, 'journal')]);
  });

  it('refuses a second owner while the first one lives', async () => {
    await StateDir.open({ path, pid: process.pid, ...running });
    const second = StateDir.open({ path, pid: process.ppid, ...running });
    await expect(second).rejects.toThrow(StateDirError);
    await expect(second).rejects.toThrow(`process ${process.pid}`);
  });

  it('is taken over from an owner that is gone', async () => {
    await writeFile(join(path, 'lock'), '4194999 12345\n');
    const dir = await StateDir.open({ path, pid: process.pid, isRunning: () => false });
    await dir.close();
    expect(await readdir(path)).toEqual([]);
  });

  it('is taken over when another process has got the id of its owner', async () => {
    await writeFile(join(path, 'lock'), `${process.ppid} 1\n`);
    await StateDir.open({ path, pid: process.pid, ...running });
    expect(await readFile(join(path, 'lock'), 'utf8')).toMatch(new RegExp(`^${process.pid} `));
  });

  it('says so when it cannot be made', async () => {
    await writeFile(join(path, 'file'), '');
    const options = { path: join(path, 'file', 'below'), pid: process.pid, ...running };
    await expect(StateDir.open(options)).rejects.toThrow("can't be used");
  });
});

describe('the journal on disk', () => {
  const file = () => join(path, 'journal');

  it('reads what was appended, in order', async () => {
    const journal = new FileJournal(file());
    for (const task of ['a', 'b', 'c']) journal.append(forgotten(task));
    await journal.close();
    expect(await new FileJournal(file()).load()).toEqual(['a', 'b', 'c'].map(forgotten));
  });

  it('reads everything before a torn line, and counts it', async () => {
    const journal = new FileJournal(file());
    journal.append(forgotten('a'));
    await journal.close();
    await appendFile(file(), encodeLine(forgotten('b')).slice(0, -9));
    const again = new FileJournal(file());
    expect(await again.load()).toEqual([forgotten('a')]);
    expect(again.damagedLines).toBe(1);
  });

  it('holds only what it was compacted to, and what came after', async () => {
    const journal = new FileJournal(file());
    for (let index = 0; index < 100; index += 1) journal.append(forgotten(`t${index}`));
    await journal.compact([forgotten('all')]);
    journal.append(forgotten('more'));
    await journal.close();
    expect(await new FileJournal(file()).load()).toEqual([forgotten('all'), forgotten('more')]);
    expect(await readdir(path)).toEqual(['journal']);
  });

  it('notices every single changed character', () => {
    const line = encodeLine(forgotten('task')).trimEnd();
    for (let index = 0; index < line.length; index += 1) {
      const changed = `${line.slice(0, index)}~${line.slice(index + 1)}`;
      expect(decodeLine(changed)).toBeNull();
    }
    expect(decodeLine(line)).toEqual(forgotten('task'));
  });
});
