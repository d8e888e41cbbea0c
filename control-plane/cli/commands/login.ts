/** `berth login`, `berth logout` and `berth whoami`. */
import type { Command } from 'commander';
import { createClient } from '../../../shared/client/client.ts';
import type { ExchangedToken } from '../../../shared/protocol/policies.ts';
import { durationSeconds, gathered } from '../arguments.ts';
import { type ExchangeWish, removeCredential, saveCredential } from '../credentials.ts';
import { deviceIdToken } from '../device-login.ts';
import { CliError, EXIT } from '../exit.ts';
import type { Io } from '../io.ts';
import { credentialOf, exchange, idTokenSource, logIn } from '../oidc-login.ts';
import { renderExchanged, renderWhoami } from '../output/policy-shapes.ts';
import { createPrinter } from '../output/printer.ts';
import { type GlobalFlags, openSession } from '../session.ts';
import { resolveSettings } from '../settings.ts';

interface LoginFlags {
  readonly oidc?: boolean;
  readonly audience?: string;
  readonly policy?: string;
  readonly role?: readonly string[];
  readonly action?: readonly string[];
  readonly ttl?: number;
  readonly idTokenFile?: string;
  readonly idTokenEnv?: string;
}

const LOGIN_HELP = `
Without --oidc a person logs in with a browser, wherever that is, to an issuer that a trust policy names a client of.

The token is kept in ~/.config/berth/credentials.json, which only you may read, and goes to this address only. It is renewed by itself
where its source still gives tokens. --token, --token-file and BERTH_TOKEN come before it.

Examples:
  berth login --oidc --audience https://berth.example.com     in a GitHub job with id-token: write
  berth login --oidc                                          in a GitLab job with an id token BERTH_ID_TOKEN
  berth login --oidc --id-token-file /var/run/secrets/token --role eng/ml --action job:read
  berth login                                                 a person, with a browser
`;

export function addLoginCommands(program: Command, io: Io): void {
  program
    .command('login')
    .summary('get a token for the one that a CI system or another issuer gives')
    .description('Exchange the token of an outside issuer for one of this cluster, and keep it for what follows.')
    .option('--oidc', 'by a token that is at hand: of GitHub, of GitLab, of a file or of a variable')
    .option('--audience <audience>', 'what GitHub is asked for a token for (env BERTH_AUDIENCE)')
    .option('--policy <name>', 'by this trust policy only')
    .option('--role <path>', 'only this of the roles that it would bring (repeatable)', gathered)
    .option('--action <action>', 'only this of what it would allow (repeatable)', gathered)
    .option('--ttl <duration>', 'how long it is to hold', durationSeconds)
    .option('--id-token-file <path>', 'a file that holds the token of the outside issuer')
    .option('--id-token-env <name>', 'a variable that holds it')
    .addHelpText('after', LOGIN_HELP)
    .action((flags: LoginFlags, self: Command) => login(io, flags, self));
  program
    .command('logout')
    .summary('forget the token of berth login')
    .description('Forget the token that berth login has kept for this address.')
    .action(async (_flags: object, self: Command) => {
      const flags = self.optsWithGlobals<GlobalFlags>();
      const { address } = await resolveSettings(flags, io.env);
      const wasThere = await removeCredential(io.env, address);
      const printer = createPrinter(io, { format: flags.output, colour: flags.color });
      printer.note(wasThere ? `logged out of ${address}` : `nobody was logged in to ${address}`);
    });
  program
    .command('whoami')
    .summary('show who the token stands for')
    .description('Show who the token stands for, what it allows, and until when.')
    .action(async (_flags: object, self: Command) => {
      const { client, printer } = await openSession(io, self);
      const who = await client.auth.whoami();
      printer.one(who, { name: who.subject, render: (paint, nowMs) => renderWhoami(who, paint, nowMs) });
    });
}

async function login(io: Io, flags: LoginFlags, self: Command): Promise<void> {
  const global = self.optsWithGlobals<GlobalFlags>();
  const { audience = io.env['BERTH_AUDIENCE'], policy, role, action, ttl, idTokenFile, idTokenEnv } = flags;
  const { address } = await resolveSettings(global, io.env);
  const wish = { policy, roles: role, actions: action, ttlSeconds: ttl === undefined ? undefined : Math.round(ttl) };
  const printer = createPrinter(io, { format: global.output, colour: global.color });
  const exchanged =
    flags.oidc === true
      ? await logIn(io, { address, source: idTokenSource({ audience, idTokenFile, idTokenEnv }, io.env), wish })
      : await logInPerson(io, { address, wish, tell: printer.note });
  // Nobody needs to see it: what is printed in a CI job can be read by many.
  const { token: _kept, ...shown } = exchanged;
  printer.one(shown, { name: exchanged.subject, render: (paint) => renderExchanged(exchanged, paint) });
  printer.note(`logged in to ${address} as ${exchanged.subject}, until ${exchanged.expiresAt}`);
}

/** It isn't renewed by itself: that takes the person again. */
async function logInPerson(
  io: Io,
  { address, wish, tell }: { address: string; wish: ExchangeWish; tell: (text: string) => void },
): Promise<ExchangedToken> {
  const { fetch, clock, random } = io;
  const { items } = await createClient({ address, token: null, fetch, clock, random }).auth.logins();
  const offered = wish.policy === undefined ? items : items.filter(({ policy }) => policy === wish.policy);
  const [chosen, ...more] = offered;
  if (chosen === undefined) {
    throw new CliError(`${address} has no issuer that a person can log in to`, {
      exitCode: EXIT.usage,
      remedy: 'A CI job logs in with --oidc. An operator names a client with `clientId` in a trust policy.',
    });
  }
  if (more.length > 0) {
    throw new CliError('there are several issuers to log in to', {
      exitCode: EXIT.usage,
      lines: offered.map(({ policy, issuer }) => `${policy}: ${issuer}`),
      remedy: 'Name one with --policy.',
    });
  }
  const token = await deviceIdToken(io, { issuer: chosen.issuer, clientId: chosen.clientId, tell });
  const exchanged = await exchange(io, { address, token, wish: { ...wish, policy: chosen.policy } });
  await saveCredential(io.env, address, credentialOf(exchanged, null));
  return exchanged;
}
