import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import { expect, it } from 'vitest';
import { socketAddress } from '../../../control-plane/adapters/http/socket-address.ts';

it('a request comes from where its socket says', async () => {
  const server = createAdaptorServer({
    fetch: (request, env) => new Response(socketAddress(request, env)),
  }) as Server;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const headers = { 'x-forwarded-for': '192.0.2.7', connection: 'close' };
  expect(await (await fetch(`http://127.0.0.1:${port}/`, { headers })).text()).toBe('127.0.0.1');
  server.close();
  await once(server, 'close');
});
