/** `npm run dev:edge`, as a person has it. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { berth, containers, IMAGE, startProgram } from './cli-process.ts';

/** Those of this cluster, by the folder that it lives in. */
function processesIn(folder: string): string[] {
  const lines = execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' }).split('\n');
  return lines.filter((line) => line.includes(folder));
}

it('keeps a cluster up whose only control plane is the edge entry, and leaves nothing behind', async () => {
  const home = await mkdtemp(join(tmpdir(), 'berth-e2e-'));
  const env = { XDG_CONFIG_HOME: join(home, 'config') };
  const dev = startProgram(process.execPath, ['infra/edge/dev.ts', '--ephemeral', '--port', '0'], env);
  await dev.says('Ctrl-C ends the cluster.', 120_000);
  const folder = /data in (\S+);/.exec(dev.out())?.[1] ?? '';
  const node = /nodes (\S+);/.exec(dev.out())?.[1] ?? '';
  const address = /in workerd: (\S+)/.exec(dev.out())?.[1] ?? '';
  expect(processesIn(folder).length).toBeGreaterThan(2);
  // The CLI finds it by itself; nothing is lost on the way.
  const ran = await berth(['run', '--quiet', '--', IMAGE, 'sh', '-c', 'echo hello; exit 9'], env);
  expect(ran).toMatchObject({ out: 'hello\n', code: 9 });
  const status = await berth(['status'], env);
  expect(status.out).toMatch(/^Replica +edge-\w+ .*\(drives\)$/m);
  dev.process.kill('SIGINT');
  expect((await dev.done).code).toBe(0);
  expect(processesIn(folder)).toEqual([]);
  expect(await containers(node)).toEqual([]);
  await expect(fetch(`${address}/healthz`)).rejects.toThrow();
  await rm(home, { recursive: true, force: true });
});
