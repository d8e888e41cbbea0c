/** The command itself, as a process: endpoints come over HTTP, requests go through haproxy, signals end it. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import type { EndpointView } from '../../../shared/protocol/endpoints.ts';
import { startBerth } from '../../e2e/cli-process.ts';
import { endpointOf } from '../../support/endpoints.ts';
import { freePort } from '../../support/etcd.ts';
import { ask, startWebTask } from '../../support/web-task.ts';

const undo: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

/** Tells every watch the list, and then each further one as a change. */
async function startEndpointServer(first: readonly EndpointView[]) {
  let revision = 1;
  const watches = new Set<ServerResponse>();
  const send = (to: ServerResponse, event: string, data: object) =>
    to.write(`event: ${event}\nid: 0-${revision}\ndata: ${JSON.stringify({ revision, ...data })}\n\n`);
  const server = createServer(({ url = '' }, answer) => {
    if (!url.startsWith('/v1/endpoints/watch')) return void answer.writeHead(404).end();
    answer.writeHead(200, { 'content-type': 'text/event-stream' });
    watches.add(answer);
    send(answer, 'list', { items: first });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  undo.push(async () => server.closeAllConnections());
  undo.push(async () => server.close());
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    change(put: readonly EndpointView[], gone: readonly string[]) {
      revision += 1;
      for (const watch of watches) send(watch, 'change', { put, gone });
    },
  };
}

it('berth balancer serves what the control plane tells it, says what it does, and ends on SIGTERM', async () => {
  const [one, two] = [await startWebTask('one'), await startWebTask('two')];
  undo.push(
    () => one.kill(),
    () => two.kill(),
  );
  const folder = await mkdtemp(join(tmpdir(), 'berth-command-'));
  undo.push(() => rm(folder, { recursive: true, force: true }));
  const [httpPort, statusPort] = [await freePort(), await freePort()];
  const first = endpointOf({ task: 'one', port: one.port });
  const twin = endpointOf({ job: 'zwin', task: 'zwin', port: one.port });
  const api = await startEndpointServer([first, twin]);
  const at = `127.0.0.1:${statusPort}`;
  const flags = ['--http', `127.0.0.1:${httpPort}`, '--status-listen', at, '--config-dir', folder];
  const running = startBerth(['balancer', ...flags], { BERTH_ADDR: api.url, BERTH_TOKEN: 'x' });
  undo.push(async () => running.process.kill('SIGKILL'));
  await running.says('how=start');
  expect((await ask(httpPort)).body).toBe('one');
  api.change([endpointOf({ task: 'two', port: two.port })], [first.id]);
  await running.says('how=commands');
  expect((await ask(httpPort)).body).toBe('two');

  const status = await startBerth(['balancer', 'status', '--at', at], {}).done;
  expect(status.out).toMatch(/^haproxy runs as process \d+; 0 reloads, 0 restarts; last change .* by commands in /);
  expect(status.out).toContain('default/zwin/main/http gets no host web.example/: default/web/main/http has it');
  expect(status.out).toMatch(/default\/web\/main\/http +web\.example\/ +1 +0/);
  expect(await (await fetch(`http://${at}/metrics`)).text()).toContain('haproxy_server_status');
  expect((await fetch(`http://${at}/healthz`)).status).toBe(200);

  running.process.kill('SIGTERM');
  expect((await running.done).code).toBe(0);
  await expect(ask(httpPort)).rejects.toThrow();
});
