/** Trust policies and logins on the command line, against a whole replica and an issuer that isn't ours. */
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HttpResponse, http } from 'msw';
import { setupServer } from 'msw/node';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { credentialsFile, readCredentials, saveCredential } from '../../../control-plane/cli/credentials.ts';
import { idTokenSource } from '../../../control-plane/cli/oidc-login.ts';
import type { WhoamiView } from '../../../shared/protocol/policies.ts';
import { FakeIssuer } from '../../support/outside-issuer.ts';
import { type CliUnderTest, startCliUnderTest } from './replica-cli.ts';

const ISSUER = 'https://ci.example.com';
const AUDIENCE = 'https://berth.example.com';
const ADDRESS = 'http://berth.test';
const GITHUB_URL = 'https://pipelines.actions.example.com/token?api-version=2';
const POLICY = `
name: ci
issuer: ${ISSUER}
audience: ${AUDIENCE}
rules:
  - name: main
    claims: { repository_id: 1234, ref: refs/heads/main, event_name: [push, schedule] }
    roles: [prod]
    actions: ['job:*', 'status:read', 'policy:read']
`;
const CLAIMS = { repository_id: '1234', ref: 'refs/heads/main', event_name: 'push' };

const server = setupServer();
let issuer: FakeIssuer;
let cli: CliUnderTest;
let home = '';
let asked: string[] = [];

beforeAll(async () => {
  server.listen({ onUnhandledFrame: 'error' });
  issuer = await FakeIssuer.create(ISSUER, Date.now);
  server.use(...issuer.handlers);
  cli = await startCliUnderTest({ fetch: globalThis.fetch });
  expect(await cli.berth(['policy', 'apply', '-'], { stdin: POLICY })).toMatchObject({ code: 0 });
});
afterAll(async () => {
  await cli.stop();
  server.close();
});
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'berth-login-'));
  asked = [];
  server.use(
    http.get('https://pipelines.actions.example.com/token', async ({ request }) => {
      asked.push(`${request.headers.get('authorization')} ${new URL(request.url).search}`);
      const audience = new URL(request.url).searchParams.get('audience');
      return HttpResponse.json({ value: await issuer.token({ claims: { ...CLAIMS, aud: audience } }) });
    }),
  );
});
afterEach(() => rm(home, { recursive: true }));

/** Nobody's token but what the command itself finds. */
function bare(env: Record<string, string> = {}) {
  return { env: { HOME: home, BERTH_TOKEN: '', ...env } };
}

const IN_GITHUB = { ACTIONS_ID_TOKEN_REQUEST_URL: GITHUB_URL, ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'runner' };

