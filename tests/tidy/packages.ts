/**
 * Which npm packages each floor may use. The lists are short on purpose: what decides needs no package, what talks to the
 * outside names it once, and the agent stays thin.
 */
import type { Finding } from './finding.ts';
import type { SourceFile } from './source.ts';

type PackageRule = {
  readonly holds: RegExp;
  readonly packages: readonly string[];
  /** Whether it may use what comes with Node.js. */
  readonly allowsNode: boolean;
  readonly reason: string;
};

const portable = 'It must also run on Workers and in the simulator.';
const pure =
  'What decides is a pure function of its arguments; a package would bring a clock, a cache or a platform along.';
const thin =
  'The agent runs on small boxes, so every package is paid for in memory; parse with functions from shared/.';
const httpDoor = ['hono', '@hono/zod-openapi', 'zod', 'yaml'];

const agentRule: PackageRule = {
  holds: /^node-agent\//,
  packages: ['dockerode', '@noble/hashes'],
  allowsNode: true,
  reason: thin,
};

const rules: readonly PackageRule[] = [
  {
    holds: /^shared\/domain\/text-pattern\.ts$/,
    packages: ['re2js'],
    allowsNode: false,
    reason: 'Patterns are matched in linear time; see infra/decisions/0015.',
  },
  { holds: /^shared\/(util|domain)\//, packages: ['@noble/hashes'], allowsNode: false, reason: pure },
  {
    holds: /^control-plane\/(scheduler|reconcile)\//,
    packages: ['@noble/hashes'],
    allowsNode: false,
    reason: pure,
  },
  { holds: /^shared\//, packages: ['zod', '@noble/hashes'], allowsNode: false, reason: portable },
  {
    holds: /^control-plane\/(store|services|controllers)\//,
    packages: ['zod', '@noble/hashes'],
    allowsNode: false,
    reason: portable,
  },
  { holds: /^control-plane\/auth\//, packages: ['jose', 'zod', '@noble/hashes'], allowsNode: false, reason: portable },
  {
    holds: /^control-plane\/adapters\//,
    packages: ['etcd3', '@grpc/grpc-js', 'pino', 'zod', '@noble/hashes'],
    allowsNode: true,
    reason: 'An adapter translates between a contract of ours and one thing outside.',
  },
  {
    holds: /^control-plane\/facade-mesos\//,
    packages: [...httpDoor, '@noble/hashes'],
    allowsNode: false,
    reason: portable,
  },
  {
    holds: /^control-plane\/(api|facade-marathon|dashboard)\//,
    packages: httpDoor,
    allowsNode: false,
    reason: portable,
  },
  { holds: /^control-plane\/app\.ts$/, packages: httpDoor, allowsNode: false, reason: portable },
  {
    holds: /^control-plane\/main-worker(-[a-z-]+)?\.ts$/,
    packages: ['hono', 'zod'],
    allowsNode: false,
    reason: portable,
  },
  {
    holds: /^control-plane\/main-(?!worker)[a-z-]+\.ts$/,
    packages: ['hono', '@hono/node-server', 'pino', 'commander', 'zod', 'yaml'],
    allowsNode: true,
    reason: 'A main only wires things up.',
  },
  {
    holds: /^control-plane\/dns\//,
    packages: ['dns-packet'],
    allowsNode: true,
    reason: 'It turns what the endpoint watch tells into answers, and leans on nothing else; see infra/decisions/0021.',
  },
  {
    holds: /^control-plane\/https\//,
    packages: [],
    allowsNode: true,
    reason: 'It is what a further HTTP client would be installed for.',
  },
  {
    holds: /^control-plane\/cli\//,
    packages: ['commander', 'yaml', 'zod', '@noble/hashes'],
    allowsNode: true,
    reason: 'The CLI is a client like any other and speaks to the API through shared/client.',
  },
  agentRule,
];

function ruleFor(path: string): PackageRule | undefined {
  return rules.find((rule) => rule.holds.test(path));
}

function isAllowed(rule: PackageRule, packageName: string): boolean {
  return packageName.startsWith('node:') ? rule.allowsNode : rule.packages.includes(packageName);
}

export function checkPackages(files: readonly SourceFile[]): readonly Finding[] {
  return files.flatMap((file) => {
    const rule = ruleFor(file.path);
    if (rule === undefined) return [];
    return file.imports.flatMap(({ packageName, line }) => {
      if (packageName === undefined || isAllowed(rule, packageName)) return [];
      return [{ path: file.path, line, message: refuse(rule, packageName) }];
    });
  });
}

function refuse(rule: PackageRule, packageName: string): string {
  const allowed = rule.packages.length === 0 ? 'no package' : rule.packages.join(', ');
  return `${packageName} may not be used here (allowed: ${allowed}). Ask for it through a contract, or move this code to a floor that may use it. ${rule.reason}`;
}

/** What the agent loads is also what the files that it imports load, so its list is held against the whole closure. */
export function checkAgentClosure(files: readonly SourceFile[]): readonly Finding[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const seen = new Set<string>();
  const findings: Finding[] = [];
  const visit = (file: SourceFile, trail: readonly string[]): void => {
    if (seen.has(file.path)) return;
    seen.add(file.path);
    if (!agentRule.holds.test(file.path)) findings.push(...foreignPackages(file, trail));
    for (const each of file.imports) {
      const next = each.isErased || each.file === undefined ? undefined : byPath.get(each.file);
      if (next !== undefined) visit(next, [...trail, next.path]);
    }
  };
  for (const file of files) if (agentRule.holds.test(file.path)) visit(file, [file.path]);
  return findings;
}

function foreignPackages(file: SourceFile, trail: readonly string[]): readonly Finding[] {
  return file.imports.flatMap(({ packageName, isErased, line }) => {
    if (packageName === undefined || isErased || isAllowed(agentRule, packageName)) return [];
    const message =
      `this brings ${packageName} into the agent: ${trail.join(' → ')}. Use \`import type\` on the way, or move what the ` +
      `agent needs to a file without it. ${agentRule.reason}`;
    return [{ path: file.path, line, message }];
  });
}

/** A package that is only there because another one uses it can vanish with any update. */
export function checkDeclared(files: readonly SourceFile[], declared: ReadonlySet<string>): readonly Finding[] {
  return files.flatMap((file) =>
    file.imports.flatMap(({ packageName, line }) => {
      if (packageName === undefined || packageName.startsWith('node:') || declared.has(packageName)) return [];
      const message = `${packageName} is not in package.json. Add it there with its exact version: what another package happens to bring along can vanish with an update.`;
      return [{ path: file.path, line, message }];
    }),
  );
}
