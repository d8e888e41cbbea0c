/** The script that becomes a task's command: whatever its words are, they arrive as they are. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { launchScript, quoted } from '../../../node-agent/adapters/process/supervisor.ts';

it('takes every word for one word', () => {
  const anyText = fc
    .string({ unit: 'binary', maxLength: 40 })
    .filter((text) => !text.includes('\0') && text.isWellFormed());
  fc.assert(
    fc.property(fc.array(anyText, { minLength: 1, maxLength: 20 }), (texts) => {
      const { stdout } = spawnSync('/bin/sh', ['-c', `printf '%s\\0' ${texts.map(quoted).join(' ')}`]);
      expect(stdout.toString('utf8').split('\0').slice(0, -1)).toEqual(texts);
    }),
    { numRuns: 30 },
  );
});

function launched(
  command: readonly string[],
  environment: Readonly<Record<string, string>>,
  workingDir = '/',
  shell = '/bin/sh',
) {
  const script = launchScript({ environment: { PATH: '/usr/bin:/bin', ...environment }, workingDir, command });
  const { status, stdout, output } = spawnSync(shell, ['-c', script], {
    env: {},
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  return { status, out: stdout.toString('utf8'), report: String(output[3]) };
}

it('becomes the command, with nothing but the variables that it was given', () => {
  const { status, out, report } = launched(['env'], { A: "it's\n$HOME `x`", 'b.c-d': '"' });
  expect(status).toBe(0);
  expect(report).toBe('started\n');
  const lines = out.split('\n').filter((line) => !/^(PWD|_|SHLVL)=/.test(line));
  expect(lines.sort()).toEqual(['', '$HOME `x`', "A=it's", 'PATH=/usr/bin:/bin', 'b.c-d="']);
});

it.each(['/bin/sh', '/bin/bash'].filter((shell) => existsSync(shell)))(
  'hands over variables in which %s has a say of its own, whatever is in them',
  (shell) => {
    const names = [
      'OPTIND',
      'PPID',
      'UID',
      'EUID',
      'LINENO',
      'IFS',
      'RANDOM',
      'SHELLOPTS',
      'SHLVL',
      'PWD',
      'OLDPWD',
      'a.b',
    ];
    const environment = Object.fromEntries(names.map((name) => [name, 'ab/c']));
    const { status, out, report } = launched(['env'], environment, '/', shell);
    expect({ status, report }).toEqual({ status: 0, report: 'started\n' });
    expect(out.split('\n')).toEqual(expect.arrayContaining(names.map((name) => `${name}=ab/c`)));
  },
);

it('finds programs in the folders of the task alone', () => {
  const { status, out } = launched(['printf', 'x'], { PATH: '/nowhere:/usr/bin', 'a.b': '' });
  expect({ status, out }).toEqual({ status: 0, out: 'x' });
  const { report } = launched(['printf', 'x'], { PATH: '/nowhere', 'a.b': '' });
  expect(report).toContain('printf');
});

it.each([
  ['a program whose name looks like an escape', ['/a\\cb'], '/', 127, '/a\\cb'],
  ['a program that is not there', ['no-such-program'], '/', 127, 'no-such-program'],
  ['a folder for a program', ['/usr/bin'], '/', 127, '/usr/bin'],
  ['a file that may not be run', ['/etc/passwd'], '/', 127, '/etc/passwd'],
  ['a working folder that is not there', ['true'], "/it's/not/there", 126, "/it's/not/there"],
])('says so of %s', (_, command, workingDir, code, words) => {
  const { status, report } = launched(command, {}, workingDir);
  expect(status).toBe(code);
  expect(report).toMatch(/^unusable .+\n$/);
  expect(report).toContain(words);
});
