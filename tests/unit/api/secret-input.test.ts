import { describe, expect, it, test } from 'vitest';
import { jobSpecSchema } from '../../../shared/protocol/job.ts';

const IMAGE = { image: 'berth/busybox:local' };

function faultsOf(secrets: readonly object[], group: object = IMAGE, job: object = {}): string[] {
  const checked = jobSpecSchema.safeParse({ name: 'hello', role: 'eng/ml', groups: [{ ...group, secrets }], ...job });
  return (checked.error?.issues ?? []).map(({ path, message }) => `/${path.join('/')} ${message}`);
}

describe('how a group names secrets', () => {
  it.each([
    [[{ name: 'a', env: 'A' }]],
    [
      [
        { name: 'a', env: 'A' },
        { name: 'a', file: 'a' },
      ],
    ],
    [[{ name: 'a', file: '/etc/app/key.pem', mode: '0440', uid: 1000 }]],
    [[{ name: 'a', role: 'eng', file: 'a.json' }]],
  ])('%j is taken', (secrets) => {
    expect(faultsOf(secrets)).toEqual([]);
  });

  it.each([
    [[{ name: 'a' }], '/groups/0/secrets/0/file or env is required'],
    [[{ name: 'a', env: 'A', file: 'a' }], '/groups/0/secrets/0/file can not go with env'],
    [[{ name: 'A', env: 'A' }], '/groups/0/secrets/0/name must be lower-case'],
    [[{ name: 'a', env: 'A-B' }], '/groups/0/secrets/0/env must be the name of a variable'],
    [[{ name: 'a', env: 'BERTH_ROLE' }], '/groups/0/secrets/0/env must not begin with BERTH_'],
    [[{ name: 'a', env: 'A', mode: '0400' }], '/groups/0/secrets/0/mode is only for a file'],
    [[{ name: 'a', env: 'A', uid: 1 }], '/groups/0/secrets/0/uid is only for a file'],
    [[{ name: 'a', file: 'a', mode: '400' }], '/groups/0/secrets/0/mode must be four octal digits'],
    [[{ name: 'a', file: 'a', mode: '4755' }], '/groups/0/secrets/0/mode must be four octal digits'],
    [[{ name: 'a', file: '../a' }], '/groups/0/secrets/0/file must be an absolute path'],
    [[{ name: 'a', file: '/a/../b' }], '/groups/0/secrets/0/file must be an absolute path'],
    [[{ name: 'a', file: '/a//b' }], '/groups/0/secrets/0/file must be an absolute path'],
    [[{ name: 'a', file: '/' }], '/groups/0/secrets/0/file must be an absolute path'],
    [[{ name: 'a', file: 'a/b' }], '/groups/0/secrets/0/file must be an absolute path'],
    [[{ name: 'a', role: 'ops', env: 'A' }], '/groups/0/secrets/0/role "ops" is neither the job'],
    [[{ name: 'a', role: 'eng/ml/x', env: 'A' }], '/groups/0/secrets/0/role "eng/ml/x" is neither the job'],
    [
      [
        { name: 'a', env: 'A' },
        { name: 'b', env: 'A' },
      ],
      '/groups/0/secrets/1/env "A" is used twice',
    ],
    [
      [
        { name: 'a', file: 'x' },
        { name: 'b', file: '/run/secrets/x' },
      ],
      '/groups/0/secrets/1/file "/run/secrets/x" is used twice',
    ],
    [[{ name: 'a', env: 'A', value: 'x' }], '/groups/0/secrets/0 Unrecognized key'],
  ])('%j is refused where it is wrong', (secrets, fault) => {
    expect(faultsOf(secrets)).toEqual([expect.stringContaining(fault)]);
  });

  test('what the rest of the group says can not be said by a secret as well', () => {
    expect(faultsOf([{ name: 'a', env: 'A' }], { ...IMAGE, env: { A: '1' } })).toEqual([
      '/groups/0/secrets/0/env "A" is in env as well',
    ]);
    const mounts = [{ type: 'tmpfs', target: '/data' }];
    expect(faultsOf([{ name: 'a', file: '/data' }], { ...IMAGE, mounts })).toEqual([
      '/groups/0/secrets/0/file "/data" is the target of a mount as well',
    ]);
  });

  test('a process finds its files in the folder of secrets and nowhere else', () => {
    const group = { runtime: 'process', command: ['true'] };
    expect(
      faultsOf(
        [
          { name: 'a', file: 'a' },
          { name: 'a', env: 'A' },
        ],
        group,
      ),
    ).toEqual([]);
    expect(faultsOf([{ name: 'a', file: '/etc/a' }], group)).toEqual([
      expect.stringContaining('/groups/0/secrets/0/file must be a bare name with the runtime "process"'),
    ]);
  });

  test('a job names only so many', () => {
    const named = (count: number) => Array.from({ length: count }, (_, at) => ({ name: `s${at}`, env: `S${at}` }));
    expect(faultsOf(named(32))).toEqual([]);
    expect(faultsOf(named(33))).toEqual(['/groups name 33 secrets; a job may have 32']);
  });
});
