/** `berth balancer`: a haproxy before the services, for as long as the command runs; and what such a one says of itself. */
import { isIP } from 'node:net';
import { join, resolve } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { Balancer } from '../../balancer/balancer.ts';
import { HaproxyError } from '../../balancer/haproxy.ts';
import { type BalancerSettings, type ListenAddress, listenText, parseListenAddress } from '../../balancer/settings.ts';
import { type BalancerStatus, balancerStatusSchema } from '../../balancer/status.ts';
import { serveStatus } from '../../balancer/status-server.ts';
import { watchedEndpoints } from '../../balancer/watched-endpoints.ts';
import { CliError, EXIT } from '../exit.ts';
import type { Io } from '../io.ts';
import { balancerText } from '../output/balancer-shapes.ts';
import { lineLogger } from '../output/line-logger.ts';
import { createPrinter } from '../output/printer.ts';
import { type GlobalFlags, openSession } from '../session.ts';

/** Commander takes null for a value that was left out. */
type ListenFlag = ListenAddress | 'off';

interface RunFlags {
  readonly http: ListenFlag;
  readonly https?: ListenFlag;
  readonly certs?: string;
  readonly redirectToHttps?: boolean;
  readonly serviceAddress?: string;
  readonly reuseConnections?: boolean;
  readonly role?: string;
  readonly configDir?: string;
  readonly haproxy: string;
  readonly statusListen: ListenFlag;
  readonly verbose?: boolean;
}

const DEFAULT_HTTP: ListenAddress = { host: '', port: 80 };
const DEFAULT_STATUS: ListenAddress = { host: '127.0.0.1', port: 7880 };
/** A socket's path may have 108 bytes, with the socket's name. */
const CONFIG_DIR_CHARS_MAX = 85;
const CONFIG_DIR = /^[\w./+@-]+$/;
const HELP = `
Examples:
  berth balancer                                          virtual hosts on port 80, and the ports of services
  berth balancer --https :443 --certs /etc/berth/certs --redirect-to-https
  berth balancer --http :8080 --config-dir ./balancer     without special rights
  berth balancer status                                   what it serves, and what it can't

It starts haproxy, and keeps it true to the ports that jobs publish. When a task comes or goes, the running haproxy is told;
a new port, host or certificate has it reloaded, and no connection is dropped. While the control plane is away, all goes on.
SIGTERM ends it once open requests are done; SIGHUP has certificates, names and ports looked at anew.
Each *.pem in the folder of --certs holds a certificate, its chain and its key; which one is used, the name that is asked for decides.
`;

export function addBalancerCommands(program: Command, io: Io): void {
  const balancer = program
    .command('balancer')
    .summary('run haproxy before the services')
    .description('Run haproxy before the services, until interrupted: their ports, and virtual hosts with TLS.')
    .addOption(listenOption('--http <address>', 'where virtual hosts are served; off: nowhere', DEFAULT_HTTP))
    .addOption(listenOption('--https <address>', 'the same with TLS, such as :443; needs --certs'))
    .option('--certs <folder>', 'a folder of *.pem files')
    .option('--redirect-to-https', 'send what comes without TLS for a virtual host there')
    .option('--service-address <ip>', 'what the ports of services listen on, if not every address')
    .option('--reuse-connections', 'use idle connections to tasks again: faster, but a POST may meet one that closes')
    .option('--role <path>', 'only services of this role and those below it')
    .option('--config-dir <folder>', "for haproxy's configuration and sockets (default: ~/.local/state/berth/balancer)")
    .option('--haproxy <path>', 'which haproxy is started', 'haproxy')
    .addOption(listenOption('--status-listen <address>', 'where its state is served; off: nowhere', DEFAULT_STATUS))
    .option('--verbose', 'show what haproxy says, too')
    .addHelpText('after', HELP)
    .action((flags: RunFlags, self: Command) => runBalancer(io, flags, self));
  balancer
    .command('status')
    .description('Show what the balancer on this machine serves, and what it can not.')
    .addOption(listenOption('--at <address>', 'its --status-listen', DEFAULT_STATUS))
    .addHelpText('after', '\nExamples:\n  berth balancer status\n  berth balancer status --at 127.0.0.1:7999 -o json\n')
    .action(async ({ at }: { at: ListenFlag }, self: Command) => {
      const { output, color } = self.optsWithGlobals<GlobalFlags>();
      const printer = createPrinter(io, { format: output, colour: color });
      const status = await readStatus(io, at === 'off' ? DEFAULT_STATUS : at);
      printer.one(status, { name: 'balancer', render: (paint, nowMs) => balancerText(status, paint, nowMs) });
    });
}

function listenOption(flags: string, description: string, fallback?: ListenAddress): Option {
  const option = new Option(flags, description).argParser(listenAddress);
  return fallback === undefined ? option : option.default(fallback, listenText(fallback));
}

