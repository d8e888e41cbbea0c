/** What every command that talks to the control plane needs: the global flags, a client and a printer. */
import { type Command, Option } from 'commander';
import { type BerthClient, createClient } from '../../shared/client/client.ts';
import { sleep } from '../../shared/util/clock.ts';
import { fetchTrusting, type TrustFiles } from '../https/trust-files.ts';
import { CliError, EXIT } from './exit.ts';
import type { Io } from './io.ts';
import { loggedInToken } from './oidc-login.ts';
import { createPrinter, FORMATS, type Format, type ListShape, listText, type Printer } from './output/printer.ts';
import { durationText } from './output/text.ts';
import { freshToken, resolveSettings, type Settings } from './settings.ts';

export interface GlobalFlags {
  readonly address?: string;
  readonly token?: string;
  readonly tokenFile?: string;
  readonly ca?: string;
  readonly clientCert?: string;
  readonly clientKey?: string;
  readonly output: Format;
  readonly color: boolean;
}

export interface Session {
  readonly io: Io;
  readonly settings: Settings;
  readonly client: BerthClient;
  readonly printer: Printer;
}

export function addGlobalFlags(program: Command): void {
  program
    .option(
      '--address <url>',
      'the control plane (env BERTH_ADDR; default: what berth dev wrote, or http://127.0.0.1:7878)',
    )
    .option('--token <jwt>', 'who you are (env BERTH_TOKEN)')
    .option('--token-file <path>', 'a file that holds the token (env BERTH_TOKEN_FILE)')
    .option('--ca <path>', "the authority that signed the control plane's certificate, in PEM (env BERTH_CA)")
    .option('--client-cert <path>', 'a certificate to show to it, with --client-key (env BERTH_CLIENT_CERT)')
    .option('--client-key <path>', 'and its key (env BERTH_CLIENT_KEY)')
    .addOption(new Option('-o, --output <format>', 'how results are shown').choices(FORMATS).default('table'))
    .option('--no-color', 'no colours, also not on a terminal (env NO_COLOR)');
}

export async function openSession(io: Io, command: Command): Promise<Session> {
  const flags = command.optsWithGlobals<GlobalFlags>();
  const resolved = await resolveSettings(flags, io.env);
  const settings =
    resolved.isOfLogin === true ? { ...resolved, token: await loggedInToken(io, resolved.address) } : resolved;
  let used = settings.token;
  const printer = createPrinter(io, { format: flags.output, colour: flags.color });
  const client = createClient({
    address: settings.address,
    token: settings.token,
    freshToken: async () => {
      used =
        settings.isOfLogin === true
          ? await loggedInToken(io, settings.address, used)
          : await freshToken(settings, flags, io.env);
      return used;
    },
    fetch: fetchOver(io, settings.trust),
    clock: io.clock,
    random: io.random,
    onRetry: ({ why, waitMs }) => {
      // The first, short waits are nobody's business; a longer silence is.
      if (waitMs >= 1000) printer.note(`${settings.address}: ${why}; trying again in ${durationText(waitMs)}`);
    },
  });
  return { io, settings, client, printer };
}

function fetchOver({ clock, fetch }: Io, files: TrustFiles): typeof fetch {
  try {
    return fetchTrusting(files, { monotonicMs: () => clock.monotonicMs(), otherwise: fetch });
  } catch (error) {
    throw new CliError(error instanceof Error ? error.message : String(error), { exitCode: EXIT.usage });
  }
}

const WATCH_INTERVAL_MS = 1000;
export const CLEAR_SCREEN = '\u001b[H\u001b[2J\u001b[3J';

/** Prints a list once, or with `watch` again whenever it has changed, until the process is interrupted. */
export async function showList<T>(
  session: Session,
  options: { watch: boolean; read: () => Promise<readonly T[]>; shape: ListShape<T> },
): Promise<void> {
  const { io, printer } = session;
  const { watch, read, shape } = options;
  if (!watch) return printer.list(await read(), shape);
  const stop = new AbortController();
  const restore = io.onInterruption(() => stop.abort());
  let shown: string | null = null;
  try {
    while (!stop.signal.aborted) {
      const { format, paint, width } = printer;
      const items = await read();
      const text = listText(items, shape, { format, paint, width, nowMs: io.clock.now() });
      // On a terminal ages tick; in a file only what has really changed is worth another copy.
      const state = io.out.isTerminal ? text : JSON.stringify(items);
      if (state !== shown) io.out.write(io.out.isTerminal ? CLEAR_SCREEN + text : text);
      shown = state;
      await sleep(io.clock, WATCH_INTERVAL_MS, stop.signal);
    }
  } finally {
    restore();
  }
}

/** Everything that an iteration yields, up to a bound that no cluster reaches by design. */
export async function collect<T>(items: AsyncIterable<T>, itemsMax = 1_000_000): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) {
    if (all.length >= itemsMax)
      throw new CliError(`there are more than ${itemsMax} of them`, { exitCode: EXIT.failed });
    all.push(item);
  }
  return all;
}
