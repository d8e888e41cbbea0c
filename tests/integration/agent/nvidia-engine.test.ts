/**
 * An engine that has NVIDIA's runtime, on a machine without a GPU: the real engine takes a program in its PATH for NVIDIA's hook and
 * has it called before each container that was asked to get GPUs starts. The hook is played by a script that keeps what it is handed,
 * so that what the real one would give a task is seen at the very place where it would give it.
 */
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../node-agent/adapters/system/system-clock.ts';
import type { GroupSpec } from '../../../shared/domain/job.ts';
import type { TaskStatus } from '../../../shared/protocol/agent.ts';
import { aGroup } from '../../support/builders.ts';
import { FakeControlPlane } from '../../support/fake-control-plane.ts';
import { type FakeControlPlaneServer, JOIN_TOKEN, serveControlPlane } from '../../support/fake-control-plane-server.ts';
import { playProgram } from '../../support/played-program.ts';
import { eventually } from '../../support/processes.ts';
import { canMakeMachines, RealMachine } from '../../support/real-machine.ts';
import { anAssigned } from '../../unit/agent/world.ts';

const IMAGE = 'berth/busybox:local';
const NODE = 'gpu-box';

const CARDS = `cat <<'END'
0, GPU-0a, NVIDIA H100 80GB HBM3, 81559, 580.159.04, Disabled
1, GPU-1b, NVIDIA H100 80GB HBM3, 81559, 580.159.04, Disabled
END`;

/** Its input says where the bundle of the container is that is being made. Of GPU-0a, this one knows nothing. */
const hookKeepingIn = (folder: string) => `state=$(cat)
bundle=$(echo "$state" | sed 's/.*"bundle":"\\([^"]*\\)".*/\\1/')
mkdir '${folder}'/"\${bundle##*/}" && cd '${folder}'/"\${bundle##*/}" || exit 3
echo "$*" >arguments
cp "$bundle/config.json" config.json || exit 3
if grep -q 'NVIDIA_VISIBLE_DEVICES=GPU-0a"' config.json; then
  echo 'nvidia-container-cli: device error: GPU-0a: unknown device' >&2
  exit 1
fi`;

let folder: string;
let controlPlane: FakeControlPlane;
let server: FakeControlPlaneServer;
let machine: RealMachine;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-nvidia-'));
  await mkdir(join(folder, 'bin'));
  await mkdir(join(folder, 'asked'));
  await playProgram(join(folder, 'bin'), 'nvidia-smi', CARDS);
  await playProgram(join(folder, 'bin'), 'nvidia-container-runtime-hook', hookKeepingIn(join(folder, 'asked')));
  controlPlane = new FakeControlPlane({ clock: systemClock, heartbeatIntervalMs: 500 });
  server = await serveControlPlane(controlPlane);
  const dialing = ['--control-plane', server.url, '--join-token', JOIN_TOKEN];
  machine = await RealMachine.make([...dialing, '--node-id', NODE, '--gpus', 'all'], {
    PATH: `${join(folder, 'bin')}:${process.env['PATH']}`,
  });
  await machine.boot();
  await machine.load(IMAGE);
});
afterAll(async () => {
  await machine?.dispose();
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Runs a task until it ends. */
async function run(id: string, group: Partial<GroupSpec>, devices: readonly string[]): Promise<TaskStatus> {
  const resources = { ...aGroup().resources, cpus: 0.5, memMiB: 32, gpus: devices.length };
  controlPlane.assign(anAssigned(id, { group: { image: IMAGE, network: 'none', ...group, resources }, devices }));
  return eventually(`the end of ${id}`, async () => {
    const last = controlPlane.historyOf(id).at(-1);
    return last !== undefined && !['starting', 'running'].includes(last.state) && last;
  });
}

interface Asked {
  readonly arguments: string;
  /** Of the task's process, in its order: the hook goes by the last word on each. */
  readonly environment: readonly string[];
}

/** What the hook was handed for the container of a task; null if it wasn't called for it. */
async function askedFor(task: string): Promise<Asked | null> {
  const [container] = await machine.containersOf(task);
  if (container === undefined) throw new Error(`there is no container of task ${task}`);
  const kept = join(folder, 'asked', container.Id);
  if (!(await readdir(join(folder, 'asked'))).includes(container.Id)) return null;
  const config: { process: { env: string[] } } = JSON.parse(await readFile(join(kept, 'config.json'), 'utf8'));
  return { arguments: (await readFile(join(kept, 'arguments'), 'utf8')).trim(), environment: config.process.env };
}

const about = (name: string, asked: Asked | null) => asked?.environment.filter((line) => line.startsWith(`${name}=`));

/** Ends with 7 if a task sees what it should. */
const seeing = (devices: string): Partial<GroupSpec> => ({
  command: ['sh', '-c', `[ "$NVIDIA_VISIBLE_DEVICES" = '${devices}' ] && exit 7`],
});

describe.runIf(canMakeMachines)('an agent on an engine that has the NVIDIA runtime', () => {
  it('has a task given the GPU that it holds, by its UUID, and no other, whatever the job says', async () => {
    const greedy = { ...seeing('GPU-1b'), env: { NVIDIA_VISIBLE_DEVICES: 'all' } };
    expect(await run('holds', greedy, ['GPU-1b'])).toMatchObject({ state: 'failed', exitCode: 7 });
    const asked = await askedFor('holds');
    expect(asked?.arguments).toBe('prestart');
    expect(new Set(about('NVIDIA_VISIBLE_DEVICES', asked))).toEqual(new Set(['NVIDIA_VISIBLE_DEVICES=GPU-1b']));
  });

  it('leaves what of the driver it gets to the hook, which gives what computing needs, or to the job', async () => {
    const wish = 'NVIDIA_DRIVER_CAPABILITIES';
    const [silent, wishing] = await Promise.all([
      run('silent', seeing('GPU-1b'), ['GPU-1b']),
      run('wishing', { ...seeing('GPU-1b'), env: { [wish]: 'utility,video' } }, ['GPU-1b']),
    ]);
    expect([silent.exitCode, wishing.exitCode]).toEqual([7, 7]);
    // Where nothing is said, NVIDIA's hook gives "utility,compute".
    expect(about(wish, await askedFor('silent'))).toEqual([]);
    expect(about(wish, await askedFor('wishing'))).toEqual([`${wish}=utility,video`]);
  });

  it('keeps a task that holds none from the hook, whatever the job says', async () => {
    const greedy = { ...seeing('void'), env: { NVIDIA_VISIBLE_DEVICES: 'all' } };
    expect(await run('plain', greedy, [])).toMatchObject({ state: 'failed', exitCode: 7 });
    expect(await askedFor('plain')).toBeNull();
  });

  it('ends a task whose GPU the hook does not know, in its words, and leaves no container behind', async () => {
    const end = await run('gone', seeing('GPU-0a'), ['GPU-0a']);
    expect(end).toMatchObject({ state: 'error', reason: 'engine-error' });
    expect(end.message).toContain('device error: GPU-0a: unknown device');
    expect(await machine.containersOf('gone')).toEqual([]);
  });
});
