import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { LONG, rank } from '../../runner/order.ts';

describe('the order of files', () => {
  it('begins with those that take long, wherever the repository lies', () => {
    const files = ['/a/tests/e2e/cli.test.ts', '/a/tests/e2e/weights.test.ts', '/b/tests/e2e/chaos.test.ts'];
    expect(files.toSorted((one, other) => rank(one) - rank(other))).toEqual([files[2], files[0], files[1]]);
    expect(rank('/a/tests/e2e/weights.test.ts')).toBe(rank('/a/tests/unit/cli.test.ts'));
  });

  it.each(LONG)('knows no file that is not there: %s', (name) => {
    expect(existsSync(new URL(`../../${name}.test.ts`, import.meta.url))).toBe(true);
  });
});
