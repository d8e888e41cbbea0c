import { describe, expect, it } from 'vitest';
import { expectTidy } from './finding.ts';
import { checkCycles, checkFloors } from './floors.ts';
import { parseSource, readSourceFiles } from './source.ts';

function findings(path: string, text: string) {
  return checkFloors([parseSource(path, text)]);
}

describe('imports go down only', () => {
  it('in this repository', () => expectTidy(checkFloors(readSourceFiles())));

  it.each([
    ['shared/domain/job.ts', '../util/assert.ts'],
    ['shared/domain/job.ts', './ids.ts'],
    ['shared/client/client.ts', '../protocol/job.ts'],
    ['control-plane/scheduler/plan.ts', '../../shared/domain/job.ts'],
    ['control-plane/adapters/etcd/store.ts', '../../store/contract.ts'],
    ['control-plane/services/jobs.ts', '../store/contract.ts'],
    ['control-plane/api/jobs.ts', '../services/jobs.ts'],
    ['control-plane/app.ts', './api/jobs.ts'],
    ['control-plane/main-node.ts', './adapters/etcd/store.ts'],
    ['control-plane/main-node.ts', './main-config.ts'],
    ['node-agent/main.ts', './adapters/docker/runtime.ts'],
    ['node-agent/adapters/docker/runtime.ts', '../../runtime/contract.ts'],
    ['tests/unit/a.test.ts', '../../control-plane/adapters/memory/store.ts'],
  ])('%s may import %s', (path, specifier) => {
    expect(findings(path, `import { a } from '${specifier}';`)).toEqual([]);
  });

  it.each([
    ['shared/util/assert.ts', '../domain/job.ts'],
    ['shared/domain/job.ts', '../protocol/job.ts'],
    ['shared/domain/job.ts', '../../control-plane/store/keys.ts'],
    ['control-plane/scheduler/plan.ts', '../store/keys.ts'],
    ['control-plane/scheduler/plan.ts', '../reconcile/actions.ts'],
    ['control-plane/store/keys.ts', '../scheduler/plan.ts'],
    ['control-plane/services/jobs.ts', '../adapters/memory/store.ts'],
    ['control-plane/services/jobs.ts', '../controllers/rounds.ts'],
    ['control-plane/api/jobs.ts', '../store/keys.ts'],
    ['control-plane/api/jobs.ts', '../facade-mesos/tasks.ts'],
    ['control-plane/app.ts', './adapters/memory/store.ts'],
    ['control-plane/app.ts', './main-node.ts'],
    ['control-plane/services/jobs.ts', '../main-config.ts'],
    ['control-plane/cli/main.ts', '../services/jobs.ts'],
    ['control-plane/services/jobs.ts', '../../infra/demo/main.ts'],
    ['node-agent/session/session.ts', '../adapters/docker/runtime.ts'],
    ['node-agent/session/session.ts', '../../control-plane/store/keys.ts'],
    ['infra/demo/main.ts', '../../tests/runner/parts.ts'],
  ])('%s may not import %s', (path, specifier) => {
    expect(findings(path, `\nimport { a } from '${specifier}';`)).toMatchObject([{ path, line: 2 }]);
  });

  it.each([
    `import type { A } from '../domain/job.ts';`,
    `export { a } from '../domain/job.ts';`,
    `export * from '../domain/job.ts';`,
    `import '../domain/job.ts';`,
    `const a = await import('../domain/job.ts');`,
    `type A = import('../domain/job.ts').A;`,
  ])('whatever the form of the import: %s', (text) => {
    expect(findings('shared/util/a.ts', text)).toHaveLength(1);
  });

  it.each(['control-plane/plugins/a.ts', 'control-plane/server.ts', 'shared/a.ts', 'tools/a.ts'])(
    '%s is on no floor',
    (path) => {
      expect(findings(path, '')).toMatchObject([{ path, line: 1 }]);
    },
  );
});

describe('no import closes a circle', () => {
  it('in this repository', () => expectTidy(checkCycles(readSourceFiles())));

  it('accepts two ways to the same file', () => {
    const files = [
      parseSource('shared/util/a.ts', `import { b } from './b.ts'; import { c } from './c.ts';`),
      parseSource('shared/util/b.ts', `import { c } from './c.ts';`),
      parseSource('shared/util/c.ts', ''),
    ];
    expect(checkCycles(files)).toEqual([]);
  });

  it('finds a circle of files, type imports included', () => {
    const files = [
      parseSource('shared/util/a.ts', `import { b } from './b.ts';`),
      parseSource('shared/util/b.ts', `import { c } from './c.ts';`),
      parseSource('shared/util/c.ts', `\nimport type { A } from './a.ts';`),
    ];
    const [finding, ...others] = checkCycles(files);
    expect(others).toEqual([]);
    expect(finding).toMatchObject({ path: 'shared/util/c.ts', line: 2 });
    expect(finding?.message).toContain('shared/util/a.ts → shared/util/b.ts → shared/util/c.ts → shared/util/a.ts');
  });

  it('finds a circle of folders whose files form none', () => {
    const files = [
      parseSource('node-agent/session/a.ts', `import { b } from '../journal/b.ts';`),
      parseSource('node-agent/journal/b.ts', ''),
      parseSource('node-agent/journal/c.ts', `import { d } from '../session/d.ts';`),
      parseSource('node-agent/session/d.ts', ''),
    ];
    expect(checkCycles(files)).toMatchObject([{ path: 'node-agent/journal/c.ts' }]);
  });
});
