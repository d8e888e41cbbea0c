/**
 * What the checks in this folder look at: a source file with its syntax tree and its imports, or any other tracked file as
 * text. TypeScript 7 has no stable API for its trees, so they come from oxc-parser, in the ESTree form.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { parseSync, visitorKeys } from 'oxc-parser';

export type SourceFile = {
  /** Relative to the top of the repository, with forward slashes. */
  readonly path: string;
  readonly text: string;
  readonly tree: SyntaxNode;
  readonly imports: readonly Import[];
  lineAt(offset: number): number;
};

export type Import = {
  readonly specifier: string;
  /** The imported file, for a relative import; undefined for a package. */
  readonly file: string | undefined;
  /** The imported package, for anything else; `node:fs` for what comes with Node.js. */
  readonly packageName: string | undefined;
  /** True where the whole statement is erased before the code runs. */
  readonly isErased: boolean;
  readonly line: number;
};

export type TextFile = { readonly path: string; readonly text: string };

export type SyntaxNode = { readonly type: string; readonly start: number; readonly end: number } & {
  readonly [key: string]: unknown;
};

/** Where a node hangs: its parent and the parent's property that holds it. */
export type Place = { readonly parent: SyntaxNode | undefined; readonly key: string };

const repositoryRoot = join(import.meta.dirname, '..', '..');
const binaryExtensions = /\.(png|jpg|gif|ico|webp|woff2?|gz|tgz|zip|wasm)$/;

/** Paths of the files that are tracked, or would be if everything were added. */
export function listFiles(): readonly string[] {
  const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  const listed = execFileSync('git', args, { cwd: repositoryRoot, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  const paths = listed.split('\0').filter((path) => path !== '' && existsSync(join(repositoryRoot, path)));
  return [...new Set(paths)].sort();
}

export function readTextFiles(): readonly TextFile[] {
  return listFiles()
    .filter((path) => !binaryExtensions.test(path))
    .map((path) => ({ path, text: readFileSync(join(repositoryRoot, path), 'utf8') }));
}

export function readSourceFiles(): readonly SourceFile[] {
  return readTextFiles()
    .filter(({ path }) => /\.tsx?$/.test(path))
    .map(({ path, text }) => parseSource(path, text));
}

export function parseSource(path: string, text: string): SourceFile {
  const parsed = parseSync(path, text);
  const error = parsed.errors[0];
  if (error !== undefined) throw new SyntaxError(`${path} can't be parsed: ${error.message}`);
  const tree = parsed.program as unknown as SyntaxNode;
  const lineAt = lineFinder(text);
  return { path, text, tree, lineAt, imports: findImports(path, tree, lineAt) };
}

/** Visits a node and everything below it, parents first. Where `visit` answers false, what is below is left out. */
export function walk(
  node: SyntaxNode,
  visit: (node: SyntaxNode, place: Place) => boolean | undefined,
  place: Place = { parent: undefined, key: '' },
): void {
  if (visit(node, place) === false) return;
  for (const key of visitorKeys[node.type] ?? []) {
    for (const child of childrenAt(node, key)) walk(child, visit, { parent: node, key });
  }
}

export function childrenAt(node: SyntaxNode, key: string): readonly SyntaxNode[] {
  const value = node[key];
  return (Array.isArray(value) ? value : [value]).filter(isNode);
}

export function isNode(value: unknown): value is SyntaxNode {
  return typeof value === 'object' && value !== null && 'type' in value && 'start' in value;
}

function lineFinder(text: string): (offset: number) => number {
  const starts = [0];
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return (offset) => {
    const after = starts.findIndex((start) => start > offset);
    return after === -1 ? starts.length : after;
  };
}

function findImports(path: string, tree: SyntaxNode, lineAt: (offset: number) => number): readonly Import[] {
  const imports: Import[] = [];
  walk(tree, (node) => {
    const specifier = importedSpecifier(node);
    if (specifier === undefined) return undefined;
    const isErased = node.type === 'TSImportType' || node['importKind'] === 'type' || node['exportKind'] === 'type';
    const isRelative = specifier.startsWith('.');
    imports.push({
      specifier,
      file: isRelative ? posix.join(posix.dirname(path), specifier) : undefined,
      packageName: isRelative ? undefined : packageOf(specifier),
      isErased,
      line: lineAt(node.start),
    });
    return undefined;
  });
  return imports;
}

const importingNodes = new Set([
  'ImportDeclaration',
  'ExportNamedDeclaration',
  'ExportAllDeclaration',
  'ImportExpression',
  'TSImportType',
]);

function importedSpecifier(node: SyntaxNode): string | undefined {
  if (!importingNodes.has(node.type)) return undefined;
  const source = node['source'];
  return isNode(source) && typeof source['value'] === 'string' ? source['value'] : undefined;
}

function packageOf(specifier: string): string {
  if (specifier.startsWith('node:')) return specifier;
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}
