/** A replica over a large state, as a process of its own. Says where it serves, and a token, in the file that it is given. */
import { once } from 'node:events';
import { renameSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import { startApi } from '../support/api.ts';
import { largeState } from './large-state.ts';

export interface ReplicaAddress {
  readonly port: number;
  readonly token: string;
}

async function main(readyFile: string): Promise<void> {
  const berth = await startApi({ store: await largeState() });
  const server = createAdaptorServer({ fetch: berth.api.fetch });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const ready: ReplicaAddress = { port: (server.address() as AddressInfo).port, token: berth.admin };
  writeFileSync(`${readyFile}.new`, JSON.stringify(ready));
  renameSync(`${readyFile}.new`, readyFile);
}

const [readyFile] = process.argv.slice(2);
if (readyFile === undefined) throw new Error('name the file to write the address to');
await main(readyFile);
