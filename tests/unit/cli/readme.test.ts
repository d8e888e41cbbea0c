import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { completionNodes } from '../../../control-plane/cli/commands/completion.ts';
import { EXIT } from '../../../control-plane/cli/exit.ts';
import { processIo } from '../../../control-plane/cli/process-io.ts';
import { createProgram } from '../../../control-plane/cli/program.ts';
import { jobSpecSchema } from '../../../shared/protocol/job.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const readme = readFileSync(`${ROOT}/README.md`, 'utf8');
const scripts: Record<string, string> = JSON.parse(readFileSync(`${ROOT}/package.json`, 'utf8')).scripts;
const program = createProgram(processIo(), '0', () => {});
const nodes = completionNodes(program);

function blocks(language: string): string[] {
  return [...readme.matchAll(new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``, 'g'))].map((match) => match[1] ?? '');
}

const commands = blocks('sh').flatMap((block) => block.replaceAll('\\\n', ' ').split('\n'));

describe('the README', () => {
  const berthLines = commands.filter((line) => line.startsWith('berth '));
  it('shows commands of the CLI', () => expect(berthLines.length).toBeGreaterThan(5));

  it.each(berthLines)('%s is a command that there is', (line) => {
    const words =
      line
        .replace(/ +#.*$/, '')
        .replace(/ > .*$/, '')
        .split(' -- ')[0]
        ?.split(/ +/)
        .slice(1) ?? [];
    const path = longestPath(words);
    expect(path).not.toBe('');
    // What the agent and the control plane take is theirs to check.
    if (path === 'agent' || path === 'control-plane') return;
    const known = nodes.find((node) => node.path === path)?.flags ?? [];
    expect(known).toEqual(expect.arrayContaining(words.filter((word) => word.startsWith('-'))));
  });

  it.each([...readme.matchAll(/npm (?:run )?(test|(?<=run )[a-z]+(?::[a-z]+)?)\b/g)].map(([, name = '']) => name))(
    'npm run %s is a script that there is',
    (name) => expect(Object.keys(scripts)).toContain(name),
  );

  it('names every command of the CLI', () => {
    for (const node of nodes.filter(({ path }) => path !== '' && !path.includes(' '))) {
      expect(readme, node.path).toContain(`berth ${node.path}`);
    }
  });

  it('shows job files that are sound', () => {
    const files = blocks('yaml');
    expect(files).not.toEqual([]);
    for (const file of files) expect(jobSpecSchema.safeParse(parse(file)).error).toBeUndefined();
    const bodies = [...readme.matchAll(/-d '(\{.*\})'/g)].map((match) => JSON.parse(match[1] ?? ''));
    expect(bodies).toHaveLength(1);
    for (const body of bodies) expect(jobSpecSchema.safeParse(body).error).toBeUndefined();
  });

  it('links to what is there', () => {
    const links = [...readme.matchAll(/\]\(([^)#]+)\)/g)].map((match) => match[1] ?? '');
    const local = links.filter((link) => !link.includes('://'));
    expect(local.length).toBeGreaterThan(0);
    expect(local.filter((link) => !existsSync(`${ROOT}/${link}`))).toEqual([]);
  });
});

function longestPath(words: readonly string[]): string {
  const paths = nodes.map((node) => node.path);
  const two = words.slice(0, 2).join(' ');
  if (paths.includes(two)) return two;
  return paths.includes(words[0] ?? '') ? (words[0] ?? '') : '';
}

describe('the help', () => {
  it('lists every exit code', () => {
    let help = '';
    const write = (text: string) => {
      help += text;
    };
    const io = { ...processIo(), out: { write, isTerminal: false, columns: null } };
    createProgram(io, '0', () => {}).outputHelp();
    for (const code of Object.values(EXIT)) expect(help).toMatch(new RegExp(`^  ${code} `, 'm'));
  });
});
