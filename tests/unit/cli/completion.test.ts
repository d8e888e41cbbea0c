import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { completionNodes, completionScript } from '../../../control-plane/cli/commands/completion.ts';
import { processIo } from '../../../control-plane/cli/process-io.ts';
import { createProgram } from '../../../control-plane/cli/program.ts';

const program = createProgram(processIo(), '0', () => {});
const script = completionScript('bash', program);

/** What a real bash offers for a line, the last word being the one under the cursor. */
function complete(words: readonly string[]): string[] {
  const line = words.map((word) => `'${word}'`).join(' ');
  // A stand-in for the CLI, for the names that completion asks it for.
  const berth = 'berth() { [ "$*" = "job list -o name" ] && echo "hello eng/ml/train"; }';
  const ask = `COMP_WORDS=(${line}); COMP_CWORD=${words.length - 1}; _berth; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, status } = spawnSync('bash', ['-c', `set -u\n${berth}\n${script}\n${ask}`], {
    encoding: 'utf8',
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout.split('\n').filter((text) => text !== '');
}

describe('completion in bash', () => {
  it.each([
    [
      ['berth', ''],
      ['run', 'job', 'task', 'dev', 'completion'],
    ],
    [['berth', 'jo'], ['job']],
    [['berth', 'settings', 'set', '--gpu-nodes', 'p'], ['preferred']],
    [['berth', 'job', 'st'], ['stop']],
    [
      ['berth', 'job', 'show', ''],
      ['hello', 'eng/ml/train'],
    ],
    [['berth', 'job', 'show', 'eng'], ['eng/ml/train']],
    [
      ['berth', '-o', ''],
      ['table', 'json', 'yaml', 'name'],
    ],
    [['berth', 'run', '--network', 'h'], ['host']],
    [
      ['berth', 'task', 'logs', '--t'],
      ['--tail', '--timestamps', '--token', '--token-file'],
    ],
    // A flag's value is no command, whatever it is called.
    [['berth', '--token', 'task', 'job', 'h'], ['history']],
    [['berth', 'job', 'list', '--role', ''], []],
    // The same letter takes a file in one command and nothing in another.
    [
      ['berth', 'job', 'logs', '-f', ''],
      ['hello', 'eng/ml/train'],
    ],
    [['berth', 'run', '-f', 'tsconfig.js'], ['tsconfig.json']],
    [
      ['berth', 'job', 'show', '--role', 'eng', ''],
      ['hello', 'eng/ml/train'],
    ],
    [['berth', 'run', 'busybox', '--', ''], []],
  ])('%j', (words, expected) => {
    const offered = complete(words);
    expect(offered).toEqual(expect.arrayContaining(expected));
    if (expected.length < 5) expect(offered).toHaveLength(expected.length);
  });

  it('knows every command and every flag', () => {
    for (const node of completionNodes(program)) {
      const words = ['berth', ...node.path.split(' ').filter((word) => word !== '')];
      expect(complete([...words, '-'])).toEqual(expect.arrayContaining([...node.flags]));
      if (node.commands.length > 0) expect(complete([...words, ''])).toEqual([...node.commands]);
    }
  });

  it('is the same for zsh, by way of its own bridge', () => {
    expect(completionScript('zsh', program)).toContain('bashcompinit');
    expect(completionScript('zsh', program).endsWith(script)).toBe(true);
  });
});
