import { describe, expect, it } from 'vitest';
import {
  COMPACTION_INTERVAL_MS,
  HISTORY_KEEP_MS,
  HISTORY_REVISIONS_MAX,
  HistoryKeeper,
} from '../../../control-plane/controllers/history-keeper.ts';

describe('what of the history may be forgotten', () => {
  it('is nothing of a young and short one', () => {
    const keeper = new HistoryKeeper();
    expect(keeper.due(0, 500)).toBeNull();
    expect(keeper.due(COMPACTION_INTERVAL_MS, 900)).toBeNull();
  });

  it('is what is older than the time that readers may take to come back', () => {
    const keeper = new HistoryKeeper();
    keeper.due(0, 500);
    keeper.due(COMPACTION_INTERVAL_MS, 600);
    expect(keeper.due(HISTORY_KEEP_MS, 700)).toBe(500);
    expect(keeper.due(HISTORY_KEEP_MS + COMPACTION_INTERVAL_MS, 800)).toBe(600);
  });

  it('is what goes beyond the number of revisions, however young', () => {
    expect(new HistoryKeeper().due(0, HISTORY_REVISIONS_MAX + 50)).toBe(50);
  });

  it('is asked for now and then only, and never twice for the same', () => {
    const keeper = new HistoryKeeper();
    keeper.due(0, HISTORY_REVISIONS_MAX + 50);
    expect(keeper.due(1, HISTORY_REVISIONS_MAX + 90)).toBeNull();
    expect(keeper.due(COMPACTION_INTERVAL_MS, HISTORY_REVISIONS_MAX + 50)).toBeNull();
  });
});
