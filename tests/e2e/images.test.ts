/** The image of the control plane, on a base of the machine's own Node.js, as an operator would run it who trusts nothing. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CryptoRandom } from '../../control-plane/adapters/random/crypto-random.ts';
import { randomId } from '../../shared/util/random.ts';
import { freePort, startEtcd, type TestEtcd } from '../support/etcd.ts';
import { eventually } from '../support/processes.ts';

const run = promisify(execFile);
const suffix = randomId(new CryptoRandom(), 5);
const [BASE, IMAGE, CONTAINER] = [`berth/base:${suffix}`, `berth/control-plane:${suffix}`, `berth-replica-${suffix}`];
const AGENT_IMAGE = `berth/agent:${suffix}`;
const SOCKET = '/var/run/docker.sock';
const ROOT = join(import.meta.dirname, '../..');

let folder: string;
let etcd: TestEtcd;

/** Node.js and the libraries that it is linked with; no shell, no package manager. */
async function makeBase(): Promise<void> {
  const base = join(folder, 'base');
  const { stdout } = await run('ldd', [process.execPath]);
  const libraries = [...stdout.matchAll(/(?:=> )?(\/\S+) \(/g)].map(([, path = '']) => path);
  const files = [[process.execPath, '/usr/bin/node'], ...libraries.map((path) => [path, path])] as const;
  for (const [from, to] of files) {
    const target = join(base, String(to));
    await mkdir(dirname(target), { recursive: true });
    await copyFile(String(from), target);
    await chmod(target, 0o755);
  }
  const packed = spawn('tar', ['-C', base, '-c', '.'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const imported = spawn('docker', ['import', '--change', 'ENV PATH=/usr/bin', '-', BASE], {
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  packed.stdout.pipe(imported.stdin);
  const [code] = await once(imported, 'exit');
  expect(code).toBe(0);
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-images-'));
  etcd = await startEtcd();
  await makeBase();
  for (const [name, tag] of Object.entries({ 'control-plane': IMAGE, agent: AGENT_IMAGE })) {
    const build = ['infra/images/build.ts', name, '--tag', tag, '--base', BASE];
    await run(process.execPath, build, { cwd: ROOT, env: { ...process.env, DOCKER_BUILDKIT: '0' } });
  }
});
afterAll(async () => {
  await run('docker', ['rm', '-f', CONTAINER]).catch(() => undefined);
  await run('docker', ['rmi', '-f', IMAGE, AGENT_IMAGE, BASE]).catch(() => undefined);
  await etcd?.stop();
  await rm(folder, { recursive: true, force: true });
});

describe('the image of the control plane', () => {
  it('serves as a user without rights, on a root file system that can only be read', async () => {
    const port = await freePort();
    const state = join(folder, 'state');
    await mkdir(state);
    await chmod(state, 0o777);
    await run('docker', [
      ...['run', '--detach', '--name', CONTAINER, '--network', 'host', '--label', 'io.berth.test=images'],
      ...['--read-only', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges', '--volume', `${state}:/state`],
      ...[IMAGE, '--etcd', etcd.url, '--listen', `127.0.0.1:${port}`, '--bootstrap-token-file', '/state/token'],
    ]);
    const url = `http://127.0.0.1:${port}`;
    await eventually('the replica to be ready', async () => (await fetch(`${url}/readyz`)).ok);
    const { stdout } = await run('docker', ['top', CONTAINER, '-eo', 'uid,pid,args']);
    expect(stdout.split('\n')[1]?.trim().split(/\s+/)[0]).toBe('65532');
    // Its user has written it for nobody but itself; only root can read it here.
    const token = (await readFile(join(state, 'token'), 'utf8')).trim();
    expect((await fetch(`${url}/v1/jobs`)).status).toBe(401);
    const answer = await fetch(`${url}/v1/jobs`, { headers: { authorization: `Bearer ${token}` } });
    expect(await answer.json()).toMatchObject({ items: [] });
    await run('docker', ['stop', CONTAINER]);
    const { stdout: code } = await run('docker', ['inspect', '--format', '{{.State.ExitCode}}', CONTAINER]);
    expect(code.trim()).toBe('0');
  });
});

describe('the image of the agent', () => {
  it('reaches the engine as a user without rights, by the group of its socket', async () => {
    const { gid } = await stat(SOCKET);
    const { stdout } = await run('docker', [
      ...[
        'run',
        '--rm',
        '--network',
        'host',
        '--read-only',
        '--cap-drop',
        'ALL',
        '--security-opt',
        'no-new-privileges',
      ],
      ...['--group-add', String(gid), '--volume', `${SOCKET}:${SOCKET}`, AGENT_IMAGE, '--describe', '--gpus', 'none'],
    ]);
    const { node, faults, warnings } = JSON.parse(stdout);
    expect(node.engine).toMatch(/^docker \d+\./);
    expect({ faults, warnings }).toEqual({ faults: [], warnings: [] });
  });
});
