/** The real programs under TLS on every wire: etcd and the API ask for client certificates, and nobody but the test has signed any. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Docker from 'dockerode';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CryptoRandom } from '../../../control-plane/adapters/random/crypto-random.ts';
import { randomId } from '../../../shared/util/random.ts';
import { makeAuthority, type TestAuthority, type TestCertificate } from '../../support/certificates.ts';
import { freePort, startEtcd, type TestEtcd } from '../../support/etcd.ts';
import { eventually, Process } from '../../support/processes.ts';

let folder: string;
let authority: TestAuthority;
let [server, client]: TestCertificate[] = [];
let stranger: TestCertificate;
let etcd: TestEtcd;
const programs: Process[] = [];
const NODE = `over-tls-${randomId(new CryptoRandom(), 5)}`;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-programs-'));
  authority = await makeAuthority(folder);
  [server, client] = [await authority.issue('server'), await authority.issue('client')];
  stranger = await (await makeAuthority(join(folder, 'strangers'))).issue('stranger');
  etcd = await startEtcd({
    tls: true,
    arguments: [
      ...['--cert-file', server.certFile, '--key-file', server.keyFile],
      ...['--trusted-ca-file', authority.certFile, '--client-cert-auth'],
    ],
  });
});
afterAll(async () => {
  const docker = new Docker();
  const left = await docker.listContainers({ all: true, filters: { label: [`io.berth.node=${NODE}`] } });
  await Promise.all(left.map(({ Id }) => docker.getContainer(Id).remove({ force: true, v: true })));
  await Promise.all(programs.map((program) => program.stop()));
  await etcd?.stop();
  await rm(folder, { recursive: true, force: true });
});

function start(name: string, args: readonly string[]): Process {
  const program = new Process(args, join(folder, `${name}.log`));
  programs.push(program);
  program.start();
  return program;
}

const showing = ({ certFile, keyFile }: TestCertificate) => ['--client-cert', certFile, '--client-key', keyFile];

interface Place {
  readonly url: string;
  readonly program: Process;
}

async function startReplica(
  name: string,
  { etcdCert = client, etcdCa = authority as TestCertificate, tls = true } = {},
): Promise<Place> {
  const port = await freePort();
  const program = start(name, [
    'control-plane/main-node.ts',
    ...['--etcd', etcd.url, '--etcd-ca', etcdCa.certFile],
    ...['--etcd-cert', etcdCert?.certFile ?? '', '--etcd-key', etcdCert?.keyFile ?? ''],
    ...['--listen', `127.0.0.1:${port}`, '--bootstrap-token-file', join(folder, 'admin-token')],
    ...(tls ? ['--tls-cert', server?.certFile ?? '', '--tls-key', server?.keyFile ?? ''] : []),
    ...(tls ? ['--tls-client-ca', authority.certFile, '--ca', authority.certFile] : []),
  ]);
  return { url: `${tls ? 'https' : 'http'}://localhost:${port}`, program };
}

async function cli(url: string, args: readonly string[], trust: readonly string[]) {
  const name = `cli-${programs.length}`;
  const tokens = ['--address', url, '--token-file', join(folder, 'admin-token')];
  const program = start(name, ['control-plane/cli/main.ts', ...tokens, ...trust, ...args]);
  await eventually(`berth ${args[0]} to end`, async () => program.end !== null);
  return { code: program.end?.code, said: program.log() };
}

const trusted = () => ['--ca', authority.certFile, ...showing(client as TestCertificate)];

describe('etcd that asks for client certificates', () => {
  it('refuses one of another authority, and the log says what was wrong', async () => {
    const { program } = await startReplica('misled', { etcdCert: stranger, tls: false });
    await eventually('the refusal in the log', async () => program.log().includes('see --etcd-cert and --etcd-key'));
    await program.kill();
  });

  it('is not trusted where it is of another authority, and the log says which option is wrong', async () => {
    const { program } = await startReplica('distrusting', { etcdCa: stranger, tls: false });
    await eventually('the distrust in the log', async () => program.log().includes('--etcd-ca has to name'));
    await program.kill();
  });
});

describe('a cluster whose every wire is TLS', () => {
  it('runs a task, and its output comes from one replica through the other', async () => {
    const [first, second] = [await startReplica('first'), await startReplica('second')];
    for (const { url } of [first, second]) {
      await eventually(`${url} to be ready`, async () => (await cli(url, ['status'], trusted())).code === 0);
    }
    const created = await cli(first.url, ['token', 'create', 'edge', '--join', '-o', 'json'], trusted());
    const token = /"token": "([^"]+)"/.exec(created.said)?.[1] ?? '';
    const agent = start('agent', [
      'node-agent/main.ts',
      ...['--control-plane', first.url, '--join-token', token, '--state-dir', join(folder, 'agent')],
      ...['--node-id', NODE],
      ...['--gpus', 'none', ...trusted()],
    ]);
    await eventually('the agent to join', async () => agent.log().includes('the agent has started'));
    const run = ['run', 'berth/busybox:local', '--name', 'over-tls', '--', 'echo', 'all of it over TLS'];
    const { code, said } = await cli(second.url, run, trusted());
    expect(said).toContain('all of it over TLS');
    expect(code).toBe(0);
  });

  it('tells who does not trust it, or is not let in, which options are missing', async () => {
    const { url } = await startReplica('third');
    await eventually('it to be ready', async () => (await cli(url, ['status'], trusted())).code === 0);
    const untrusting = await cli(url, ['status'], []);
    expect(untrusting.said).toMatch(/nobody that is trusted here has signed its certificate; .* --ca \(or BERTH_CA\)/);
    const bare = await cli(url, ['status'], ['--ca', authority.certFile]);
    expect(bare.said).toMatch(/it lets in only who shows a certificate .* --client-cert and --client-key/);
    const foreign = await cli(url, ['status'], ['--ca', authority.certFile, ...showing(stranger)]);
    expect(foreign).toMatchObject({ code: 3, said: expect.stringContaining('no answer from the control plane') });
    const half = await cli(url, ['status'], ['--client-key', stranger.keyFile]);
    expect(half).toMatchObject({ code: 2, said: expect.stringContaining('belong together: give both') });
    const agent = start('untrusting', [
      'node-agent/main.ts',
      ...['--control-plane', url, '--join-token', 'none', '--state-dir', join(folder, 'untrusting'), '--gpus', 'none'],
    ]);
    await eventually('the agent to say so', async () => agent.log().includes('--ca (or BERTH_CA)'));
  });
});
