import { describe, expect, it } from 'vitest';
import { expectTidy } from './finding.ts';
import { checkPolicy } from './policy.ts';
import { parseSource, readSourceFiles } from './source.ts';

describe('who may do what is decided by the policy alone', () => {
  it('in this repository', () => expectTidy(checkPolicy(readSourceFiles())));

  it.each([
    "if (call.principal.kind === 'node') {}",
    'const many = principal.grants.length;',
    'if (framework.principal === principal.subject) {}',
    'if (principal.subject !== by) {}',
    'if (mayEverything(principal)) {}',
  ])('finds %s', (text) => {
    const found = checkPolicy([parseSource('control-plane/services/jobs.ts', `\n${text}`)]);
    expect(found).toMatchObject([{ path: 'control-plane/services/jobs.ts', line: 2 }]);
  });

  it.each(['const by = call.principal.subject;', 'if (actsFor(principal, framework.principal)) {}'])(
    'accepts %s',
    (text) => {
      expect(checkPolicy([parseSource('control-plane/services/jobs.ts', text)])).toEqual([]);
    },
  );

  it('leaves the policy itself alone', () => {
    expect(checkPolicy([parseSource('control-plane/auth/policy.ts', 'if (principal.kind) {}')])).toEqual([]);
  });
});
