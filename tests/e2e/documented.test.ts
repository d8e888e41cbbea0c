/** What the API says of itself, as a replica serves it that runs as a program; and that the framework in it does what it says. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventually, Process, type RealCluster, startRealCluster } from '../support/processes.ts';

let cluster: RealCluster;
let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-e2e-documented-'));
  cluster = await startRealCluster({ replicas: 1, leaseTtlSeconds: 5 });
});
afterAll(async () => {
  await cluster?.stop();
  await rm(folder, { recursive: true, force: true });
});

interface Document {
  readonly paths: Readonly<Record<string, unknown>>;
  readonly tags: readonly { readonly name: string; readonly description: string }[];
}

function read(path: string): Promise<Response> {
  return fetch(`${cluster.replicas[0]?.url}${path}`);
}

it('describes every path of the API as data and on a page', async () => {
  const [data, page] = [await read('/openapi.json'), await read('/docs')];
  expect([data.status, page.status]).toEqual([200, 200]);
  const [{ paths }, html] = [(await data.json()) as Document, await page.text()];
  expect(Object.keys(paths)).toContain('/v1/frameworks/{id}/accept');
  for (const path of Object.keys(paths)) expect(html).toContain(`<code>${path}</code>`);
});

it('shows a framework that runs a task, hears of its end, and ends', async () => {
  await cluster.addAgent('only', ['--resources', 'cpus=1,memMiB=256,ports=26020-26029']);
  const { tags } = (await (await read('/openapi.json')).json()) as Document;
  const description = tags.find(({ name }) => name === 'Frameworks')?.description ?? '';
  const code = description.match(/(?:^ {4}.*\n)+/m)?.[0].replace(/^ {4}/gm, '') ?? '';
  expect(code).toContain("image: 'alpine:3.20'");
  const file = join(folder, 'painter.mjs');
  await writeFile(file, code.replace('alpine:3.20', 'berth/busybox:local'));
  const env = { BERTH: `${cluster.replicas[0]?.url}`, TOKEN: cluster.token };
  const painter = new Process([file], join(folder, 'painter.log'), { env });
  painter.start();
  await eventually('the framework to end', async () => !painter.isRunning, 60_000);
  expect([painter.end, painter.log()]).toEqual([
    { code: 0, signal: null },
    expect.stringContaining('frame 1 finished'),
  ]);
  const [framework] = (await cluster.replicas[0]?.client.frameworks.list())?.items ?? [];
  expect(framework).toMatchObject({ name: 'painter', state: 'ended', teardown: { reason: 'done' } });
}, 120_000);
