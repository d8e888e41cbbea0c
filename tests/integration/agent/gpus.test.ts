/** An agent on a machine with GPUs, played by a script in place of nvidia-smi, and an engine that has no NVIDIA runtime. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { GroupSpec } from '../../../shared/domain/job.ts';
import { aGroup } from '../../support/builders.ts';
import { playProgram } from '../../support/played-program.ts';
import { AgentUnderTest } from './agent-process.ts';

const TABLE = `0, GPU-0a, NVIDIA H100 80GB HBM3, 81559, 580.159.04, Disabled
1, GPU-1b, NVIDIA H100 80GB HBM3, 81559, 580.159.04, Disabled`;

let agent: AgentUnderTest;
let bin: string;

beforeEach(async () => {
  agent = await AgentUnderTest.make();
  bin = await mkdtemp(join(tmpdir(), 'berth-bin-'));
  agent.env['BERTH_GPUS'] = 'all';
  agent.env['PATH'] = `${bin}:${process.env['PATH']}`;
});
afterEach(async () => {
  await agent.dispose();
  await rm(bin, { recursive: true, force: true });
});

const playNvidiaSmi = (script: string) => playProgram(bin, 'nvidia-smi', script);

const playTable = () => playNvidiaSmi(`cat <<'END'\n${TABLE}\nEND`);

const withGpus = (gpus: number): Partial<GroupSpec> => ({
  args: ['sh', '-c', 'echo $NVIDIA_VISIBLE_DEVICES; exit 7'],
  resources: { ...aGroup().resources, cpus: 0.5, memMiB: 32, gpus },
});

async function registered() {
  const request = await agent.until('the registration', () => agent.controlPlane.registrations[0] ?? null);
  return request.node;
}

describe('an agent on a machine with GPUs', () => {
  it('tells which there are, and within what its operator names', async () => {
    await playTable();
    agent.start('--gpus', '1');
    const card = { product: 'NVIDIA H100 80GB HBM3', memoryMiB: 81_559, driver: '580.159.04', parent: null };
    expect(await registered()).toMatchObject({ gpus: [{ ...card, id: 'GPU-1b' }], resources: { gpus: 1 } });
  });

  it('refuses to start with one that is not there, and says what there is', async () => {
    await playTable();
    const child = agent.start('--gpus', '0,GPU-2c');
    expect(await new Promise((resolve) => child.once('exit', resolve))).toBe(2);
    expect(agent.log).toContain(
      "--gpus names GPU-2c, which isn't there; there are: 0 (GPU-0a, NVIDIA H100 80GB HBM3), 1",
    );
  });

  it('joins without any while the driver does not answer, and says so', async () => {
    await playNvidiaSmi("echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18");
    agent.start();
    expect(await registered()).toMatchObject({ gpus: [], resources: { gpus: 0 } });
    expect(agent.log).toContain('Driver/library version mismatch');
  });

  it('ends a task that the engine can give none, and says what to install', async () => {
    await playTable();
    const task = agent.assign('gpu', withGpus(1), { devices: ['GPU-1b'] });
    agent.start();
    const end = await agent.ended(task);
    expect(end).toMatchObject({ state: 'error', reason: 'engine-error' });
    expect(end.message).toContain('nvidia-container-toolkit');
    expect(end.message).toContain('could not select device driver "nvidia"');
    expect(await agent.containers()).toEqual([]);
  });

  it('runs a task that asks for none, and lets it see none', async () => {
    await playTable();
    const task = agent.assign('plain', withGpus(0));
    agent.start();
    expect(await agent.ended(task)).toMatchObject({ state: 'failed', exitCode: 7 });
    const { Config, HostConfig } = await agent.containerOf(task);
    expect(Config.Env).toContain('NVIDIA_VISIBLE_DEVICES=void');
    expect(HostConfig.DeviceRequests ?? []).toEqual([]);
  });

  it('shows what it would tell without telling it', async () => {
    await playTable();
    const main = join(import.meta.dirname, '../../../node-agent/main.ts');
    const { stdout } = await promisify(execFile)(process.execPath, [main, '--describe'], {
      env: { ...process.env, ...agent.env },
    });
    const shown: unknown = JSON.parse(stdout);
    expect(shown).toMatchObject({
      node: { gpus: [{ id: 'GPU-0a' }, { id: 'GPU-1b' }], resources: { gpus: 2 } },
      faults: [],
      warnings: [],
    });
    expect(agent.controlPlane.registrations).toEqual([]);
  });
});
