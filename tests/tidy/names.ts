/** What files and folders are called, and that each folder of the second level says what it is for. */
import type { Finding } from './finding.ts';

const topFolders = ['control-plane', 'node-agent', 'shared', 'infra', 'tests'];
const kebabCase = /^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+(-[a-z0-9]+)*)*$/;
const fixedNames = /^(README\.md|Dockerfile|Caddyfile|Makefile|\..+|[a-z0-9-]+@\.service)$/;
const emptyNames = /^(.*-)?(utils?|helpers?|managers?|misc|common)\.tsx?$/;

export function checkFileNames(paths: readonly string[]): readonly Finding[] {
  return paths.flatMap((path) => {
    const parts = path.split('/');
    if (parts.length === 1 || parts[0]?.startsWith('.')) return [];
    return [...checkTopFolder(path, parts), ...checkParts(path, parts), ...checkMeaning(path, parts)];
  });
}

function checkTopFolder(path: string, parts: readonly string[]): readonly Finding[] {
  if (topFolders.includes(parts[0] ?? '')) return [];
  const message = `${parts[0]}/ is not one of the top folders (${topFolders.join(', ')}). Put it into one of them: the top level is fixed by the design, so that a reader knows where to look.`;
  return [{ path, line: 1, message }];
}

function checkParts(path: string, parts: readonly string[]): readonly Finding[] {
  const odd = parts.filter((part) => !kebabCase.test(part) && !fixedNames.test(part));
  return odd.map((part) => ({
    path,
    line: 1,
    message: `${part} is not in kebab-case. Rename it to lower-case words joined by hyphens, so that names can be guessed and don't differ by case alone.`,
  }));
}

function checkMeaning(path: string, parts: readonly string[]): readonly Finding[] {
  const name = parts.at(-1) ?? '';
  if (!emptyNames.test(name)) return [];
  const message = `${name} names no concept. Name the file after what it holds, or move each function to where its concept lives: a drawer for everything only grows.`;
  return [{ path, line: 1, message }];
}

export function checkReadmes(paths: readonly string[]): readonly Finding[] {
  const known = new Set(paths);
  const folders = new Set(
    paths
      .map((path) => path.split('/'))
      .flatMap(([top, second, ...rest]) => (rest.length > 0 ? [`${top}/${second}`] : [])),
  );
  return [...folders]
    .filter((folder) => topFolders.includes(folder.split('/')[0] ?? '') && !known.has(`${folder}/README.md`))
    .map((folder) => ({
      path: `${folder}/README.md`,
      line: 1,
      message:
        'this file is missing. Write in a few sentences what lives in the folder and what never will: the second level is the architecture.',
    }));
}
