/** `berth dns` as a process: a client of the control plane that answers names of services, beside an agent or anywhere else. */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createClient } from '../shared/client/client.ts';
import type { Clock } from '../shared/util/clock.ts';
import { SystemClock } from './adapters/clock/system-clock.ts';
import { createPinoLogger } from './adapters/log/pino-logger.ts';
import { CryptoRandom } from './adapters/random/crypto-random.ts';
import { EndpointBook } from './dns/book.ts';
import { feedBook, outageNotes } from './dns/feed.ts';
import { ownAddressesOf } from './dns/options.ts';
import { startDnsServer } from './dns/server.ts';
import { fetchTrusting, type TrustFiles } from './https/trust-files.ts';
import { ConfigError } from './main-config.ts';
import { DNS_USAGE, type DnsProgramConfig, readDnsConfig } from './main-dns-config.ts';
import { listenForNames } from './main-node-dns.ts';

const EXIT_CONFIG = 78;

async function main(): Promise<void> {
  const config = readDnsConfig(process.argv.slice(2), process.env, (path) => readFileSync(path, 'utf8'));
  if (config === 'help') return void process.stdout.write(DNS_USAGE);
  await serve(config);
}

async function serve({
  listen,
  domain,
  ttlSeconds,
  addresses,
  token,
  tokenFile,
  trust,
  role,
  logLevel,
}: DnsProgramConfig): Promise<void> {
  const log = createPinoLogger({ level: logLevel, name: 'berth-dns', destination: process.stderr });
  const [clock, random, ending] = [new SystemClock(), new CryptoRandom(), new AbortController()];
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => ending.abort());
  const [address, ...otherAddresses] = addresses;
  const onRetry = outageNotes({ clock, log });
  const reach = { address, otherAddresses, token, freshToken: () => tokenIn(tokenFile) };
  const client = createClient({ ...reach, fetch: fetchOver(trust, clock), clock, random, onRetry });
  const book = new EndpointBook();
  const zone = { domain, ttlSeconds, ownAddresses: ownAddressesOf(listen.host) };
  const server = await listenForNames('--listen', listen, () =>
    startDnsServer(listen, { known: { book, zone, chance: () => random.next() }, log }),
  );
  log.info({ host: listen.host, port: server.port, domain }, 'answering names');
  const filter = role === null ? {} : { role };
  await feedBook(book, { watch: client.endpoints.watch, filter, clock, random, log, signal: ending.signal });
  await server.close();
}

function fetchOver(files: TrustFiles, clock: Clock): typeof fetch {
  try {
    return fetchTrusting(files, { monotonicMs: () => clock.monotonicMs(), otherwise: globalThis.fetch });
  } catch (error) {
    throw new ConfigError(error instanceof Error ? error.message : String(error));
  }
}

async function tokenIn(path: string | null): Promise<string | null> {
  return path === null
    ? null
    : readFile(path, 'utf8').then(
        (text) => text.trim(),
        () => null,
      );
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    const isKnown = error instanceof ConfigError;
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    process.stderr.write(`berth dns: ${isKnown ? error.message : text}\n`);
    process.exit(isKnown ? EXIT_CONFIG : 1);
  },
);
