/** `berth token` and `berth key`: who may do what, until when, and the keys that say so. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { allPages } from '../../../shared/client/client.ts';
import { TOKEN_KINDS, type TokenKind } from '../../../shared/domain/token-record.ts';
import type { TokenRecordView } from '../../../shared/protocol/tokens.ts';
import { durationSeconds, gathered, timeMs, wholeNumber } from '../arguments.ts';
import { CliError, EXIT } from '../exit.ts';
import type { Io } from '../io.ts';
import { keyShape, type ReadToken, renderToken, tokenRecordShape } from '../output/credential-shapes.ts';
import { collect, type GlobalFlags, openSession, type Session } from '../session.ts';
import { resolveSettings } from '../settings.ts';

interface CreateFlags {
  readonly role?: readonly string[];
  readonly action?: readonly string[];
  readonly only?: readonly string[];
  readonly ttl?: number;
  readonly join?: boolean;
  readonly uses?: number;
  readonly node?: string;
  readonly nodePattern?: string;
}

const CREATE_EXAMPLES = `
Examples:
  berth token create ci --role eng/ml --action job:* --action task:* --action logs:read --action event:read --ttl 12h
  berth token create rack-7 --join --uses 4 --node-pattern 'rack-7-[0-9]+' > join-token
  berth token create edge-1 --join --uses 1 --node edge-1

Nobody can make a token that allows more than their own. Tokens are not kept: the id that is printed with one is what it is revoked by.
`;

export function addTokenCommands(program: Command, io: Io): void {
  const token = program
    .command('token')
    .summary('make, list, revoke and read tokens')
    .description('Tokens: who may do what.');
  addCreate(token, io);
  addList(token, io);
  addRevoke(token, io);
  addInspect(token, io);
  addKeyCommands(program, io);
}

function addCreate(token: Command, io: Io): void {
  token
    .command('create')
    .description('Make a token. It alone goes to stdout.')
    .argument('<subject>', 'who it is for, as it will stand in records')
    .option('--role <path>', 'a role that it covers, with those below it; * is all (repeatable)', gathered)
    .option('--action <action>', 'what it allows, such as job:read, job:* or * (repeatable)', gathered)
    .option(
      '--only <thing>',
      'narrows it to job/NAME, framework/NAME, reservation/ID or volume/ID; a last * is the rest of any name (repeatable)',
      gathered,
    )
    .option('--ttl <duration>', 'how long it holds (default: 24h; with --join 1h)', durationSeconds)
    .option('--join', 'lets agents register, and nothing else')
    .option('--uses <count>', 'with --join: how many nodes may (default: any number)', wholeNumber)
    .option('--node <id>', 'with --join: the only node that may')
    .option('--node-pattern <pattern>', "with --join: what a node's id has to match, as a whole")
    .addHelpText('after', CREATE_EXAMPLES)
    .action(async (subject: string, flags: CreateFlags, self: Command) => {
      const { client, printer } = await openSession(io, self);
      const { role = [], action = [], only, ttl, join = false, uses: usesMax, node, nodePattern } = flags;
      const made = await client.createToken({
        ...{ kind: join ? 'join' : 'user', subject, roles: [...role], actions: [...action] },
        ...(only !== undefined && { resources: [...only] }),
        ...(ttl !== undefined && { ttlSeconds: Math.round(ttl) }),
        ...(usesMax !== undefined && { usesMax }),
        ...(node !== undefined && { node }),
        ...(nodePattern !== undefined && { nodePattern }),
      });
      printer.one(made, { name: made.token, render: () => `${made.token}\n` });
      printer.note(`token ${made.id} for ${subject}, until ${made.expiresAt}`);
    });
}

const LIST_HELP = `
Tokens that were handed out are not kept. \`berth token create\` prints the id of each that it makes, and \`berth token inspect\` reads it
off a token.
`;

function addList(token: Command, io: Io): void {
  token
    .command('list')
    .description('List what is known of tokens: to join with, revoked, made past all rights.')
    .option('--join', 'only tokens to join with: uses left, who made them, which node came last')
    .addHelpText('after', LIST_HELP)
    .action(async ({ join }: { readonly join?: boolean }, self: Command) => {
      const { client, printer } = await openSession(io, self);
      const type = join === true ? 'join' : undefined;
      printer.list(await collect(allPages((page) => client.tokens.list({ ...page, type }))), tokenRecordShape);
    });
}

interface RevokeFlags {
  readonly before?: string;
  readonly subject?: string;
  readonly node?: string;
  readonly kind?: TokenKind;
  readonly all?: true;
  readonly reason?: string;
}

const REVOKE_HELP = `
Requests with a revoked token are refused at once, and what it has opened ends. Your own token needs no right to be revoked. An agent
whose token is revoked can't renew it: its node has to join again, with a token to join.

Examples:
  berth token revoke x2k8…                             by its id
  berth token revoke "$(cat lost-token)"               or as a whole
  berth token revoke --subject ci                      all of ci's until now
  berth token revoke --node edge-1
  berth token revoke --all --before 2026-12-24T18:00Z  everybody's that were issued before
`;

function addRevoke(token: Command, io: Io): void {
  token
    .command('revoke')
    .description('Revoke a token, or all of some sort that were issued before a time.')
    .argument('[token]', 'its id, or the token itself')
    .option('--before <time>', 'all that were issued before: a time, or now (default: now)', beforeArgument)
    .option('--subject <subject>', 'only of this one')
    .option('--node <id>', "only this node's own")
    .addOption(new Option('--kind <kind>', 'only of this kind').choices(TOKEN_KINDS))
    .option('--all', "everybody's: agents have to join again, and you need another token")
    .option('--reason <text>', 'why, as it will stand in records')
    .addHelpText('after', REVOKE_HELP)
    .action(async (given: string | undefined, flags: RevokeFlags, self: Command) => {
      checkRevocation(given, flags);
      const session = await openSession(io, self);
      const revoked = await (given === undefined ? revokeMany(session, flags) : revokeOne(session, given, flags));
      session.printer.one(revoked, { name: revoked.id ?? revoked.type, render: () => `${revokedText(revoked)}\n` });
    });
}

/** `now` is left to the control plane's clock. */
function beforeArgument(text: string): string {
  if (text === 'now') return text;
  try {
    return new Date(timeMs(text)).toISOString();
  } catch {
    throw new InvalidArgumentError('Write it like 2026-12-24T18:00Z or 2026-12-24T19:00+01:00, or say now.');
  }
}

