/** Tokens and signing keys on the command line. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodeOf } from '../../support/replica.ts';
import { type CliUnderTest, startCliUnderTest } from './replica-cli.ts';

let cli: CliUnderTest;
beforeAll(async () => {
  cli = await startCliUnderTest();
});
afterAll(() => cli.stop());

const token = (...args: string[]) => cli.berth(['token', ...args]);

async function made(...args: string[]): Promise<{ text: string; id: string }> {
  const { code, out, err } = await token('create', ...args);
  expect(code).toBe(0);
  return { text: out.trim(), id: /^token (\S+) for /.exec(err)?.[1] ?? '' };
}

const codeOf = async (text: string) => (await cli.berth(['status', '--token', text])).code;

describe('a token', () => {
  const reader = ['--role', '*', '--action', 'status:read'];

  it.each([
    ['by its id', ({ id }: { id: string }) => id],
    ['as a whole', ({ text }: { text: string }) => text],
  ])('is revoked %s, and refused from then on', async (_how, nameOf) => {
    const one = await made('reader', ...reader);
    expect(await codeOf(one.text)).toBe(0);
    const revoked = await token('revoke', nameOf(one), '--reason', 'lost');
    expect(revoked).toMatchObject({ code: 0, out: expect.stringContaining(`token ${one.id} is revoked`) });
    expect(await codeOf(one.text)).toBe(4);
    expect((await token('list')).out).toMatch(new RegExp(`^revoked +${one.id} .* lost$`, 'm'));
  });

  it('is revoked by its own holder without a right', async () => {
    const [mine, other] = [await made('mine', ...reader), await made('other', ...reader)];
    expect((await token('revoke', other.id, '--token', mine.text)).code).toBe(4);
    expect((await token('revoke', mine.id, '--token', mine.text)).code).toBe(0);
  });

  it('says what it says of itself, without anybody being asked', async () => {
    const { text, id } = await made('reader', ...reader);
    const { code, out } = await cli.berth(['token', 'inspect', text, '--address', 'http://nowhere.test']);
    expect(code).toBe(0);
    expect(out).toMatch(new RegExp(`^jti +${id}$`, 'm'));
    expect(out).toMatch(/^exp +\d{4}-\d\d-\d\dT\S+Z$/m);
    expect(out).toMatch(/^alg +EdDSA$/m);
    expect((await token('inspect', '-o', 'name')).out.trim()).not.toBe(id);
    expect(await token('inspect', 'a.b')).toMatchObject({ code: 2, err: expect.stringContaining('this is no token') });
  });
});

describe('tokens that were issued before', () => {
  it('are revoked by subject, and others are not', async () => {
    const [ci, other] = [
      await made('ci', '--role', '*', '--action', 'status:read'),
      await made('x', '--role', '*', '--action', 'status:read'),
    ];
    const revoked = await token('revoke', '--subject', 'ci', '--before', 'now');
    expect(revoked).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^tokens of ci that were issued before \S+Z are/),
    });
    expect([await codeOf(ci.text), await codeOf(other.text)]).toEqual([4, 0]);
  });

  it.each([
    [[], 'say which tokens'],
    [['--before', 'now'], 'say which tokens'],
    [['--subject', 'a', '--node', 'b'], 'say which tokens'],
    [['abc', '--all'], 'not both'],
    [['abc', '--before', 'now'], 'not both'],
    [['--all', '--before', 'tomorrow'], 'or say now'],
    [['--kind', 'robot'], 'Allowed choices are user, join, node, peer'],
    [['a.b.c'], 'this is no token'],
  ])('are not told by %j', async (args, message) => {
    expect(await token('revoke', ...args)).toMatchObject({ code: 2, err: expect.stringContaining(message) });
  });
});

describe('a token to join with', () => {
  it('is listed with its uses and who came last', async () => {
    const joining = await made('rack-7', '--join', '--uses', '2', '--node-pattern', 'edge-[0-9]');
    const register = (node: string) =>
      cli.post('/v1/agent/register', joining.text, { node: nodeOf(node), seen: null, tasks: [] });
    expect((await register('edge-1')).status).toBe(200);
    expect((await register('other')).status).toBe(403);
    expect((await token('list', '--join')).out).toMatch(
      new RegExp(`^join +${joining.id} +rack-7, nodes edge-\\[0-9\\] +1 of 2 +edge-1 +tester `, 'm'),
    );
    expect((await token('list', '--join', '-o', 'name')).out).toBe(`${joining.id}\n`);
    expect((await token('create', 'x', '--uses', '2')).err).toContain('is for a token of the kind join');
  });
});

describe('signing keys', () => {
  it('are listed, followed, and retired only by who says so', async () => {
    expect((await cli.berth(['key', 'list'])).out).toMatch(/^1 +signing +/m);
    const { out } = await cli.berth(['key', 'rotate', '-o', 'name']);
    const next = out.trim();
    expect((await cli.berth(['key', 'rotate'])).out).toMatch(new RegExp(`^key ${next} signs from \\S+Z on$`, 'm'));
    expect((await cli.berth(['key', 'list'])).out).toMatch(new RegExp(`^${next} +next `, 'm'));
    expect(await cli.berth(['key', 'retire', next])).toMatchObject({ code: 2, err: expect.stringContaining('--now') });
    const retired = await cli.berth(['key', 'retire', next, '--now', '--reason', 'leaked']);
    expect(retired).toMatchObject({ code: 0, out: `key ${next} is retired, and all that it has signed\n` });
    expect((await cli.berth(['key', 'list'])).out).toMatch(new RegExp(`^${next} +retired .* by tester: leaked$`, 'm'));
    expect((await cli.berth(['key', 'retire', 'nope', '--now'])).code).toBe(1);
  });
});
