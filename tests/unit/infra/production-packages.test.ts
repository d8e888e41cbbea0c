import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { productionPackages } from '../../../infra/images/production-packages.ts';

const lock = (packages: object) => JSON.stringify({ lockfileVersion: 3, packages });

describe('the packages of an image', () => {
  it('are those that are run, wherever they lie', () => {
    const packages = {
      '': {},
      'node_modules/hono': {},
      'node_modules/a/node_modules/b': {},
      'node_modules/fast': { optional: true },
      'node_modules/vitest': { dev: true },
      'node_modules/both': { devOptional: true },
    };
    expect(productionPackages(lock(packages))).toEqual({
      needed: ['node_modules/hono', 'node_modules/a/node_modules/b'],
      optional: ['node_modules/fast'],
    });
  });

  it('are not guessed from a lock file of another form', () => {
    expect(() => productionPackages('{"lockfileVersion":1,"dependencies":{}}')).toThrow();
  });

  it('hold what the control plane imports, and no test runner', () => {
    const text = readFileSync(join(import.meta.dirname, '../../../package-lock.json'), 'utf8');
    const { needed } = productionPackages(text);
    expect(needed).toEqual(expect.arrayContaining(['node_modules/hono', 'node_modules/etcd3', 'node_modules/zod']));
    expect(needed).not.toContain('node_modules/vitest');
  });
});
