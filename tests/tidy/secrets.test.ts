import { describe, expect, it } from 'vitest';
import { expectTidy } from './finding.ts';
import { checkSecrets } from './secrets.ts';
import { parseSource, readSourceFiles } from './source.ts';

const service = 'control-plane/services/tokens.ts';

describe('secrets are compared in constant time', () => {
  it('in this repository', () => expectTidy(checkSecrets(readSourceFiles())));

  it.each([
    'const a = secret === given;',
    'const a = given !== record.joinSecret;',
    'if (stored.requestDigest !== call?.requestDigest) stop();',
    'const a = given == user.password;',
    'const a = this.#token === token;',
    'const a = executorToken !== shown;',
  ])('finds %s', (text) => {
    expect(checkSecrets([parseSource(service, `\n${text}`)])).toMatchObject([{ path: service, line: 2 }]);
  });

  it.each([
    'const a = secret === null;',
    'const a = secret !== undefined;',
    `const a = token === '';`,
    'const a = typeof secret === text;',
    'const a = secrets === others;',
    'const a = tokenId === other.tokenId;',
    'const a = who?.tokenId === token;',
    'const a = secret.length === 3;',
    'const a = isSameSecret(secret, given);',
    'const a = secret + given;',
  ])('accepts %s', (text) => {
    expect(checkSecrets([parseSource(service, text)])).toEqual([]);
  });

  it('lets a client compare its own tokens, but no secrets', () => {
    const client = 'control-plane/cli/settings.ts';
    expect(checkSecrets([parseSource(client, 'const a = token === before;')])).toEqual([]);
    expect(checkSecrets([parseSource(client, 'const a = secret === before;')])).toHaveLength(1);
    expect(checkSecrets([parseSource('tests/unit/a.test.ts', 'const a = secret === before;')])).toEqual([]);
  });
});
