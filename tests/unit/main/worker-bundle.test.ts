/** What is sent to Cloudflare: nothing of Node.js is reachable from it, and it is small. */
import { builtinModules } from 'node:module';
import { beforeAll, expect, test } from 'vitest';
import { bundleWorker, WORKER_GZIP_BYTES_MAX, type WorkerBundle } from '../../../infra/bundle/worker.ts';

let bundle: WorkerBundle;
let text: string;

beforeAll(async () => {
  // Bundling with no platform fails where a module of Node.js is named.
  bundle = await bundleWorker();
  text = new TextDecoder().decode(bundle.contents);
});

test('names no module of Node.js, in whichever way', () => {
  const asked = (name: string) => new RegExp(`(?:from|import|require)\\s*\\(?["'\`]${name}["'\`]`).test(text);
  const named = builtinModules.filter((name) => text.includes(`"node:${name}"`) || asked(name));
  expect(named).toEqual([]);
});

test.each(['etcd3', '@grpc', 'dockerode', 'pino', '@hono/node-server', 'dns-packet', 'commander'])(
  'holds nothing of %s',
  (name) => {
    expect(bundle.inputs.filter((file) => file.includes(`node_modules/${name}`))).toEqual([]);
  },
);

test('holds the whole app, and the one adapter that it needs', () => {
  const ours = ['control-plane/app.ts', 'control-plane/adapters/etcd-gateway/etcd-gateway-store.ts'];
  for (const file of [...ours, 'control-plane/facade-mesos/facade.ts', 'control-plane/controllers/driver.ts']) {
    expect(bundle.inputs).toContain(file);
  }
  expect(
    bundle.inputs.filter((file) => /control-plane\/(adapters\/(etcd|memory)|cli|dns|main-node)\//.test(file)),
  ).toEqual([]);
});

test(`takes at most ${WORKER_GZIP_BYTES_MAX} bytes, compressed`, () => {
  expect(bundle.gzipBytes).toBeLessThan(WORKER_GZIP_BYTES_MAX);
});