function checkRevocation(given: string | undefined, { before, subject, node, kind, all }: RevokeFlags): void {
  const scopes = [subject, node, kind, all].filter((one) => one !== undefined).length;
  if (given !== undefined && (scopes > 0 || before !== undefined)) {
    throw usage('name one token, or say which with --subject, --node, --kind or --all; not both');
  }
  if (given === undefined && scopes !== 1) {
    throw usage('say which tokens: one by its id, or those of --subject, --node or --kind, or --all of them');
  }
}

async function revokeOne({ client }: Session, given: string, { reason }: RevokeFlags): Promise<TokenRecordView> {
  const claims = given.split('.').length === 3 ? readToken(given).claims : { jti: given };
  const { jti, exp } = claims as { readonly jti?: unknown; readonly exp?: unknown };
  if (typeof jti !== 'string' || jti === '') throw usage('this token has no id; revoke what its subject has');
  return client.tokens.revoke(jti, {
    ...(reason !== undefined && { reason }),
    ...(typeof exp === 'number' && { expiresAt: new Date(exp * 1000).toISOString() }),
  });
}

async function revokeMany({ client }: Session, flags: RevokeFlags): Promise<TokenRecordView> {
  const { before, subject, node, kind, all, reason } = flags;
  return client.tokens.revokeBefore({
    ...(before !== undefined && before !== 'now' && { before }),
    ...(subject !== undefined && { subject }),
    ...(node !== undefined && { node }),
    ...(kind !== undefined && { kind }),
    ...(all !== undefined && { all }),
    ...(reason !== undefined && { reason }),
  });
}

