/** `berth dns`: names of services, answered beside an agent or anywhere else. A program of its own, started with our address and token. */
import { type Command, Option } from 'commander';
import { gathered } from '../arguments.ts';
import type { Io } from '../io.ts';
import type { GlobalFlags } from '../session.ts';
import { resolveSettings, tokenFileOf } from '../settings.ts';
import { runProgram } from './processes.ts';

interface Flags extends GlobalFlags {
  readonly listen?: string;
  readonly domain?: string;
  readonly ttl?: string;
  readonly role?: string;
  readonly otherAddress?: readonly string[];
  readonly logLevel?: string;
}

const EXAMPLES = `
Examples:
  berth dns                                       answer at 127.0.0.1:5353
  dig @127.0.0.1 -p 5353 web.berth                where web is ready
  dig @127.0.0.1 -p 5353 _http._tcp.web.berth SRV with its ports
`;

export function addDnsCommand(program: Command, io: Io, finish: (exitCode: number) => void): void {
  program
    .command('dns')
    .summary('answer names of services')
    .description('Answer names of services, also while no control plane answers: by what was known last.')
    .option('--listen <host:port>', 'where to answer (env BERTH_DNS_LISTEN; default: 127.0.0.1:5353)')
    .option('--domain <name>', 'what names end in (env BERTH_DNS_DOMAIN; default: berth)')
    .option('--ttl <seconds>', 'how long answers may be kept (env BERTH_DNS_TTL; default: 5)')
    .option('--role <path>', 'only names of this role and those below it (env BERTH_DNS_ROLE)')
    .option('--other-address <url>', 'another replica to ask, may be repeated', gathered)
    .addOption(new Option('--log-level <level>').choices(['debug', 'info', 'warn', 'error', 'silent']))
    .addHelpText('after', EXAMPLES)
    .action(async (_flags: Flags, self: Command) => {
      const flags = self.optsWithGlobals<Flags>();
      const { address, token, trust } = await resolveSettings(flags, io.env);
      const others = (flags.otherAddress ?? []).flatMap((url) => ['--address', url]);
      const own = (['listen', 'domain', 'ttl', 'role'] as const).flatMap((name) => {
        const value = flags[name];
        return value === undefined ? [] : [`--${name}`, value];
      });
      const level = flags.logLevel === undefined ? [] : ['--log-level', flags.logLevel];
      // By the environment: what stands on a command line can be read by everybody on the machine.
      const tokenFile = tokenFileOf(flags, io.env);
      const variables = {
        BERTH_TOKEN: tokenFile === null ? (token ?? '') : '',
        // A token that comes from a file is read there again once it has ended.
        BERTH_TOKEN_FILE: tokenFile ?? '',
        BERTH_CA: trust.caFile ?? '',
        BERTH_CLIENT_CERT: trust.certFile ?? '',
        BERTH_CLIENT_KEY: trust.keyFile ?? '',
      };
      finish(await runProgram('dns', ['--address', address, ...others, ...own, ...level], variables));
    });
}
