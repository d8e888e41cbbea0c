import { describe, expect, it } from 'vitest';
import { countScript, countTests } from '../../runner/count.ts';
import { parts, selectParts } from '../../runner/parts.ts';

type Test = { fullName: string; status: string };

function report(...files: { status?: string; message?: string; tests: Test[] }[]): string {
  return JSON.stringify({
    testResults: files.map((file) => ({
      name: 'a.test.ts',
      status: file.status ?? 'passed',
      message: file.message ?? '',
      assertionResults: file.tests,
    })),
  });
}

const passing: Test = { fullName: 'adds', status: 'passed' };
const failing: Test = { fullName: 'subtracts', status: 'failed' };

describe('countTests', () => {
  it('counts what passed and what failed', () => {
    const count = countTests(report({ tests: [passing, passing] }, { status: 'failed', tests: [failing] }), 1);
    expect(count).toEqual({ passed: 2, failed: 1, notes: ['subtracts'] });
  });

  it('passes only on a clean exit', () => {
    expect(countTests(report({ tests: [passing] }), 0)).toEqual({ passed: 1, failed: 0, notes: [] });
    expect(countTests(report({ tests: [passing] }), 1)).toMatchObject({ passed: 1, failed: 1 });
    expect(countTests(report({ tests: [passing] }), null)).toMatchObject({ passed: 1, failed: 1 });
  });

  it.each(['skipped', 'pending', 'todo', 'a status of the future'])('counts a test as failed that is %s', (status) => {
    expect(countTests(report({ tests: [passing, { fullName: 'later', status }] }), 0)).toMatchObject({ failed: 1 });
  });

  it('forgives a skipped test that needs a GPU', () => {
    const tests = [passing, { fullName: 'agent gives a GPU to a task', status: 'skipped' }];
    expect(countTests(report({ tests }), 0)).toEqual({ passed: 1, failed: 0, notes: [] });
  });

  it('counts a file that could not be loaded once, and says why', () => {
    const count = countTests(report({ status: 'failed', message: 'no such module\nat line 1', tests: [] }), 1);
    expect(count).toEqual({ passed: 0, failed: 1, notes: ['a.test.ts (the file itself failed: no such module)'] });
  });

  it.each([undefined, '', '{"testResults": [', '{}'])(
    'counts a missing or broken report as one failure: %s',
    (text) => {
      expect(countTests(text, 0)).toMatchObject({ passed: 0, failed: 1 });
    },
  );

  it('counts a run without tests as one failure', () => {
    expect(countTests(report(), 0)).toEqual({ passed: 0, failed: 1, notes: ['there are no tests (exit code 0)'] });
  });
});

describe('an npm script', () => {
  it.each([
    [0, { passed: 1, failed: 0, notes: [] }],
    [1, { passed: 0, failed: 1, notes: ['npm run audit (exit code 1)'] }],
    [null, { passed: 0, failed: 1, notes: ['npm run audit (exit code null)'] }],
    [75, { passed: 0, failed: 0, notes: [], unchecked: ['npm run audit (it says why, above)'] }],
  ])('that ends with %s counts as %j', (exitCode, count) => {
    expect(countScript('audit', exitCode)).toEqual(count);
  });
});

describe('selectParts', () => {
  it('takes all parts when none is named', () => {
    expect(selectParts([])).toEqual(parts);
  });

  it('keeps the usual order', () => {
    expect(selectParts(['store', 'unit']).map((part) => part.name)).toEqual(['unit', 'store']);
  });

  it('refuses a name that it does not know, and says which there are', () => {
    expect(() => selectParts(['units'])).toThrow(/units; there are: types, lint, audit, unit/);
  });
});
