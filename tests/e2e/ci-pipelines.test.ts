/** The pipelines that are shipped, step by step in a real shell: a real command line, a real container, and issuers that aren't ours. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { PolicyRequestInput } from '../../shared/protocol/policies.ts';
import { FakeIssuer } from '../support/outside-issuer.ts';
import { type OwnReplica, startOwnReplica } from '../support/own-replica.ts';

const ROOT = new URL('../../', import.meta.url);
const GITHUB = 'https://token.actions.githubusercontent.com';
const GITLAB = 'https://gitlab.com';
const OF_GITHUB = {
  repository_owner_id: '65',
  repository_id: '74',
  ref: 'refs/heads/main',
  ref_type: 'branch',
  ref_protected: 'true',
  environment: 'production',
  event_name: 'push',
  workflow_ref: 'octo-org/octo-repo/.github/workflows/berth.yml@refs/heads/main',
};
const OF_GITLAB = {
  namespace_id: '72',
  project_id: '20',
  ref: 'main',
  ref_type: 'branch',
  ref_protected: 'true',
  environment: 'production',
  environment_protected: 'true',
  pipeline_source: 'push',
};

let berth: OwnReplica;
let github: FakeIssuer;
let gitlab: FakeIssuer;
/** Where GitHub's runner asks for tokens; what it would say of the job. */
let runner: Server;
let claims: Record<string, string> = OF_GITHUB;
let folder = '';

