/** Names of services, answered by a replica from its own copy of the state. */

import { EndpointBook } from './dns/book.ts';
import { ownAddressesOf } from './dns/options.ts';
import { type DnsServer, startDnsServer } from './dns/server.ts';
import { ConfigError, type DnsConfig } from './main-config.ts';
import type { ServiceContext } from './services/context.ts';
import { EndpointTable } from './services/endpoint-table.ts';

/** Throws {@link ConfigError} where it can't listen. */
export async function startReplicaDns(
  { mirror, random, log }: Pick<ServiceContext, 'mirror' | 'random' | 'log'>,
  { listen, domain, ttlSeconds }: DnsConfig,
): Promise<DnsServer> {
  const book = new EndpointBook();
  const table = new EndpointTable(mirror);
  const learnAll = () => {
    book.apply({ type: 'list', list: { revision: table.revision, items: [...table.all()] } });
  };
  const unsubscribe = table.subscribe((steps, revision, isReset) => {
    if (isReset) return learnAll();
    const put = steps.flatMap(({ after }) => after ?? []);
    const gone = steps.flatMap(({ before, after }) => (after === null && before !== null ? [before.id] : []));
    book.apply({ type: 'change', change: { revision, put, gone } });
  });
  learnAll();
  const zone = { domain, ttlSeconds, ownAddresses: ownAddressesOf(listen.host) };
  const server = await listenForNames('--dns-listen', listen, () =>
    startDnsServer(listen, { known: { book, zone, chance: () => random.next() }, log }),
  );
  log.info({ host: listen.host, port: server.port, domain }, 'answering names');
  return {
    port: server.port,
    close() {
      unsubscribe();
      return server.close();
    },
  };
}

/** Says what is wrong with the address in the words of whoever gave it. */
export async function listenForNames<T>(
  name: string,
  { host, port }: DnsConfig['listen'],
  start: () => Promise<T>,
): Promise<T> {
  try {
    return await start();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null;
    if (code === 'EADDRINUSE') throw new ConfigError(`${name} ${host}:${port} is in use; choose another port`);
    if (code === 'EACCES') {
      throw new ConfigError(
        `${name} ${host}:${port} may not be used; a port below 1024 takes root or CAP_NET_BIND_SERVICE`,
      );
    }
    throw new ConfigError(`${name} ${host}:${port} can't be used: ${error instanceof Error ? error.message : error}`);
  }
}
