/** `berth policy`: whose tokens are trusted, and what they bring. */
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { allPages } from '../../../shared/client/client.ts';
import { ApiError } from '../../../shared/client/errors.ts';
import type { TrustTestRequestInput } from '../../../shared/protocol/policies.ts';
import { CliError, EXIT } from '../exit.ts';
import type { Io } from '../io.ts';
import { idTokenSource, readIdToken } from '../oidc-login.ts';
import { policyShape, renderPolicy, renderTrustTest } from '../output/policy-shapes.ts';
import { readPolicyFile } from '../policy-file.ts';
import { collect, openSession, type Session, showList } from '../session.ts';

const APPLY_HELP = `
A file holds one policy or several, parted by ---. infra/trust has some to begin with, for GitHub, GitLab and others.

Examples:
  berth policy apply infra/trust/github-actions.yaml
  berth policy show ci -o yaml | berth policy apply -
`;

const TEST_HELP = `
Says of every rule whether it holds, and what is in the way, without giving anything. Exits with 1 where nothing would be granted.

Examples:
  berth policy test --claims claims.json         what a token with these claims would bring
  berth policy test --id-token-file token.jwt    the same of a token, which is checked as well
  berth policy test                              within a CI job: of its own token
`;

interface TestFlags {
  readonly claims?: string;
  readonly idTokenFile?: string;
  readonly idTokenEnv?: string;
  readonly audience?: string;
  readonly policy?: string;
}

export function addPolicyCommands(program: Command, io: Io, finish: (exitCode: number) => void): void {
  const policy = program
    .command('policy')
    .summary('trust the tokens of CI systems and other issuers')
    .description('Trust policies: whose tokens can be exchanged for tokens of this cluster, and what those allow.');
  policy
    .command('list')
    .description('List trust policies.')
    .action(async (_flags: object, self: Command) => {
      const session = await openSession(io, self);
      const read = () => collect(allPages((page) => session.client.policies.list(page)));
      await showList(session, { watch: false, read, shape: policyShape });
    });
  policy
    .command('show')
    .description('Show a trust policy with its rules.')
    .argument('<policy>', 'its name')
    .action(async (name: string, _flags: object, self: Command) => {
      const { client, printer } = await openSession(io, self);
      const shown = await client.policies.get(name);
      printer.one(shown, { name, render: (paint, nowMs) => renderPolicy(shown, paint, nowMs) });
    });
  policy
    .command('apply')
    .description('Create or change trust policies from a file.')
    .argument('<file>', 'the file; - is standard input')
    .addHelpText('after', APPLY_HELP)
    .action(async (file: string, _flags: object, self: Command) => applyPolicies(await openSession(io, self), file));
  policy
    .command('rm')
    .description('Remove a trust policy. Tokens that were given by it hold until they expire.')
    .argument('<policy>', 'its name')
    .action(async (name: string, _flags: object, self: Command) => {
      const { client, printer } = await openSession(io, self);
      await client.policies.remove(name);
      printer.note(`policy ${name} is removed; tokens that it gave hold until they expire`);
    });
  addTest(policy, io, finish);
}

function addTest(policy: Command, io: Io, finish: (exitCode: number) => void): void {
  policy
    .command('test')
    .summary('say what a token would bring, and why')
    .description('Say which rules hold for a token or for claims, and of the others why they do not.')
    .option('--claims <file>', 'a JSON file of claims, iss and aud among them; - is standard input')
    .option('--id-token-file <path>', 'a file that holds the token of the outside issuer')
    .option('--id-token-env <name>', 'a variable that holds it')
    .option('--audience <audience>', 'what GitHub is asked for a token for (env BERTH_AUDIENCE)')
    .option('--policy <name>', 'only this policy')
    .addHelpText('after', TEST_HELP)
    .action(async (flags: TestFlags, self: Command) => {
      const { client, printer } = await openSession(io, self);
      const tested = await client.auth.test(await testedThing(flags, io));
      printer.one(tested, { name: flags.policy ?? '', render: (paint) => renderTrustTest(tested, paint) });
      finish(tested.grants.length === 0 ? EXIT.failed : EXIT.ok);
    });
}

/** What was applied by one person isn't undone by another who has an older file open: the version that stands is compared. */
async function applyPolicies({ client, printer, io }: Session, file: string): Promise<void> {
  for (const { name, request } of await readPolicyFile(file, io.readStdin)) {
    const before = await client.policies.get(name).catch((error: unknown) => {
      if (error instanceof ApiError && error.code === 'not-found') return null;
      throw error;
    });
    const { version } = await client.policies.set(name, request, { ifVersion: before?.version ?? 0 });
    const what = before === null ? 'created' : before.version === version ? 'as it was' : 'changed';
    printer.note(`policy ${name} is ${what}`);
  }
}

async function testedThing(flags: TestFlags, io: Io): Promise<TrustTestRequestInput> {
  const { claims, policy, audience = io.env['BERTH_AUDIENCE'], ...rest } = flags;
  if (claims === undefined)
    return { token: await readIdToken(idTokenSource({ ...rest, audience }, io.env), io), policy };
  const text = claims === '-' ? await io.readStdin() : await readFile(claims, 'utf8').catch(unreadable);
  return { claims: claimsFrom(text, claims), policy };
}

function unreadable(error: Error): never {
  throw new CliError(`the file of claims can't be read: ${error.message}`, { exitCode: EXIT.usage });
}

function claimsFrom(text: string, file: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Said below, in the same words as of another value.
  }
  throw new CliError(`${file} doesn't hold claims`, {
    exitCode: EXIT.usage,
    remedy: 'They are a JSON object, such as {"iss": "https://...", "aud": "...", "sub": "..."}.',
  });
}
