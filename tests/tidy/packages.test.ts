import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { expectTidy } from './finding.ts';
import { checkAgentClosure, checkDeclared, checkPackages } from './packages.ts';
import { parseSource, readSourceFiles } from './source.ts';

const manifestSchema = z.object({
  dependencies: z.record(z.string(), z.string()),
  devDependencies: z.record(z.string(), z.string()),
});

function declaredPackages(): ReadonlySet<string> {
  const text = readFileSync(join(import.meta.dirname, '..', '..', 'package.json'), 'utf8');
  const { dependencies, devDependencies } = manifestSchema.parse(JSON.parse(text));
  return new Set([...Object.keys(dependencies), ...Object.keys(devDependencies)]);
}

describe('packages are used where they belong', () => {
  it('in this repository', () => expectTidy(checkPackages(readSourceFiles())));

  it.each([
    ['shared/util/digest.ts', '@noble/hashes/sha2.js'],
    ['shared/protocol/job.ts', 'zod'],
    ['control-plane/adapters/etcd/client.ts', 'etcd3'],
    ['control-plane/adapters/etcd/client.ts', 'node:fs'],
    ['control-plane/auth/verify.ts', 'jose'],
    ['control-plane/api/jobs.ts', '@hono/zod-openapi'],
    ['node-agent/adapters/docker.ts', 'dockerode'],
    ['tests/e2e/a.test.ts', 'dockerode'],
  ])('%s may use %s', (path, specifier) => {
    expect(checkPackages([parseSource(path, `import { a } from '${specifier}';`)])).toEqual([]);
  });

  it.each([
    ['shared/domain/job.ts', 'zod'],
    ['shared/util/digest.ts', 'node:crypto'],
    ['control-plane/scheduler/plan.ts', 'zod'],
    ['control-plane/reconcile/actions.ts', 'hono'],
    ['control-plane/services/jobs.ts', 'etcd3'],
    ['control-plane/services/jobs.ts', 'node:fs'],
    ['control-plane/store/contract.ts', 'etcd3'],
    ['control-plane/main-worker.ts', '@hono/node-server'],
    ['node-agent/main.ts', 'zod'],
    ['node-agent/adapters/docker.ts', 'etcd3'],
  ])('%s may not use %s', (path, specifier) => {
    expect(checkPackages([parseSource(path, `\nimport type { A } from '${specifier}';`)])).toMatchObject([
      { path, line: 2 },
    ]);
  });
});

describe('the agent stays thin', () => {
  it('in this repository', () => expectTidy(checkAgentClosure(readSourceFiles())));

  const schema = parseSource('shared/protocol/job.ts', `import { z } from 'zod';`);
  const between = parseSource('shared/protocol/agent.ts', `import { job } from './job.ts';`);

  it('finds a package that comes along through other files, and names the way', () => {
    const agent = parseSource('node-agent/main.ts', `import { a } from '../shared/protocol/agent.ts';`);
    const [finding, ...others] = checkAgentClosure([agent, between, schema]);
    expect(others).toEqual([]);
    expect(finding).toMatchObject({ path: 'shared/protocol/job.ts', line: 1 });
    expect(finding?.message).toContain('node-agent/main.ts → shared/protocol/agent.ts → shared/protocol/job.ts');
  });

  it('accepts what is erased before it runs', () => {
    const agent = parseSource('node-agent/main.ts', `import type { A } from '../shared/protocol/agent.ts';`);
    expect(checkAgentClosure([agent, between, schema])).toEqual([]);
  });

  it('counts an import as kept when only its names are marked as types', () => {
    const agent = parseSource('node-agent/main.ts', `import { type A } from '../shared/protocol/agent.ts';`);
    expect(checkAgentClosure([agent, between, schema])).toHaveLength(1);
  });
});

describe('every package is declared', () => {
  it('in this repository', () => expectTidy(checkDeclared(readSourceFiles(), declaredPackages())));

  it('finds one that is not', () => {
    const file = parseSource('tests/unit/a.test.ts', `import a from '@scope/name/deep';\nimport b from 'node:fs';`);
    expect(checkDeclared([file], new Set(['name']))).toMatchObject([{ line: 1 }]);
    expect(checkDeclared([file], new Set(['@scope/name']))).toEqual([]);
  });
});