function listenAddress(text: string): ListenFlag {
  if (text === 'off') return text;
  const address = parseListenAddress(text);
  if (address !== null) return address;
  throw new InvalidArgumentError('Write it like :80, 10.0.0.1:80 or [::1]:80, or "off".');
}

async function runBalancer(io: Io, flags: RunFlags, command: Command): Promise<void> {
  const settings = settingsOf(io, flags);
  const { client, settings: reach } = await openSession(io, command);
  const log = lineLogger(io, { verbose: flags.verbose === true });
  const balancer = new Balancer({
    source: watchedEndpoints(client.endpoints, flags.role === undefined ? {} : { role: flags.role }),
    settings,
    haproxy: { command: flags.haproxy, env: io.env },
    clock: io.clock,
    random: io.random,
    log,
  });
  const ending = new AbortController();
  const restore = io.onInterruption((signal) => {
    if (ending.signal.aborted) io.exitNow(signal === 'SIGINT' ? EXIT.interrupted : EXIT.terminated);
    ending.abort();
  });
  const lookAgain = () => balancer.lookAgain();
  process.on('SIGHUP', lookAgain);
  const { statusListen } = flags;
  try {
    const status = statusListen === 'off' ? null : await serveOwnStatus(statusListen, balancer, settings);
    log.info({ address: reach.address, folder: settings.folder }, 'follows the endpoints');
    await balancer.run(ending.signal);
    await status?.close();
  } catch (error) {
    throw error instanceof HaproxyError ? new CliError(error.message) : error;
  } finally {
    process.off('SIGHUP', lookAgain);
    restore();
  }
}

function serveOwnStatus(address: ListenAddress, balancer: Balancer, { folder }: BalancerSettings) {
  return serveStatus(address, { status: () => balancer.status(), folder }).catch((error: Error) => {
    throw new CliError(`--status-listen ${listenText(address)} can't be used: ${error.message}`, {
      exitCode: EXIT.usage,
      remedy: 'Name another address, or "off".',
    });
  });
}

function settingsOf({ env }: Io, flags: RunFlags): BalancerSettings {
  const { certs, statusListen } = flags;
  const http = flags.http === 'off' ? null : flags.http;
  const https = flags.https === undefined || flags.https === 'off' ? null : flags.https;
  const wrong = (message: string) => new CliError(message, { exitCode: EXIT.usage });
  if (https !== null && certs === undefined) throw wrong('--https needs --certs: a folder of *.pem files');
  if (https === null && certs !== undefined)
    throw wrong('--certs needs --https: where to serve with them, such as :443');
  if (flags.redirectToHttps === true && https === null) throw wrong('--redirect-to-https needs --https');
  if (http !== null && http.port === https?.port) throw wrong('--http and --https need different ports');
  const serviceHost = flags.serviceAddress ?? '';
  if (serviceHost !== '' && isIP(serviceHost) === 0) throw wrong(`--service-address "${serviceHost}" is no IP address`);
  const folder = resolve(flags.configDir ?? join(stateFolder(env), 'berth', 'balancer'));
  if (folder.length > CONFIG_DIR_CHARS_MAX) {
    throw wrong(`--config-dir must have at most ${CONFIG_DIR_CHARS_MAX} characters, as sockets lie in it: ${folder}`);
  }
  if (!CONFIG_DIR.test(folder)) {
    throw wrong(
      `--config-dir may hold letters, digits and . _ - + @ only, as haproxy's lists are named by it: ${folder}`,
    );
  }
  return {
    http,
    https,
    certsDir: certs === undefined ? null : resolve(certs),
    redirectsToHttps: flags.redirectToHttps === true,
    serviceHost,
    reusesConnections: flags.reuseConnections === true,
    folder,
    ownPorts: statusListen === 'off' ? [] : [statusListen.port],
  };
}

function stateFolder(env: Io['env']): string {
  return env['XDG_STATE_HOME'] ?? join(env['HOME'] ?? '/var', '.local', 'state');
}

async function readStatus({ fetch }: Io, { host, port }: ListenAddress): Promise<BalancerStatus> {
  const url = `http://${listenText({ host: host === '' ? '127.0.0.1' : host, port })}/status`;
  const answer = await fetch(url).catch((error: Error) => {
    throw new CliError(`no balancer answers at ${url}: ${error.message}`, {
      exitCode: EXIT.unreachable,
      remedy: 'Start one with `berth balancer`, or name its --status-listen with --at.',
    });
  });
  const parsed = balancerStatusSchema.safeParse(await answer.json().catch(() => null));
  if (parsed.success) return parsed.data;
  throw new CliError(`what answers at ${url} is no balancer`, { exitCode: EXIT.unreachable });
}
