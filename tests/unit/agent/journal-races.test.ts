/** The journal on disk while several things are asked of it at once. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { FileJournal } from '../../../node-agent/adapters/journal/file-journal.ts';
import type { JournalRecord } from '../../../node-agent/core/records.ts';
import { JournalFault } from '../../../node-agent/executor/contracts.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-journal-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function forgotten(task: string): JournalRecord {
  return { kind: 'forgotten', task };
}

function tasksIn(records: readonly JournalRecord[]): unknown[] {
  return records.map((record) => ('task' in record ? record.task : record.kind));
}

it('keeps what is appended after a compaction that came in the middle of a write', async () => {
  const path = join(folder, 'journal');
  const journal = new FileJournal(path);
  for (const task of ['a', 'b', 'c']) journal.append(forgotten(task));
  // The writer has taken up the three by now, and waits for the disk.
  await Promise.resolve();
  const compacted = journal.compact([forgotten('all')]);
  journal.append(forgotten('late'));
  await journal.flush();
  await compacted;
  expect(tasksIn(await new FileJournal(path).load())).toEqual(['all', 'late']);
  await journal.close();
});

it('answers everybody who waits when it cannot be written', async () => {
  const journal = new FileJournal(join(folder, 'absent', 'journal'));
  const first = journal.flush();
  await Promise.resolve();
  const second = journal.flush();
  await expect(first).rejects.toBeInstanceOf(JournalFault);
  await expect(second).rejects.toBeInstanceOf(JournalFault);
});
