/** Replicas behind something that knows no sessions: what one of them has begun, another one goes on with. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventually, type RealCluster, startRealCluster } from '../support/processes.ts';
import { type ReplicaFront, startReplicaFront } from '../support/replica-front.ts';
import { IMAGE, startBerth } from './cli-process.ts';

const LINES = 75;

let cluster: RealCluster;
let front: ReplicaFront;
let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-e2e-'));
  cluster = await startRealCluster({ replicas: 3 });
  front = await startReplicaFront(cluster.replicas.map(({ url }) => url));
  const resources = ['--resources', 'cpus=2,memMiB=512,ports=25000-25019'];
  await cluster.addAgent('balanced', resources, { addresses: [front.url] });
});
afterAll(async () => {
  await front?.close();
  await cluster?.stop();
  await rm(folder, { recursive: true, force: true });
});

it(
  'a log stream and an agent’s session survive every replica in turn, each line once and in order',
  async () => {
    const tokenFile = join(folder, 'token');
    await writeFile(tokenFile, cluster.token);
    const script = `i=0; while [ $i -lt ${LINES} ]; do echo "line $i"; i=$((i+1)); sleep 0.2; done; exit 9`;
    const env = { BERTH_ADDR: front.url, BERTH_TOKEN_FILE: tokenFile };
    const running = startBerth(['run', IMAGE, '--', 'sh', '-c', script], env);
    await running.says('line 5\n');
    for (const [at, { process, url }] of cluster.replicas.entries()) {
      await process.kill();
      // What is written while it is away comes through the others.
      await running.says(`line ${5 + 15 * (at + 1)}\n`);
      process.start();
      await eventually('the replica to be back', async () => (await fetch(`${url}/readyz`)).ok);
    }
    const { code, out } = await running.done;
    expect(code).toBe(9);
    expect(out).toBe(Array.from({ length: LINES }, (_, at) => `line ${at}\n`).join(''));
    expect(Math.min(...front.served)).toBeGreaterThan(0);
  },
  2 * 60_000,
);
