import { describe, expect, it } from 'vitest';
import { checkAmbient } from './ambient.ts';
import { expectTidy } from './finding.ts';
import { parseSource, readSourceFiles } from './source.ts';

const decider = 'control-plane/services/jobs.ts';

describe('clock, randomness, environment and console are handed in', () => {
  it('in this repository', () => expectTidy(checkAmbient(readSourceFiles())));

  it.each([
    'const a = Date.now();',
    'const a = Date.now;',
    'const a = new Date();',
    'const a = performance.now();',
    'const a = Math.random();',
    'const a = crypto.randomUUID();',
    'setTimeout(() => {}, 1);',
    'globalThis.setTimeout(() => {}, 1);',
    'const timers = { setInterval };',
    'const a = (setTimeout as unknown as () => void)();',
    `const a = process.env['HOME'];`,
    `console.log('a');`,
  ])('finds %s', (text) => {
    expect(checkAmbient([parseSource(decider, `\n${text}`)])).toMatchObject([{ path: decider, line: 2 }]);
  });

  it.each([
    'clock.setTimeout(() => {}, 1);',
    'const a = new Date(nowMs);',
    'const a = Date.parse(text);',
    'const a = Math.max(1, 2);',
    'const a = { process: 1, console: 2 };',
    'function stop(process: { kill(): void }) { process.kill(); }',
    'type Timer = { setTimeout: typeof setTimeout; console: Console };',
    '// Date.now() is read by the adapter.',
    `const a = 'console.log';`,
  ])('accepts %s', (text) => {
    expect(checkAmbient([parseSource(decider, text)])).toEqual([]);
  });

  it.each([
    'control-plane/main-node.ts',
    'control-plane/adapters/clock/system.ts',
    'control-plane/cli/main.ts',
    'node-agent/main.ts',
    'node-agent/adapters/docker/runtime.ts',
    'infra/demo/main.ts',
    'tests/e2e/a.test.ts',
  ])('%s may reach out', (path) => {
    expect(checkAmbient([parseSource(path, 'console.log(Date.now());')])).toEqual([]);
  });

  it.each(['shared/util/backoff.ts', 'control-plane/app.ts', 'control-plane/api/jobs.ts', 'node-agent/session/a.ts'])(
    '%s may not',
    (path) => {
      expect(checkAmbient([parseSource(path, 'console.log(Date.now());')])).not.toEqual([]);
    },
  );
});
