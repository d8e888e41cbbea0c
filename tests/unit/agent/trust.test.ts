import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keptTrust, trustFaults } from '../../../node-agent/adapters/control-plane/trust.ts';
import { parseOptions } from '../../../node-agent/config/options.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-trust-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const NONE = { ca: null, clientCert: null, clientKey: null };

describe('whom an agent trusts', () => {
  it('is what the system trusts unless it is said otherwise', () => {
    expect(keptTrust(NONE, () => 0)()).toEqual({});
    expect(trustFaults(NONE)).toEqual([]);
  });

  it('is read again after a minute, and stays as it was while it can not be read', async () => {
    const ca = join(folder, 'ca.pem');
    await writeFile(ca, 'first');
    let nowMs = 0;
    const trust = keptTrust({ ...NONE, ca }, () => nowMs);
    await writeFile(ca, 'second');
    nowMs = 59_999;
    expect(trust()).toEqual({ ca: 'first' });
    nowMs = 60_000;
    expect(trust()).toEqual({ ca: 'second' });
    await rm(ca);
    nowMs = 120_000;
    expect(trust()).toEqual({ ca: 'second' });
  });

  it('is told by the names of settings where files are wrong', async () => {
    const ca = join(folder, 'ca.pem');
    await writeFile(ca, 'nothing');
    expect(trustFaults({ ca, clientCert: '/none', clientKey: null })).toEqual([
      `--ca can't be used: ${ca} holds nothing in PEM`,
      expect.stringMatching(/^--client-cert can't be used: ENOENT/),
    ]);
  });

  it.each([['--client-cert'], ['--client-key']])('needs more than %s', (flag) => {
    const parsed = parseOptions(['--control-plane', 'https://berth.example', flag, 'a.pem'], {});
    expect(parsed).toMatchObject({
      type: 'faulty',
      faults: [expect.stringContaining('a certificate and its key go together')],
    });
  });

  it('is set by options, or in the environment', () => {
    const env = { BERTH_CA: '/ca.pem', BERTH_CLIENT_CERT: '/c.pem', BERTH_CLIENT_KEY: '/k.pem' };
    const parsed = parseOptions(['--control-plane', 'https://berth.example', '--ca', '/own.pem'], env);
    expect(parsed).toMatchObject({ options: { trust: { ca: '/own.pem', clientCert: '/c.pem', clientKey: '/k.pem' } } });
  });
});