describe('berth policy', () => {
  it('applies, lists, shows, applies again what was shown, and removes', async () => {
    const file = join(home, 'policy.yaml');
    await writeFile(file, `${POLICY.replace('name: ci', 'name: a')}---${POLICY.replace('name: ci', 'name: b')}`);
    const applied = await cli.berth(['policy', 'apply', file]);
    expect(applied).toMatchObject({ code: 0, err: 'policy a is created\npolicy b is created\n' });
    expect((await cli.berth(['policy', 'list', '-o', 'name'])).out).toBe('a\nb\nci\n');
    const shown = await cli.berth(['policy', 'show', 'a']);
    expect(shown.out).toMatch(/^Rule 0 \(main\) +gives job:\*, status:read, policy:read in prod, where$/m);
    expect(shown.out).toMatch(/^ {2}event_name +push or schedule$/m);
    const stdin = (await cli.berth(['policy', 'show', 'a', '-o', 'yaml'])).out;
    expect(await cli.berth(['policy', 'apply', '-'], { stdin })).toMatchObject({
      code: 0,
      err: 'policy a is as it was\n',
    });
    expect(await cli.berth(['policy', 'rm', 'a'])).toMatchObject({ code: 0 });
    await cli.berth(['policy', 'rm', 'b']);
    expect((await cli.berth(['policy', 'list', '-o', 'name'])).out).toBe('ci\n');
  });

  it('says where a file is wrong', async () => {
    const wrong = (text: string) => cli.berth(['policy', 'apply', '-'], { stdin: text });
    expect(await wrong('')).toMatchObject({ code: 2, err: expect.stringContaining('holds no policy') });
    expect(await wrong('issuer: x')).toMatchObject({ code: 2, err: expect.stringContaining('/name is required') });
    expect(await wrong('name: [')).toMatchObject({ code: 2 });
    const everybody = POLICY.replace(/claims:.*/, 'claims: {}').replace('name: ci', 'name: x');
    expect(await wrong(everybody)).toMatchObject({
      code: 2,
      err: expect.stringContaining('/rules/0/claims: would let in'),
    });
    expect(await wrong(POLICY.replace('audience', 'audiense'))).toMatchObject({
      code: 2,
      err: expect.stringContaining('did you mean "audience"?'),
    });
  });

  it('says of claims and of tokens what they would bring, and what is in the way', async () => {
    const claims = join(home, 'claims.json');
    await writeFile(
      claims,
      JSON.stringify({ iss: ISSUER, aud: AUDIENCE, ...CLAIMS, event_name: 'pull_request_target' }),
    );
    const tested = await cli.berth(['policy', 'test', '--claims', claims]);
    expect(tested).toMatchObject({ code: 1 });
    expect(tested.out).toContain('  Rule 0 (main) doesn\'t hold\n    + repository_id is "1234"');
    expect(tested.out).toContain(
      '    - event_name is "pull_request_target", and it has to be one of "push", "schedule"',
    );
    expect(tested.out).toContain('Nothing would be granted.');
    const token = join(home, 'token');
    await writeFile(token, await issuer.token({ claims: CLAIMS }));
    const genuine = await cli.berth(['policy', 'test', '--id-token-file', token]);
    expect(genuine).toMatchObject({
      code: 0,
      out: expect.stringContaining('Grants job:*, status:read, policy:read in prod'),
    });
    expect(await cli.berth(['policy', 'test', '--claims', '-'], { stdin: '[]' })).toMatchObject({ code: 2 });
  });
});

