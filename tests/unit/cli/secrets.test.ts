/** Secrets on the command line: a value goes in by every way but an argument, and comes out by none. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CryptoRandom } from '../../../control-plane/adapters/random/crypto-random.ts';
import { Envelope } from '../../../control-plane/auth/envelope.ts';
import { caughtUp } from '../../support/replica.ts';
import { type CliUnderTest, startCliUnderTest } from './replica-cli.ts';

const VALUE = 'correct-horse-battery-staple';

let cli: CliUnderTest;
let folder: string;
beforeAll(async () => {
  cli = await startCliUnderTest();
  folder = await mkdtemp(join(tmpdir(), 'berth-secret-'));
});
afterAll(async () => {
  await cli.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Runs it, and sees to it that it doesn't say what no command may. */
async function berth(args: readonly string[], world: Parameters<CliUnderTest['berth']>[1] = {}) {
  const ran = await cli.berth(['secret', ...args], world);
  await caughtUp(cli.ctx);
  expect(ran.out + ran.err).not.toContain(VALUE);
  return ran;
}

describe('berth secret', () => {
  it('sets what is typed, piped or in a file; lists it; removes it', async () => {
    const typed = await berth(['set', 'db-password', '--role', 'eng'], { typed: VALUE });
    expect(typed).toEqual({
      code: 0,
      out: '',
      err: 'What secret eng/db-password is to say: \nsecret eng/db-password is at version 1\n',
    });
    const piped = await berth(['set', 'eng/db-password'], { stdin: `${VALUE}\n` });
    expect(piped.err).toBe('secret eng/db-password is at version 2; its last letter is a line feed\n');
    await writeFile(join(folder, 'key'), new Uint8Array([0, 255, 254]));
    const shown = await berth(['set', 'key', '--from-file', join(folder, 'key'), '-o', 'json']);
    expect(JSON.parse(shown.out)).toMatchObject({ name: 'key', role: 'default', version: 1, isText: false });
    const listed = await berth(['list']);
    expect(listed.out).toMatch(/^db-password +eng +2 .* tester +k1\.[0-9a-f]{8} +-$/m);
    expect((await berth(['list', '-o', 'name'])).out).toBe('key\neng/db-password\n');
    expect((await berth(['list', '--role', 'eng', '-o', 'name'])).out).toBe('eng/db-password\n');
    expect(await berth(['rm', 'eng/db-password'])).toMatchObject({
      code: 0,
      err: expect.stringContaining('is removed'),
    });
    expect(await berth(['rm', 'eng/db-password'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('no secret'),
    });
  });

  it.each<[string, readonly string[], Parameters<CliUnderTest['berth']>[1], string]>([
    ['a value among the arguments', ['set', 'a', 'b'], {}, 'too many arguments'],
    ['no text', ['set', 'a'], { stdin: 'a\ufffdb' }, 'standard input is no text'],
    ['no file', ['set', 'a', '--from-file', '/no/such/file'], {}, "the file can't be read"],
    ['nothing', ['set', 'a'], { stdin: '' }, 'must not be empty'],
    ['no name', ['set', 'A'], { stdin: VALUE }, 'lower-case letters'],
  ])('refuses %s', async (_what, args, world, why) => {
    const ran = await berth(args, world);
    expect([ran.code === 0, ran.err]).toEqual([false, expect.stringContaining(why)]);
  });

  it('says that everything is under the first key, and in the status what there is', async () => {
    await berth(['set', 'other'], { stdin: VALUE });
    expect((await berth(['reseal'])).err).toMatch(/^0 records sealed anew under k1\.[0-9a-f]{8}, 0 left$/m);
    expect((await cli.berth(['status'])).out).toMatch(/^Secrets +2$/m);
  });

  it('makes envelope keys that a replica can be started with', async () => {
    const { code, out } = await berth(['keygen', '--name', 'mine']);
    expect([code, out]).toEqual([0, expect.stringMatching(/^mine [A-Za-z0-9+/]{43}=\n$/)]);
    expect((await Envelope.read(out, new CryptoRandom())).current).toMatch(/^mine\.[0-9a-f]{8}$/);
    expect((await berth(['keygen'])).out).toMatch(/^\d{4}-\d\d-\d\d [A-Za-z0-9+/]{43}=\n$/);
    expect((await berth(['keygen', '--name', 'a b'])).code).toBe(2);
  });
});
