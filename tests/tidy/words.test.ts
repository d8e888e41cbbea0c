import { describe, expect, it } from 'vitest';
import { expectTidy } from './finding.ts';
import { readTextFiles } from './source.ts';
import { checkWords } from './words.ts';

const registry = ['registry', 'npmjs', 'org'].join('.');

describe('tracked files hold no left-overs and no settings of one machine', () => {
  it('in this repository', () => expectTidy(checkWords(readTextFiles())));

  it.each([
    ['shared/util/a.ts', '// TODO: the other case'],
    ['infra/bootstrap/a.sh', '# FIXME'],
    ['tests/unit/a.test.ts', `it.only('a', () => {});`],
    ['tests/unit/a.test.ts', `describe.skip('a', () => {});`],
    ['tests/unit/a.test.ts', `it.concurrent.skip('a', () => {});`],
    ['tests/unit/a.test.ts', `it.todo('a');`],
    ['infra/images/Dockerfile', `RUN npm config set registry https://${registry}/`],
    ['package-lock.json', '  "resolved": "https://mirror.example/a.tgz",'],
  ])('finds in %s: %s', (path, line) => {
    expect(checkWords([{ path, text: `first\n${line}\n` }])).toMatchObject([{ path, line: 2 }]);
  });

  it.each([
    ['shared/util/a.ts', `const status = 'todo';`],
    ['tests/unit/a.test.ts', `it.skipIf(noGpu)('gives a GPU to a task', () => {});`],
    ['tests/unit/a.test.ts', 'const rest = iterator.skip(1);'],
    ['shared/protocol/job.ts', `const image = 'registry.example/team/app:1';`],
    ['shared/protocol/job.ts', '"resolved": "host"'],
  ])('accepts in %s: %s', (path, line) => {
    expect(checkWords([{ path, text: line }])).toEqual([]);
  });
});