describe('berth login --oidc', () => {
  it('gets a token in a GitHub job, keeps it where only its owner reads it, and uses it until the logout', async () => {
    const world = bare({ ...IN_GITHUB, BERTH_AUDIENCE: AUDIENCE });
    const loggedIn = await cli.berth(['login', '--oidc'], world);
    expect(loggedIn).toMatchObject({
      code: 0,
      err: expect.stringContaining(`logged in to ${ADDRESS} as ${ISSUER}#repo:acme/app`),
    });
    expect(loggedIn.out).toMatch(/^prod +job:\*, status:read, policy:read$/m);
    expect(asked).toEqual([`bearer runner ?api-version=2&audience=${encodeURIComponent(AUDIENCE)}`]);
    const file = credentialsFile({ HOME: home });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const { token } = (await readCredentials({ HOME: home })).byAddress[ADDRESS] ?? { token: 'none' };
    expect(loggedIn.out + loggedIn.err).not.toContain(token);
    expect(await readFile(file, 'utf8')).not.toContain('runner');
    const who = JSON.parse((await cli.berth(['whoami', '-o', 'json'], bare())).out) as WhoamiView;
    expect(who).toMatchObject({ kind: 'user', subject: `${ISSUER}#repo:acme/app:ref:refs/heads/main` });
    expect(await cli.berth(['logout'], bare())).toMatchObject({ code: 0, err: `logged out of ${ADDRESS}\n` });
    expect(await cli.berth(['whoami'], bare())).toMatchObject({ code: 4 });
    expect(await cli.berth(['logout'], bare())).toMatchObject({ err: `nobody was logged in to ${ADDRESS}\n` });
  });

  it('takes the token of a GitLab job, of a variable or of a file, and asks for less', async () => {
    const token = await issuer.token({ claims: CLAIMS });
    await writeFile(join(home, 'token'), `${token}\n`);
    const less = ['--role', 'prod/web', '--action', 'job:read', '--ttl', '2m', '-o', 'json'];
    for (const [args, env] of [
      [[], { BERTH_ID_TOKEN: token }],
      [['--id-token-env', 'MINE'], { MINE: token }],
      [['--id-token-file', join(home, 'token')], {}],
    ] as const) {
      const { code, out } = await cli.berth(['login', '--oidc', ...args, ...less], bare(env));
      expect({ code, ...JSON.parse(out) }).toMatchObject({
        code: 0,
        grants: [{ roles: ['prod/web'], actions: ['job:read'] }],
      });
      expect(JSON.parse(out)).not.toHaveProperty('token');
    }
    const more = await cli.berth(['login', '--oidc', '--role', '*'], bare({ BERTH_ID_TOKEN: token }));
    expect(more).toMatchObject({ code: 4, err: expect.stringContaining('the role "*"') });
  });

  it('renews by itself what is about to end, and what was refused, where its source gives more', async () => {
    await cli.berth(['login', '--oidc', '--audience', AUDIENCE], bare(IN_GITHUB));
    const kept = (await readCredentials({ HOME: home })).byAddress[ADDRESS];
    if (kept === undefined) throw new Error('nothing was kept');
    const keep = (change: object) => saveCredential({ HOME: home }, ADDRESS, { ...kept, ...change });
    await keep({ expiresAtMs: Date.now() + 59_000 });
    expect(await cli.berth(['whoami'], bare(IN_GITHUB))).toMatchObject({ code: 0 });
    expect(asked).toHaveLength(2);
    await cli.berth(['whoami'], bare(IN_GITHUB));
    expect(asked).toHaveLength(2);
    const late = await issuer.token({ claims: { exp: 1 } });
    await keep({ token: late });
    expect(await cli.berth(['whoami'], bare(IN_GITHUB))).toMatchObject({ code: 0 });
    expect(asked).toHaveLength(3);
    await keep({ token: late });
    expect(await cli.berth(['whoami'], bare())).toMatchObject({ code: 4 });
  });

  it('goes where the last login went, unless something else is said', async () => {
    await cli.berth(['login', '--oidc', '--audience', AUDIENCE], bare(IN_GITHUB));
    expect(await cli.berth(['whoami'], bare({ BERTH_ADDR: '' }))).toMatchObject({ code: 0 });
    const sent: (string | null)[] = [];
    server.use(
      http.get('http://else.test/v1/auth/whoami', ({ request }) => {
        sent.push(request.headers.get('authorization'));
        return HttpResponse.json({}, { status: 401 });
      }),
    );
    await cli.berth(['whoami', '--address', 'http://else.test'], bare());
    expect(sent).toEqual([null]);
  });

  it.each<[string, readonly string[], Record<string, string>, string]>([
    ['nothing is at hand', [], {}, 'no token of an outside issuer is at hand'],
    ['GitHub is not told the audience', [], IN_GITHUB, 'no audience was given'],
    ['the variable is empty', ['--id-token-env', 'MINE'], {}, 'the variable MINE is not set'],
    ['the file is not there', ['--id-token-file', '/nowhere/token'], {}, "can't be read"],
    ['two are named', ['--id-token-file', 'x', '--id-token-env', 'y'], {}, 'were both given'],
    ['what is named holds something else', ['--id-token-env', 'MINE'], { MINE: 'two words' }, "isn't a token"],
  ])('says what is missing where %s', async (_name, args, env, message) => {
    const result = await cli.berth(['login', '--oidc', ...args], bare(env));
    expect(result).toMatchObject({ code: 2, err: expect.stringContaining(message) });
  });

  it('sends what GitHub gave it to nobody but GitHub', async () => {
    const env = { ...IN_GITHUB, ACTIONS_ID_TOKEN_REQUEST_URL: 'http://pipelines.actions.example.com/token' };
    const result = await cli.berth(['login', '--oidc', '--audience', AUDIENCE], bare(env));
    expect(result).toMatchObject({ code: 2, err: expect.stringContaining("isn't an https URL") });
    expect(asked).toEqual([]);
  });
});

