import { Resolver } from 'node:dns/promises';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { freePort } from '../support/etcd.ts';
import {
  berth,
  containers,
  type DevCluster,
  IMAGE,
  isRunning,
  markOf,
  processesOf,
  shell,
  startBerth,
  startDev,
  startProgram,
} from './cli-process.ts';

const ENDING_MS = 40_000;
const LISTED = { code: 0, out: expect.stringMatching(/^left$/m), err: '' };

let home = '';
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'berth-e2e-dev-'));
});
afterAll(() => rm(home, { recursive: true, force: true }));

async function findNames(port: number): Promise<void> {
  const resolver = new Resolver();
  resolver.setServers([`127.0.0.1:${port}`]);
  expect((await resolver.resolveSoa('berth')).nsname).toBe('berth');
}

describe('berth dev', () => {
  it(
    'keeps a cluster up that can be used as it says, and ends it whole',
    async () => {
      const dnsPort = await freePort();
      const dev = await startDev({ home, flags: ['--dns', `127.0.0.1:${dnsPort}`] });
      const pids = processesOf(dev.dataDir);
      expect([...pids.keys()]).toEqual([
        'etcd',
        'control-plane',
        `edge-1-${markOf(dev.dataDir)}`,
        `edge-2-${markOf(dev.dataDir)}`,
      ]);

      await findNames(dnsPort);
      await usePrintedCurl(dev);
      await useFromAnotherTerminal(dev);
      await refuseASecond(dev);

      await berth(['run', '--detach', '--name', 'left', IMAGE, '--', 'sleep', '1000'], dev.env);
      await vi.waitFor(async () => expect(await containers(`${markOf(dev.dataDir)}-left`)).toHaveLength(1), ENDING_MS);
      const deadMan = await runGuarded(dev);
      const process = await runWithoutContainer(dev);
      expect(isRunning(deadMan)).toBe(true);
      const { code, err } = await dev.stop();
      expect(err).toMatch(/stopping\n$/);
      expect(code).toBe(0);
      expect([...pids.values(), deadMan, ...process].filter(isRunning)).toEqual([]);
      expect(await containers(markOf(dev.dataDir))).toEqual([]);
      expect(existsSync(join(home, 'config/berth/config.json'))).toBe(false);
    },
    3 * 60_000,
  );

  it(
    'finds its jobs again, and what died with its supervisor is ended first',
    async () => {
      const first = await startDev({ home });
      expect(await berth(['job', 'list', '-o', 'name'], first.env)).toMatchObject(LISTED);
      const orphans = [...processesOf(first.dataDir).values()];
      first.program.process.kill('SIGKILL');
      await first.program.done;
      expect(orphans.filter(isRunning)).toHaveLength(4);

      const second = await startDev({ home });
      expect(second.program.err()).toContain('ending what an earlier berth dev left behind: etcd');
      expect(orphans.filter(isRunning)).toEqual([]);
      expect(await berth(['job', 'list', '-o', 'name'], second.env), second.program.err()).toMatchObject(LISTED);
      expect((await second.stop()).code).toBe(0);
    },
    3 * 60_000,
  );

  it(
    'ends with the words of the part that died',
    async () => {
      const dev = await startDev({ home });
      const pids = processesOf(dev.dataDir);
      process.kill(pids.get('control-plane') ?? -1, 'SIGKILL');
      const { code, err } = await dev.program.done;
      expect(code).toBe(1);
      expect(err).toContain('berth: control-plane was killed by SIGKILL');
      expect(err).toMatch(/"msg":"serving"/);
      expect(err).toContain(`Its whole log: ${dev.dataDir}/logs/control-plane.log`);
      expect([...pids.values()].filter(isRunning)).toEqual([]);
    },
    2 * 60_000,
  );

  it(
    'keeps nothing when it is ephemeral',
    async () => {
      const dev = startBerth(['dev', '--ephemeral', '--port', '0', '--agents', '1'], { XDG_CONFIG_HOME: home });
      await dev.says('Ctrl-C ends the cluster.');
      const folder = /data in (\S+);/.exec(dev.out())?.[1] ?? '';
      expect((await stat(folder)).mode & 0o777).toBe(0o700);
      dev.process.kill('SIGINT');
      expect((await dev.done).code).toBe(0);
      expect(existsSync(folder)).toBe(false);
    },
    2 * 60_000,
  );

  it.each([
    [
      'a container engine',
      { DOCKER_HOST: 'unix:///nowhere/docker.sock' },
      /no container engine answers at unix:\/\/\/nowhere/,
    ],
    ['etcd', { PATH: '/nowhere' }, /there is no etcd on this machine/],
  ])('says what to do without %s', async (_what, env, message) => {
    const cli = new URL('../../control-plane/cli/main.ts', import.meta.url).pathname;
    const { code, err } = await startProgram(process.execPath, [cli, 'dev', '--ephemeral', '--port', '0'], env).done;
    expect(err).toMatch(message);
    expect(err).toContain('npm run setup');
    expect(code).toBe(1);
  });

  it('names a port that is taken', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const address = taken.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const { code, err } = await berth(['dev', '--ephemeral', '--port', String(port)]);
    taken.close();
    expect(err).toContain(`${port} is in use`);
    expect(code).toBe(1);
  });
});

