/** A task's output comes whole, once and in order, however the engine rotates its files. */
import Docker from 'dockerode';
import { afterEach, expect, it } from 'vitest';
import { DockerRuntime } from '../../../node-agent/adapters/docker/docker-runtime.ts';
import { systemClock } from '../../../node-agent/adapters/system/system-clock.ts';
import { systemRandom } from '../../../node-agent/adapters/system/system-random.ts';
import { randomId } from '../../../shared/util/random.ts';
import { IMAGE } from './agent-process.ts';

const TIMEOUT_MS = 120_000;
const socketPath = '/var/run/docker.sock';
const docker = new Docker({ socketPath });
const runtime = new DockerRuntime({
  socketPath,
  owner: { nodeId: `output-${randomId(systemRandom)}`, hostname: 'here' },
  registryConfig: null,
  clock: systemClock,
  random: systemRandom,
});
const started: string[] = [];

afterEach(async () => {
  for (const id of started.splice(0)) await docker.getContainer(id).remove({ force: true });
});

async function start(script: string, size: string, files: number): Promise<string> {
  const container = await docker.createContainer({
    Image: IMAGE,
    Cmd: ['sh', '-c', script],
    HostConfig: { LogConfig: { Type: 'json-file', Config: { 'max-size': size, 'max-file': String(files) } } },
  });
  started.push(container.id);
  await container.start();
  return container.id;
}

async function followed(id: string): Promise<string[]> {
  const texts: string[] = [];
  const request = { follow: true, tail: null, since: null };
  for await (const batch of runtime.logs(id, request, new AbortController().signal)) {
    for (const { text } of batch) texts.push(text);
  }
  return texts;
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => String(index + 1));
const bursts = 'i=0; while [ $i -lt 15 ]; do seq $((i*10000+1)) $((i*10000+10000)); i=$((i+1)); sleep 0.4; done';

it.each([
  ['a fast writer that ends before it is read', 'seq 1 300000', 300_000],
  ['bursts', bursts, 150_000],
])('of %s is exact', { timeout: TIMEOUT_MS }, async (_, script, count) => {
  const texts = await followed(await start(script, '5m', 8));
  const expected = numbers(count);
  expect(texts.findIndex((text, index) => text !== expected[index])).toBe(-1);
  expect(texts.length).toBe(count);
});

it('of many equal lines is exact', { timeout: TIMEOUT_MS }, async () => {
  const texts = await followed(await start('yes | head -c 2000000', '10m', 9));
  expect(texts.length).toBe(1_000_000);
  expect(texts.every((text) => text === 'y')).toBe(true);
});