describe('berth login by a person', () => {
  const PEOPLE = 'https://login.example.com';
  let people: FakeIssuer;
  /** What the issuer says to each look whether the code was confirmed. */
  let answers: (() => Promise<Response> | Response)[] = [];
  let looks: string[] = [];

  beforeAll(async () => {
    people = await FakeIssuer.create(PEOPLE, Date.now);
  });
  beforeEach(async () => {
    [answers, looks] = [[], []];
    const discovery = {
      ...people.discovery,
      device_authorization_endpoint: `${PEOPLE}/device`,
      token_endpoint: `${PEOPLE}/token`,
    };
    server.use(
      http.get(`${PEOPLE}/.well-known/openid-configuration`, () => HttpResponse.json(discovery)),
      ...people.handlers,
      http.post(`${PEOPLE}/device`, async ({ request }) => {
        looks.push(await request.text());
        const codes = { device_code: 'd1', user_code: 'WDJB-MJHT', verification_uri: `${PEOPLE}/activate` };
        return HttpResponse.json({ ...codes, expires_in: 60, interval: 0.01 });
      }),
      http.post(`${PEOPLE}/token`, async ({ request }) => {
        looks.push(await request.text());
        return (await answers.shift()?.()) as never;
      }),
    );
    const stdin = `{"name": "people", "issuer": "${PEOPLE}", "audience": "cli", "clientId": "cli", "rules": [
      {"claims": {"groups": "ops"}, "roles": ["*"], "actions": ["job:read"]}]}`;
    expect(await cli.berth(['policy', 'apply', '-'], { stdin })).toMatchObject({ code: 0 });
  });
  afterEach(() => cli.berth(['policy', 'rm', 'people']));

  const pending = () => HttpResponse.json({ error: 'authorization_pending' }, { status: 400 });
  const confirmed = async (claims: object = {}) =>
    HttpResponse.json({
      id_token: await people.token({ claims: { aud: 'cli', sub: 'alice', groups: ['ops'], ...claims } }),
    });

  it('shows a code, waits until it is confirmed, and keeps what it brings', async () => {
    answers = [pending, pending, () => confirmed()];
    const loggedIn = await cli.berth(['login'], bare());
    expect(loggedIn).toMatchObject({
      code: 0,
      err: expect.stringContaining(`${PEOPLE}/activate in a browser and enter the code WDJB-MJHT`),
    });
    expect(looks).toHaveLength(4);
    expect(looks[0]).toBe('client_id=cli&scope=openid');
    expect(new URLSearchParams(looks[1]).get('device_code')).toBe('d1');
    expect((await cli.berth(['whoami', '-o', 'name'], bare())).out).toBe(`${PEOPLE}#alice\n`);
    expect((await readCredentials({ HOME: home })).byAddress[ADDRESS]?.renewal).toBe(null);
  });

  it.each<[string, () => Promise<Response> | Response, string]>([
    ['is refused', () => HttpResponse.json({ error: 'access_denied' }, { status: 400 }), 'access_denied'],
    ['comes too late', () => HttpResponse.json({ error: 'expired_token' }, { status: 400 }), 'expired_token'],
    ['brings no token', () => HttpResponse.json({}), 'lacks id_token'],
    ['is somebody whom nothing is granted to', () => confirmed({ groups: [] }), 'nothing is granted'],
  ])('says so when who confirms %s', async (_name, answer, message) => {
    answers = [pending, answer];
    expect(await cli.berth(['login'], bare())).toMatchObject({ code: 4, err: expect.stringContaining(message) });
    expect((await readCredentials({ HOME: home })).byAddress).toEqual({});
  });

  it('needs an issuer that offers it, and to know which', async () => {
    server.use(http.get(`${PEOPLE}/.well-known/openid-configuration`, () => HttpResponse.json(people.discovery)));
    expect(await cli.berth(['login'], bare())).toMatchObject({
      err: expect.stringContaining('offers no login for devices'),
    });
    const none = await cli.berth(['login', '--policy', 'ci'], bare());
    expect(none).toMatchObject({ code: 2, err: expect.stringContaining('no issuer that a person can log in to') });
    const stdin = (await cli.berth(['policy', 'show', 'people', '-o', 'json'])).out.replace('"people"', '"people-2"');
    await cli.berth(['policy', 'apply', '-'], { stdin });
    const several = await cli.berth(['login'], bare());
    expect(several).toMatchObject({ code: 2, err: expect.stringContaining(`people-2: ${PEOPLE}`) });
    await cli.berth(['policy', 'rm', 'people-2']);
  });
});

describe('a file of credentials', () => {
  it.each(['', '{', '[]', '{"byAddress": {"http://berth.test": {"token": 5}}}'])(
    'that holds %j holds nothing',
    async (text) => {
      await saveCredential({ HOME: home }, ADDRESS, { token: 't', expiresAtMs: 1, renewal: null });
      await writeFile(credentialsFile({ HOME: home }), text);
      expect((await readCredentials({ HOME: home })).byAddress).toEqual({});
    },
  );

  it('prefers what was named over what the system offers', () => {
    expect(idTokenSource({ idTokenEnv: 'MINE' }, { ...IN_GITHUB, BERTH_ID_TOKEN: 't' })).toEqual({
      kind: 'env',
      name: 'MINE',
    });
  });
});
