/** Words that tracked files don't contain: left-overs, switched-off tests and the names of package registries. */
import type { Finding } from './finding.ts';
import type { TextFile } from './source.ts';

type WordRule = {
  readonly pattern: RegExp;
  readonly message: string;
  /** The files it applies to; all of them if absent. */
  readonly appliesTo?: RegExp;
};

// Put together from pieces, so that this file passes its own check.
const leftOvers = ['TO' + 'DO', 'FIX' + 'ME', 'HA' + 'CK'];

const registryHosts = [
  ['npmjs', 'org'],
  ['npmjs', 'com'],
  ['npm', 'pkg', 'github', 'com'],
  ['npmmirror', 'com'],
  ['yarnpkg', 'com'],
  ['jsr', 'io'],
  ['pypi', 'org'],
  ['pythonhosted', 'org'],
  ['rubygems', 'org'],
  ['crates', 'io'],
  ['proxy', 'golang', 'org'],
  ['deb', 'debian', 'org'],
].map((labels) => labels.join('\\.'));

const rules: readonly WordRule[] = [
  {
    pattern: new RegExp(`\\b(${leftOvers.join('|')})\\b`),
    message:
      'this is a left-over. Finish it, or write down as a full sentence what the code does not do: notes to oneself are read by nobody.',
  },
  {
    pattern: /\b(?:it|test|describe|suite)(?:\.\w+)*\.(?:only|skip|todo|fails)\b/,
    appliesTo: /\.tsx?$/,
    message:
      'this switches tests off. Remove it, or the test; a test that needs hardware asks for it with `skipIf` and has GPU in its name. What does not run protects nothing.',
  },
  {
    pattern: new RegExp(`\\b(${registryHosts.join('|')})\\b`),
    message:
      'this names a package registry. Say "the registry" or leave it out: where packages come from is the setting of whoever installs them.',
  },
  {
    pattern: /"resolved": "/,
    appliesTo: /^package-lock\.json$/,
    message:
      'the lockfile says where a package was fetched from. Regenerate it with the .npmrc of this repository: version and integrity pin a package, its host is a setting.',
  },
];

const exempt = /^LICENSE$|^tests\/tidy\/words\.test\.ts$/;

export function checkWords(files: readonly TextFile[]): readonly Finding[] {
  return files.filter(({ path }) => !exempt.test(path)).flatMap(checkFile);
}

function checkFile({ path, text }: TextFile): readonly Finding[] {
  const applicable = rules.filter(({ appliesTo }) => appliesTo === undefined || appliesTo.test(path));
  return text
    .split('\n')
    .flatMap((line, index) =>
      applicable.filter(({ pattern }) => pattern.test(line)).map(({ message }) => ({ path, line: index + 1, message })),
    );
}
