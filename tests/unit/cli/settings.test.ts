import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { contextFile, freshToken, resolveSettings, tokenFileOf } from '../../../control-plane/cli/settings.ts';

let home = '';
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'berth-settings-'));
});
afterEach(() => rm(home, { recursive: true }));

async function saveContext(text: string): Promise<void> {
  const file = contextFile({ HOME: home });
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
}

const SAVED = JSON.stringify({ address: 'http://saved:1', token: 'saved-token' });

describe('where the control plane is', () => {
  it('is the default where nothing says otherwise', async () => {
    expect(await resolveSettings({}, { HOME: home })).toMatchObject({ address: 'http://127.0.0.1:7878', token: null });
  });

  it('is what the context file says, with its token', async () => {
    await saveContext(SAVED);
    expect(await resolveSettings({}, { HOME: home })).toMatchObject({
      address: 'http://saved:1',
      token: 'saved-token',
    });
  });

  it('is what the environment says before that, and the flag before all', async () => {
    await saveContext(SAVED);
    const env = { HOME: home, BERTH_ADDR: 'http://env:1/', BERTH_TOKEN: 'env-token' };
    expect(await resolveSettings({}, env)).toMatchObject({ address: 'http://env:1', token: 'env-token' });
    const flags = { address: 'https://flag:1/prefix/', token: 'flag-token' };
    expect(await resolveSettings(flags, env)).toMatchObject({ address: 'https://flag:1/prefix', token: 'flag-token' });
  });

  it('never gets the token of another address', async () => {
    await saveContext(SAVED);
    expect(await resolveSettings({ address: 'http://elsewhere:1' }, { HOME: home })).toMatchObject({ token: null });
    expect(await resolveSettings({ address: 'http://saved:1/' }, { HOME: home })).toMatchObject({
      token: 'saved-token',
    });
  });

  it.each(['localhost:7878', 'ftp://a', 'nonsense', 'http://user@host', 'http://host?x=1'])(
    'can not be %s',
    async (address) => {
      await expect(resolveSettings({ address }, { HOME: home })).rejects.toMatchObject({ exitCode: 2 });
    },
  );
});

describe('whose certificate the control plane shows', () => {
  const system = { caFile: null, certFile: null, keyFile: null };

  it('is up to the system, unless a flag or the environment names an authority', async () => {
    expect((await resolveSettings({}, { HOME: home })).trust).toEqual(system);
    const env = { HOME: home, BERTH_CA: '/env.pem', BERTH_CLIENT_CERT: '/cert.pem', BERTH_CLIENT_KEY: '/key.pem' };
    const named = { caFile: '/env.pem', certFile: '/cert.pem', keyFile: '/key.pem' };
    expect((await resolveSettings({}, env)).trust).toEqual(named);
    expect((await resolveSettings({ ca: '/flag.pem' }, env)).trust).toEqual({ ...named, caFile: '/flag.pem' });
  });

  it('is what stands beside the address in the context file, and says nothing of others', async () => {
    await saveContext(JSON.stringify({ address: 'https://saved:1', token: 'saved-token', ca: '/saved.pem' }));
    expect((await resolveSettings({}, { HOME: home })).trust).toEqual({ ...system, caFile: '/saved.pem' });
    expect((await resolveSettings({ address: 'https://other:1' }, { HOME: home })).trust).toEqual(system);
  });
});

describe('a token', () => {
  it('may stand in a file, with a line break at its end', async () => {
    const tokenFile = join(home, 'token');
    await writeFile(tokenFile, 'file-token\n');
    expect(await resolveSettings({ tokenFile }, { HOME: home })).toMatchObject({ token: 'file-token' });
    expect(await resolveSettings({}, { HOME: home, BERTH_TOKEN_FILE: tokenFile })).toMatchObject({
      token: 'file-token',
    });
  });

  it.each([
    ['of two words', { token: 'two words' }, /isn't a token/],
    ['of nothing', { token: '' }, /isn't a token/],
    ['in a file that is not there', { tokenFile: '/nowhere/token' }, /--token-file/],
    ['given twice', { token: 'a', tokenFile: 'b' }, /both given/],
  ])('%s is refused', async (_what, flags, message) => {
    await expect(resolveSettings(flags, { HOME: home })).rejects.toThrow(message);
  });
});

describe('a context file', () => {
  it.each(['', '{', '[]', '{"address": "http://a"}', '{"address": 5, "token": "x"}'])(
    'that says %j is refused',
    async (text) => {
      await saveContext(text);
      await expect(resolveSettings({}, { HOME: home })).rejects.toThrow(/isn't a context file/);
    },
  );
});

describe('a token that has ended', () => {
  it('is read again where it was read', async () => {
    const tokenFile = join(home, 'token');
    await writeFile(tokenFile, 'first');
    const settings = await resolveSettings({ tokenFile }, { HOME: home });
    await writeFile(tokenFile, 'second\n');
    expect(await freshToken(settings, { tokenFile }, { HOME: home })).toBe('second');
    await rm(tokenFile);
    expect(await freshToken(settings, { tokenFile }, { HOME: home })).toBeNull();
  });

  it('gives way to the one that is saved now, unless that is for another address', async () => {
    await saveContext(SAVED);
    const settings = await resolveSettings({}, { HOME: home });
    await saveContext(JSON.stringify({ address: 'http://saved:1', token: 'next' }));
    expect(await freshToken(settings, {}, { HOME: home })).toBe('next');
    await saveContext(JSON.stringify({ address: 'http://other:1', token: 'not for saved' }));
    expect(await freshToken(settings, {}, { HOME: home })).toBeNull();
  });

  it.each([
    [{ tokenFile: '/flag' }, { BERTH_TOKEN: 't', BERTH_TOKEN_FILE: '/env' }, '/flag'],
    [{}, { BERTH_TOKEN_FILE: '/env' }, '/env'],
    [{}, { BERTH_TOKEN: 't', BERTH_TOKEN_FILE: '/env' }, null],
    [{ token: 't' }, { BERTH_TOKEN_FILE: '/env' }, null],
    [{}, { BERTH_TOKEN_FILE: '' }, null],
  ])('by %j and %j comes from the file %j', (flags, env, file) => expect(tokenFileOf(flags, env)).toBe(file));
});
