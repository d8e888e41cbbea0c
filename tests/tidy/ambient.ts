/**
 * The clock, randomness, the environment and the console are asked for, not reached for. That is what makes one code base run
 * in a replica, in a Worker and in a simulator that replays a month from a seed.
 */
import type { Finding } from './finding.ts';
import { childrenAt, isNode, type Place, type SourceFile, type SyntaxNode, walk } from './source.ts';

/** Mains and adapters inject these; the CLI is a main of its own; what runs in a browser or serves tests has no injector. */
const mayReachOut = [
  /^control-plane\/main-[a-z-]+\.ts$/,
  /^control-plane\/(adapters|cli)\//,
  /^control-plane\/dashboard\/browser\//,
  /^node-agent\/main\.ts$/,
  /^node-agent\/adapters\//,
  /^infra\//,
  /^tests\//,
  /^vitest\.config\.ts$/,
];

const useClock = 'Take a Clock (shared/util/clock.ts) or a `nowMs` argument';
const useRandom = 'Take a Random (shared/util/random.ts)';
const useLog = 'Return what happened, or take a logger';
const useSettings = 'Take settings as an argument; mains read the environment';

const globals: ReadonlyMap<string, string> = new Map([
  ['setTimeout', useClock],
  ['setInterval', useClock],
  ['setImmediate', useClock],
  ['console', useLog],
  ['process', useSettings],
]);

const members: ReadonlyMap<string, string> = new Map([
  ['Date.now', useClock],
  ['performance.now', useClock],
  ['Math.random', useRandom],
  ['crypto.randomUUID', useRandom],
  ['crypto.getRandomValues', useRandom],
]);

const typedExpressions = new Set([
  'TSAsExpression',
  'TSSatisfiesExpression',
  'TSNonNullExpression',
  'TSTypeAssertion',
  'TSInstantiationExpression',
]);

export function checkAmbient(files: readonly SourceFile[]): readonly Finding[] {
  return files.filter(({ path }) => !mayReachOut.some((allowed) => allowed.test(path))).flatMap(checkFile);
}

function checkFile(file: SourceFile): readonly Finding[] {
  const findings: Finding[] = [];
  const own = declaredNames(file.tree);
  walk(file.tree, (node, place) => {
    if (node.type.startsWith('TS') && !typedExpressions.has(node.type)) return false;
    const found = ambientUse(node, place, own);
    if (found === undefined) return undefined;
    const message = `${found.name} is read from the surroundings. ${found.instead}: a decision must replay from its arguments alone.`;
    findings.push({ path: file.path, line: file.lineAt(node.start), message });
    return false;
  });
  return findings;
}

function ambientUse(
  node: SyntaxNode,
  place: Place,
  own: ReadonlySet<string>,
): { name: string; instead: string } | undefined {
  if (node.type === 'MemberExpression') {
    const [object, property] = [nameOf(node['object']), nameOf(node['property'])];
    if (object === undefined || property === undefined || own.has(object)) return undefined;
    if (object === 'globalThis' && globals.has(property)) return named(`globalThis.${property}`, globals.get(property));
    return named(`${object}.${property}`, members.get(`${object}.${property}`));
  }
  if (
    node.type === 'NewExpression' &&
    nameOf(node['callee']) === 'Date' &&
    childrenAt(node, 'arguments').length === 0
  ) {
    return named('new Date()', useClock);
  }
  if (node.type !== 'Identifier' || isMereKey(place)) return undefined;
  const name = nameOf(node) ?? '';
  return own.has(name) ? undefined : named(name, globals.get(name));
}

function named(name: string, instead: string | undefined): { name: string; instead: string } | undefined {
  return instead === undefined ? undefined : { name, instead };
}

function nameOf(node: unknown): string | undefined {
  return isNode(node) && node.type === 'Identifier' && typeof node['name'] === 'string' ? node['name'] : undefined;
}

/** `clock.setTimeout` and `{ process: 1 }` only look like the globals. */
function isMereKey({ parent, key }: Place): boolean {
  return parent !== undefined && parent['computed'] === false && (key === 'property' || key === 'key');
}

/** Names that the file declares anywhere: a parameter called `process` is not the global. */
function declaredNames(tree: SyntaxNode): ReadonlySet<string> {
  const names = new Set<string>();
  const collect = (pattern: SyntaxNode): void => {
    walk(pattern, (node, { key }) => {
      const name = nameOf(node);
      if (name !== undefined && key !== 'key' && key !== 'right') names.add(name);
      return key === 'right' ? false : undefined;
    });
  };
  walk(tree, (node) => {
    if (node.type === 'VariableDeclarator') childrenAt(node, 'id').forEach(collect);
    if (node.type.startsWith('Import') && node.type.endsWith('Specifier')) childrenAt(node, 'local').forEach(collect);
    childrenAt(node, 'params').forEach(collect);
    return undefined;
  });
  return names;
}