/** Of a task that runs without a container, where the cluster can have such: its process. */
async function runWithoutContainer(dev: DevCluster): Promise<number[]> {
  if (globalThis.process.getuid?.() !== 0) return [];
  const script = 'echo "pid $$"; exec sleep 1000';
  await berth(['run', '--detach', '--process', '--name', 'bare', '--', 'sh', '-c', script], dev.env);
  return vi.waitFor(async () => {
    const { out } = await berth(['job', 'logs', 'bare'], dev.env);
    const pid = Number(/pid (\d+)/.exec(out)?.[1]);
    expect(isRunning(pid)).toBe(true);
    return [pid];
  }, ENDING_MS);
}

async function usePrintedCurl(dev: DevCluster): Promise<void> {
  const curl = /curl -sS[^\n]*\\\n(?:[^\n]*\\\n)*[^\n]*/.exec(dev.program.out())?.[0] ?? '';
  const { code, out } = await shell(curl);
  expect(code).toBe(0);
  const job = JSON.parse(out);
  expect(job).toMatchObject({ kind: 'batch', createdBy: 'bootstrap' });
  const followed = await berth(['job', 'logs', '-f', job.name], dev.env);
  expect(followed.out).toMatch(/hello from Berth\n$/);
}

async function useFromAnotherTerminal(dev: DevCluster): Promise<void> {
  const { code, out } = await berth(['status'], dev.env);
  expect(out).toMatch(/^Nodes +2: 2 ready$/m);
  expect(code).toBe(0);
}

/** A task that has a dead-man beside it, whose process id it resolves with. */
async function runGuarded({ dataDir, env, home: folder }: DevCluster): Promise<number> {
  const file = join(folder, 'guarded.json');
  const groups = [{ image: IMAGE, command: ['sleep', '1000'] }];
  await writeFile(file, JSON.stringify({ name: 'guarded', stopAfterDisconnectSeconds: 60, groups }));
  const { code, err } = await berth(['job', 'apply', file], env);
  expect(code, err).toBe(0);
  const states = [1, 2].map((node) => join(dataDir, 'agents', `edge-${node}-${markOf(dataDir)}`, 'fence', 'state'));
  const texts = await Promise.all(states.map((state) => readFile(state, 'utf8').catch(() => '')));
  return Number(/^keeper ([1-9]\d*)$/m.exec(texts.join(''))?.[1] ?? 'none');
}

async function refuseASecond(dev: DevCluster): Promise<void> {
  const { code, err } = await berth(['dev', '--port', '0', '--data-dir', dev.dataDir], dev.env);
  expect(err).toMatch(/another berth dev \(process \d+\) uses /);
  expect(err).toContain('--data-dir DIR');
  expect(code).toBe(1);
  // The refused one must not have touched what the first one holds.
  expect((await berth(['status'], dev.env)).code).toBe(0);
}
