/** A pipeline that follows a job doesn't care that the control plane was replaced meanwhile. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type RealCluster, startRealCluster } from '../support/processes.ts';
import { IMAGE, startBerth } from './cli-process.ts';

let cluster: RealCluster;
let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-e2e-'));
  cluster = await startRealCluster({ replicas: 1 });
  await cluster.addAgent('only', ['--resources', 'cpus=2,memMiB=512,ports=23000-23019']);
});
afterAll(async () => {
  await cluster?.stop();
  await rm(folder, { recursive: true, force: true });
});

it(
  'berth run loses no line, repeats none, and knows the exit code, though the only replica is killed under it',
  async () => {
    const [replica] = cluster.replicas;
    if (replica === undefined) throw new Error('the cluster has no replica');
    const tokenFile = join(folder, 'token');
    await writeFile(tokenFile, cluster.token);
    const script = 'i=0; while [ $i -lt 60 ]; do echo "line $i"; i=$((i+1)); sleep 0.2; done; exit 9';
    const env = { BERTH_ADDR: replica.url, BERTH_TOKEN_FILE: tokenFile };
    const running = startBerth(['run', IMAGE, '--', 'sh', '-c', script], env);
    await running.says('line 5\n');
    await replica.process.kill();
    await running.says(/waiting for it/);
    replica.process.start();
    const { code, out } = await running.done;
    expect(code).toBe(9);
    expect(out).toBe(Array.from({ length: 60 }, (_, at) => `line ${at}\n`).join(''));
  },
  2 * 60_000,
);
