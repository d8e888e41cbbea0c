/**
 * What is secret is compared in constant time. A name tells what a value is: where one side of a comparison is called a secret, a
 * password or a digest, the comparison has to be `isSameSecret`.
 */
import type { Finding } from './finding.ts';
import { isNode, type SourceFile, type SyntaxNode, walk } from './source.ts';

/** A client compares the tokens that it holds itself, as the CLI and the adapters of etcd do, and nobody who asks can measure that. */
const servers = /^(control-plane\/(?!adapters\/|cli\/|https\/|balancer\/|dns\/)|node-agent\/)/;

const secretName = /(^|[a-z])(secret|password|passphrase|digest|signature|credential)$/i;
const tokenName = /(^|[a-z])token$/i;
const comparisons: readonly unknown[] = ['===', '!==', '==', '!='];

export function checkSecrets(files: readonly SourceFile[]): readonly Finding[] {
  return files.filter(({ path }) => /^(control-plane|node-agent|shared)\//.test(path)).flatMap(checkFile);
}

function checkFile(file: SourceFile): readonly Finding[] {
  const findings: Finding[] = [];
  walk(file.tree, (node) => {
    if (node.type !== 'BinaryExpression' || !comparisons.includes(node['operator'])) return undefined;
    const sides = [node['left'], node['right']];
    const names = sides.map(nameOf);
    const name = names.find((each) => each !== null && isSecretName(each, file.path));
    if (name === undefined || sides.some(isKnownValue) || names.some(isIdName)) return undefined;
    const message = `${name} is compared by ${node['operator']}, which takes longer the more agrees. Use isSameSecret (shared/util/same-secret.ts): who measures that finds a secret out.`;
    findings.push({ path: file.path, line: file.lineAt(node.start), message });
    return undefined;
  });
  return findings;
}

function isSecretName(name: string, path: string): boolean {
  return secretName.test(name) || (servers.test(path) && tokenName.test(name));
}

/** What is the same as an id is one, and ids are shown to everybody. */
function isIdName(name: string | null): boolean {
  return name !== null && /(^id|Id)$/.test(name);
}

/** The last word of `stored.requestDigest`, `call?.token` or `secret`. */
function nameOf(node: unknown): string | null {
  if (!isNode(node)) return null;
  if (node.type === 'Identifier' || node.type === 'PrivateIdentifier') return String(node['name']);
  if (node.type === 'MemberExpression' && node['computed'] === false) return nameOf(node['property']);
  return node.type === 'ChainExpression' ? nameOf(node['expression']) : null;
}

/** Whether there is one at all, and of which kind, is nobody's secret. */
function isKnownValue(node: unknown): boolean {
  if (!isNode(node)) return true;
  const { type } = node as SyntaxNode;
  return (
    type === 'Literal' ||
    type === 'TemplateLiteral' ||
    (type === 'UnaryExpression' && node['operator'] === 'typeof') ||
    nameOf(node) === 'undefined'
  );
}
