import { describe, expect, it } from 'vitest';
import { expectTidy } from './finding.ts';
import { checkDefaultExports, checkFunctionLengths } from './shape.ts';
import { parseSource, readSourceFiles } from './source.ts';

function statements(count: number): string {
  return 'f();\n'.repeat(count);
}

describe('a function fits a screen', () => {
  it('in this repository', () => expectTidy(checkFunctionLengths(readSourceFiles())));

  it.each([
    ['a function', `\nfunction placeTasks() {\n${statements(69)}}`],
    ['an arrow function', `\nconst placeTasks = () => {\n${statements(69)}};`],
    ['a method', `class A {\nplaceTasks() {\n${statements(69)}}\n}`],
  ])('finds %s of 71 lines, by name', (_, text) => {
    const findings = checkFunctionLengths([parseSource('shared/util/a.ts', text)]);
    expect(findings).toMatchObject([{ path: 'shared/util/a.ts', line: 2 }]);
    expect(findings[0]?.message).toContain('placeTasks has 71 lines');
  });

  it('accepts a function of 70 lines, and any number of them', () => {
    const text = `function a() {\n${statements(68)}}\n`.repeat(5);
    expect(checkFunctionLengths([parseSource('shared/util/a.ts', text)])).toEqual([]);
  });

  const suite = `describe('a', () => {\n${`it.each([1])('b', () => {\n${statements(30)}});\n`.repeat(5)}});`;

  it('accepts a long list of short tests', () => {
    expect(checkFunctionLengths([parseSource('tests/unit/a.test.ts', suite)])).toEqual([]);
    expect(checkFunctionLengths([parseSource('tests/store/a.ts', `function s() {\n${suite}\n}`)])).toEqual([]);
  });

  it('measures each test, and what is between tests', () => {
    const long = `describe('a', () => {\nit('b', () => {\n${statements(69)}});\n});`;
    expect(checkFunctionLengths([parseSource('tests/unit/a.test.ts', long)])).toMatchObject([{ line: 2 }]);
    const between = `describe('a', () => {\n${statements(69)}});`;
    expect(checkFunctionLengths([parseSource('tests/unit/a.test.ts', between)])).toMatchObject([{ line: 1 }]);
  });

  it('gives nothing away outside of tests', () => {
    expect(checkFunctionLengths([parseSource('shared/util/a.ts', suite)])).toMatchObject([{ line: 1 }]);
  });
});

describe('exports have names', () => {
  it('in this repository', () => expectTidy(checkDefaultExports(readSourceFiles())));

  it('finds a default export', () => {
    expect(checkDefaultExports([parseSource('shared/util/a.ts', '\nexport default 1;')])).toMatchObject([{ line: 2 }]);
  });

  it('accepts the one that a Worker has to be', () => {
    expect(checkDefaultExports([parseSource('control-plane/main-worker.ts', 'export default {};')])).toEqual([]);
  });
});
