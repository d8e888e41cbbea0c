import { describe, expect, it } from 'vitest';
import { expectTidy } from './finding.ts';
import { checkFileNames, checkReadmes } from './names.ts';
import { listFiles } from './source.ts';

describe('names can be guessed', () => {
  it('in this repository', () => expectTidy(checkFileNames(listFiles())));

  it.each([
    'package.json',
    'LICENSE',
    '.ci/run',
    'shared/util/backoff.ts',
    'control-plane/store/record-types.ts',
    'tests/unit/job-version.test.ts',
    'infra/decisions/0001-state-in-etcd.md',
    'infra/images/agent/Dockerfile',
    'infra/systemd/berth-agent@.service',
    'tests/unit/README.md',
  ])('accepts %s', (path) => {
    expect(checkFileNames([path])).toEqual([]);
  });

  it.each([
    'shared/util/Backoff.ts',
    'shared/util/record_types.ts',
    'shared/domain/jobVersion.ts',
    'tests/__fixtures__/job.json',
    'shared/util/utils.ts',
    'shared/util/util.ts',
    'control-plane/api/http-helpers.ts',
    'control-plane/services/job-manager.ts',
    'tools/release.sh',
  ])('refuses %s', (path) => {
    expect(checkFileNames([path])).toMatchObject([{ path }]);
  });
});

describe('every folder of the second level says what it is for', () => {
  it('in this repository', () => expectTidy(checkReadmes(listFiles())));

  it('finds one that does not, once', () => {
    const paths = ['shared/util/a.ts', 'shared/util/deep/b.ts', 'shared/domain/README.md', 'shared/domain/c.ts'];
    expect(checkReadmes(paths)).toMatchObject([{ path: 'shared/util/README.md' }]);
  });

  it('asks nothing of files at the top or right below it', () => {
    expect(checkReadmes(['package.json', 'control-plane/app.ts', '.ci/run'])).toEqual([]);
  });
});
