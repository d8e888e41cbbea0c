/** A real container proves what it is: with tokens in files of its own, which others verify by the keys that the cluster publishes. */
import { existsSync } from 'node:fs';
import Docker from 'dockerode';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type OwnAgent, type OwnReplica, startOwnReplica } from '../support/own-replica.ts';
import { eventually } from '../support/processes.ts';

const AUDIENCE = 'https://vault.example.com';
const FILE = '/run/berth/identity/vault';

let berth: OwnReplica;
let agent: OwnAgent;
const docker = new Docker();

beforeAll(async () => {
  berth = await startOwnReplica({ fetch: () => Promise.reject(new Error('this replica calls nobody')) });
  agent = await berth.addAgent('prover');
  await berth.admin.jobs.submit({
    name: 'prover',
    role: 'eng/ml',
    kind: 'service',
    groups: [
      {
        image: 'berth/busybox:local',
        command: ['sleep', '600'],
        user: '1000:1000',
        network: 'none',
        killGraceSeconds: 0,
        resources: { cpus: 0.1, memMiB: 32 },
        identity: [{ name: 'vault', audience: AUDIENCE, ttlSeconds: 30, env: 'TOKEN_FILE' }],
      },
    ],
  });
  await eventually('the task to run', async () => (await theTask())?.state === 'running');
});
afterAll(() => berth?.stop());

async function theTask() {
  return (await berth.admin.tasks.list({ job: 'prover', role: 'eng/ml' })).items[0];
}

async function theContainer(): Promise<Docker.Container> {
  const [info] = await docker.listContainers({ filters: { label: [`io.berth.node=${agent.node}`] } });
  if (info === undefined) throw new Error('there is no container');
  return docker.getContainer(info.Id);
}

/** What a command says that runs in the container, as its user. */
async function inContainer(script: string): Promise<string> {
  const exec = await (await theContainer()).exec({
    Cmd: ['sh', '-c', `${script} 2>&1`],
    AttachStdout: true,
    Tty: true,
  });
  const stream = await exec.start({ Tty: true });
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  return text.trim();
}

const keys = () => createRemoteJWKSet(new URL(`${berth.address}/.well-known/jwks.json`));

it('reads a token that only it can read, and that others can verify', async () => {
  const token = await inContainer('cat "$TOKEN_FILE"');
  const { payload } = await jwtVerify(token, keys(), { audience: AUDIENCE });
  const task = await theTask();
  const cluster = berth.replica.ctx.mirror.snapshot.cluster?.id;
  expect(payload).toMatchObject({
    sub: `berth:${cluster}:role/eng/ml/job/prover/task/${task?.id}`,
    node: agent.node,
    group: 'main',
  });
  await expect(jwtVerify(token, keys(), { audience: 'https://else.example.com' })).rejects.toThrow('"aud"');
  expect(await inContainer(`stat -c "%a %u" ${FILE}; id -u`)).toMatch(/^400 1000\s+1000$/);
  expect(await inContainer(`echo x > ${FILE}.new`)).toMatch(/Read-only|Permission denied/);
  const whoami = await fetch(`${berth.address}/v1/auth/whoami`, { headers: { authorization: `Bearer ${token}` } });
  expect(whoami.status).toBe(401);
});

it('finds another one in its place in time, and after its agent was started anew', async () => {
  const first = await inContainer(`cat ${FILE}`);
  const second = await eventually('another token', async () => differing(first));
  const { payload } = await jwtVerify(second, keys(), { audience: AUDIENCE });
  expect(payload.exp).toBeGreaterThan(Date.now() / 1000);
  expect(await inContainer(`stat -c "%a %u" ${FILE}`)).toBe('400 1000');
  await agent.process.kill();
  agent.process.start();
  const third = await eventually('one of the next agent', async () => differing(second));
  await jwtVerify(third, keys(), { audience: AUDIENCE });
});

async function differing(before: string): Promise<string | false> {
  const now = await inContainer(`cat ${FILE}`);
  return now !== before && now !== '' ? now : false;
}

it('leaves nothing behind', async () => {
  const { Mounts } = await (await theContainer()).inspect();
  const folder = Mounts.find(({ Destination }) => Destination === '/run/berth/identity')?.Source ?? '';
  expect(existsSync(folder)).toBe(true);
  await berth.admin.jobs.stop({ role: 'eng/ml', name: 'prover' });
  await eventually('its folder to be gone', async () => !existsSync(folder));
});