function revokedText({ id, before, subject, node, kind, until }: TokenRecordView): string {
  if (id !== null) return `token ${id} is revoked (on record until ${until})`;
  const whose =
    subject ?? (node === null ? null : `node ${node}`) ?? (kind === null ? 'everybody' : `the kind ${kind}`);
  return `tokens of ${whose} that were issued before ${before} are revoked`;
}

function addInspect(token: Command, io: Io): void {
  token
    .command('inspect')
    .description('Show what a token says of itself. Nothing is checked, and no control plane is asked.')
    .argument('[token]', 'the token (default: the one that commands here go with)')
    .action(async (given: string | undefined, _flags: object, self: Command) => {
      const session = await openSession(io, self);
      const text = given ?? (await resolveSettings(self.optsWithGlobals<GlobalFlags>(), io.env)).token;
      if (text === null) throw usage('there is no token; give one');
      const read = readToken(text);
      const name = String(read.claims['jti'] ?? '-');
      session.printer.one(read, { name, render: (paint, nowMs) => renderToken(read, paint, nowMs) });
    });
}

function readToken(text: string): ReadToken {
  const [header, claims, signature, ...rest] = text.trim().split('.').map(jsonObject);
  if (header === undefined || header === null || claims === undefined || claims === null) throw notToken();
  if (signature === undefined || rest.length > 0) throw notToken();
  return { header, claims };
}

function jsonObject(part: string, index: number): Readonly<Record<string, unknown>> | null {
  if (index > 1) return {};
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : null;
  } catch {
    return null;
  }
}

function notToken(): CliError {
  return usage('this is no token: a token has three parts, parted by dots');
}

function usage(message: string): CliError {
  return new CliError(message, { exitCode: EXIT.usage });
}

const RETIRE_HELP = `
For a key that somebody else may have. All tokens that it has signed end at once, whoever holds them: agents have to join again, and you
need another token (\`berth control-plane --break-glass\` makes one, on a machine that may reach etcd). Others who verify Berth's tokens
may take them for some minutes more. A key that is merely old is followed by \`berth key rotate\`, and goes by itself.
`;

function addKeyCommands(program: Command, io: Io): void {
  const key = program
    .command('key')
    .summary('list, rotate and retire the keys that sign tokens')
    .description('The keys that tokens are signed with.');
  key
    .command('list')
    .description('List the keys, the newest first.')
    .action(async (_flags: object, self: Command) => {
      const { client, printer } = await openSession(io, self);
      printer.list(await client.keys.list(), keyShape);
    });
  key
    .command('rotate')
    .description(
      'Make the next key. It is published at once, and signs some minutes later; nothing has to be done then.',
    )
    .action(async (_flags: object, self: Command) => {
      const { client, printer } = await openSession(io, self);
      const next = await client.keys.rotate();
      printer.one(next, { name: next.kid, render: () => `key ${next.kid} signs from ${next.signsFrom} on\n` });
    });
  key
    .command('retire')
    .description('End a key that is in the wrong hands, with all that it has signed.')
    .argument('<key>', 'its name')
    .option('--now', 'yes, all tokens that it has signed are to end at once')
    .option('--reason <text>', 'why, as it will stand in records')
    .addHelpText('after', RETIRE_HELP)
    .action(async (kid: string, { now, reason }: { now?: boolean; reason?: string }, self: Command) => {
      if (now !== true) throw unconfirmed(kid);
      const { client, printer } = await openSession(io, self);
      const retired = await client.keys.retire(kid, { ...(reason !== undefined && { reason }) });
      printer.one(retired, { name: kid, render: () => `key ${kid} is retired, and all that it has signed\n` });
    });
}

function unconfirmed(kid: string): CliError {
  return new CliError(`this ends every token that key ${kid} has signed, those of agents included`, {
    exitCode: EXIT.usage,
    remedy: 'If somebody else may have it, repeat it with --now; if it is merely old, use `berth key rotate`.',
  });
}
