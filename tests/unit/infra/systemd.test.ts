import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const FOLDER = join(import.meta.dirname, '../../../infra/systemd');
const UNITS = ['berth-control-plane.service', 'berth-agent.service'];

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-units-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function read(name: string): Promise<string> {
  return readFile(join(FOLDER, name), 'utf8');
}

function settingsOf(unit: string): Map<string, string[]> {
  const lines = unit.split('\n').filter((line) => /^\w+=/.test(line));
  return Map.groupBy(lines, (line) => line.slice(0, line.indexOf('='))) as Map<string, string[]>;
}

/** The unit with a program and a user that this machine has. Null: it has no systemd. */
async function analyze(name: string, args: readonly string[]): Promise<string | null> {
  const unit = (await read(name)).replaceAll('/opt/berth/control-plane/cli/berth', '/bin/true');
  const file = join(folder, name);
  await writeFile(file, unit.replace(/^User=.*/m, 'User=daemon').replace(/^SupplementaryGroups=.*/m, ''));
  return promisify(execFile)('systemd-analyze', [...args, file]).then(
    ({ stdout, stderr }) => stdout + stderr,
    (error: NodeJS.ErrnoException & { stdout?: string; stderr?: string }) =>
      error.code === 'ENOENT' ? null : `${error.stdout}${error.stderr}${error.message}`,
  );
}

describe.each(UNITS)('%s', (name) => {
  it('runs as a user of its own that can gain nothing and change nothing but its state', async () => {
    const settings = settingsOf(await read(name));
    const wanted = ['NoNewPrivileges=yes', 'ProtectSystem=strict', 'ProtectHome=yes', 'RestrictSUIDSGID=yes'];
    for (const line of wanted) expect(settings.get(line.slice(0, line.indexOf('=')))).toEqual([line]);
    const [user = ''] = settings.get('User') ?? [];
    expect(await read('berth.sysusers.conf')).toContain(`u ${user.replace('User=', '')} `);
    expect(settings.get('StateDirectory')).toHaveLength(1);
  });

  it('is understood by systemd, and exposed to little', async () => {
    const verified = await analyze(name, ['verify', '--man=no']);
    if (verified === null) return;
    expect(verified).toBe('');
    const judged = (await analyze(name, ['security', '--offline=true', '--no-pager'])) ?? '';
    expect(Number(/Overall exposure level for \S+ ([\d.]+)/.exec(judged)?.[1])).toBeLessThan(3);
  });
});

describe('the rights of each', () => {
  it('are none for the control plane, and to end processes for the agent', async () => {
    const capabilities = async (name: string) => settingsOf(await read(name)).get('CapabilityBoundingSet');
    expect(await capabilities('berth-control-plane.service')).toEqual(['CapabilityBoundingSet=']);
    expect(await capabilities('berth-agent.service')).toEqual(['CapabilityBoundingSet=CAP_KILL']);
  });

  it('leave what an agent has started running when it is stopped', async () => {
    expect(await read('berth-agent.service')).toContain('\nKillMode=process\n');
  });
});