beforeAll(async () => {
  [github, gitlab] = (await Promise.all([GITHUB, GITLAB].map((url) => FakeIssuer.create(url, Date.now)))) as [
    FakeIssuer,
    FakeIssuer,
  ];
  berth = await startOwnReplica({ fetch: async (url) => answerOf(String(url)) });
  await applyTemplate('github-actions.yaml', { owner: '65', repository: '74' });
  await applyTemplate('gitlab-ci.yaml', { group: '72', project: '20' });
  await berth.addAgent('ci');
  runner = createServer(async (request, response) => {
    const audience = new URL(request.url ?? '', 'http://x').searchParams.get('audience');
    const isJob = request.headers.authorization === 'bearer of-the-job';
    response.statusCode = isJob ? 200 : 401;
    response.end(JSON.stringify({ value: await github.token({ claims: { ...claims, aud: audience } }) }));
  });
  runner.listen(0, '127.0.0.1');
  await once(runner, 'listening');
  folder = mkdtempSync(join(tmpdir(), 'berth-ci-'));
  symlinkSync(new URL('control-plane/cli/berth', ROOT).pathname, join(folder, 'berth'));
});
afterAll(async () => {
  runner?.close();
  await berth?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function answerOf(url: string): Promise<Response> {
  const issuer = [github, gitlab].find((each) => url.startsWith(each.url));
  if (issuer === undefined) throw new TypeError(`nothing answers at ${url}`);
  return Response.json(url.endsWith('/keys') ? await issuer.keySet() : issuer.discovery);
}

/** A policy as it is shipped, with ids filled in. */
async function applyTemplate(file: string, ids: Record<string, string>): Promise<void> {
  const text = readFileSync(new URL(`infra/trust/${file}`, ROOT), 'utf8');
  const filled = text.replace(/<id of the (\w+)>/g, (_all, what: string) => ids[what] ?? '');
  const { name, ...policy } = parse(filled) as { name: string } & PolicyRequestInput;
  await berth.admin.policies.set(name, policy);
}

interface Ran {
  readonly code: number | null;
  readonly output: string;
}

async function step(script: string, env: Record<string, string>): Promise<Ran> {
  const child = spawn('sh', ['-eu', '-c', script], {
    cwd: folder,
    env: { PATH: `${folder}:${process.env['PATH']}`, HOME: join(folder, 'home'), NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output };
}

/** As a pipeline runs its steps: until one fails. */
async function pipeline(scripts: readonly string[], env: Record<string, string>): Promise<Ran> {
  let output = '';
  for (const script of scripts) {
    const ran = await step(script, env);
    output += ran.output;
    if (ran.code !== 0) return { code: ran.code, output };
  }
  return { code: 0, output };
}

/** What the repository has in its berth.yaml. */
function jobThat(script: string): void {
  const group = {
    image: 'berth/busybox:local',
    command: ['sh', '-c', script],
    network: 'none',
    resources: { cpus: 0.1, memMiB: 32 },
  };
  const name = `ci-${Math.random().toString(36).slice(2, 8)}`;
  writeFileSync(join(folder, 'berth.yaml'), JSON.stringify({ name, role: 'prod', groups: [group] }));
}

function inGithub(): { scripts: readonly string[]; env: Record<string, string> } {
  const text = readFileSync(new URL('infra/ci/github-actions.yml', ROOT), 'utf8');
  const { jobs } = parse(text) as {
    jobs: { run: { env: Record<string, string>; steps: readonly { run?: string; if?: string }[] } };
  };
  const { port } = runner.address() as AddressInfo;
  const scripts = jobs.run.steps.flatMap(({ run, if: condition }) =>
    run === undefined || condition !== undefined ? [] : [run],
  );
  const asked = {
    ACTIONS_ID_TOKEN_REQUEST_URL: `http://127.0.0.1:${port}/?api-version=2.0`,
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'of-the-job',
  };
  return { scripts, env: { ...jobs.run.env, ...asked, BERTH_ADDR: berth.address } };
}

async function inGitlab(change: object = {}): Promise<{ scripts: readonly string[]; env: Record<string, string> }> {
  const text = readFileSync(new URL('infra/ci/gitlab-ci.yml', ROOT), 'utf8');
  const job = parse(text)['run-on-berth'] as { script: string[]; id_tokens: Record<string, { aud: string }> };
  const tokens = Object.entries(job.id_tokens).map(async ([name, { aud }]) => {
    return [name, await gitlab.token({ claims: { ...OF_GITLAB, aud, ...change } })] as const;
  });
  return { scripts: job.script, env: { ...Object.fromEntries(await Promise.all(tokens)), BERTH_ADDR: berth.address } };
}

describe.each(['GitHub', 'GitLab'] as const)('a pipeline of %s', (system) => {
  const world = async () => (system === 'GitHub' ? inGithub() : await inGitlab());

  it.each([0, 3])('shows what the job says, and ends with its exit code %i', async (code) => {
    jobThat(`echo "the job says $((40 + 2))"; exit ${code}`);
    const { scripts, env } = await world();
    const ran = await pipeline(scripts, env);
    expect(ran).toMatchObject({ code, output: expect.stringContaining('the job says 42') });
    expect(ran.output).not.toContain('eyJ');
    expect(await step('berth logout', env)).toMatchObject({ code: 0, output: `logged out of ${berth.address}\n` });
  });
});

describe('a pipeline', () => {
  it('of a pull request of a fork gets in nowhere', async () => {
    jobThat('exit 0');
    claims = { ...OF_GITHUB, event_name: 'pull_request_target' };
    const { scripts, env } = inGithub();
    const ran = await pipeline(scripts, env).finally(() => {
      claims = OF_GITHUB;
    });
    expect(ran).toMatchObject({ code: 4, output: expect.stringContaining('nothing is granted to') });
    const merge = await inGitlab({ pipeline_source: 'merge_request_event' });
    expect(await pipeline(merge.scripts, merge.env)).toMatchObject({ code: 4 });
  });

  it('that is allowed less says what it may not do', async () => {
    jobThat('exit 0');
    claims = { ...OF_GITHUB, environment: 'staging' };
    const { scripts, env } = inGithub();
    const ran = await pipeline(scripts, env).finally(() => {
      claims = OF_GITHUB;
    });
    expect(ran).toMatchObject({ code: 125, output: expect.stringContaining('doesn\'t reach the role "prod"') });
    await step('berth logout', env);
  });
});
