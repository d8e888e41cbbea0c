/** What a file's code looks like: functions that fit a screen, and exports that have one name everywhere. */
import type { Finding } from './finding.ts';
import { isNode, type SourceFile, type SyntaxNode, walk } from './source.ts';

const functionLinesMax = 70;
const functionNodes = new Set(['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression']);
const registersTests = /^(describe|suite|it|test|beforeEach|beforeAll|afterEach|afterAll)$/;

export function checkFunctionLengths(files: readonly SourceFile[]): readonly Finding[] {
  return files.flatMap((file) => {
    const findings: Finding[] = [];
    walk(file.tree, (node, { parent }) => {
      if (!functionNodes.has(node.type)) return undefined;
      const lines = linesOf(file, node) - (file.path.startsWith('tests/') ? linesOfTests(file, node) : 0);
      if (lines <= functionLinesMax) return undefined;
      const message = `${functionName(node, parent)} has ${lines} lines; at most ${functionLinesMax} fit a screen. Keep the branches here and move what each does into functions with names of their own.`;
      findings.push({ path: file.path, line: file.lineAt(node.start), message });
      return undefined;
    });
    return findings;
  });
}

function linesOf(file: SourceFile, node: SyntaxNode): number {
  return file.lineAt(node.end) - file.lineAt(node.start) + 1;
}

/** A suite is a list of tests, however long. Each test in it is a function that is measured by itself. */
function linesOfTests(file: SourceFile, suite: SyntaxNode): number {
  let lines = 0;
  walk(suite, (node, { parent, key }) => {
    const isTest = node !== suite && functionNodes.has(node.type) && key === 'arguments' && isRegistration(parent);
    if (isTest) lines += linesOf(file, node);
    return isTest ? false : undefined;
  });
  return lines;
}

function isRegistration(call: SyntaxNode | undefined): boolean {
  let callee: unknown = call?.['callee'];
  // it.each(table)('name', test) is a call of a call of a member.
  while (isNode(callee) && callee.type !== 'Identifier') callee = callee['callee'] ?? callee['object'];
  return isNode(callee) && registersTests.test(String(callee['name']));
}

function functionName(node: SyntaxNode, parent: SyntaxNode | undefined): string {
  const named = [node['id'], parent?.['key'], parent?.['id']].find((each) => isNode(each) && 'name' in each);
  return isNode(named) ? String(named['name']) : 'this function';
}

const configFiles = /^vitest\.config\.ts$/;
/** The platform asks for a default export: a Worker is one. */
const workerEntries = /^control-plane\/main-worker\.ts$/;

export function checkDefaultExports(files: readonly SourceFile[]): readonly Finding[] {
  return files
    .filter(({ path }) => !configFiles.test(path) && !workerEntries.test(path))
    .flatMap((file) => {
      const findings: Finding[] = [];
      walk(file.tree, (node) => {
        if (node.type !== 'ExportDefaultDeclaration') return undefined;
        const message =
          'this is a default export. Export it by name: a default has another name in every file that imports it, and searching finds none of them.';
        findings.push({ path: file.path, line: file.lineAt(node.start), message });
        return false;
      });
      return findings;
    });
}
