/** A machine that loses its power, and comes back without its uplink: a real engine, a real agent, and what they make of it. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../node-agent/adapters/system/system-clock.ts';
import type { GroupSpec } from '../../../shared/domain/job.ts';
import { aGroup } from '../../support/builders.ts';
import { FakeControlPlane } from '../../support/fake-control-plane.ts';
import { type FakeControlPlaneServer, JOIN_TOKEN, serveControlPlane } from '../../support/fake-control-plane-server.ts';
import { eventually } from '../../support/processes.ts';
import { canMakeMachines, RealMachine } from '../../support/real-machine.ts';
import { anAssigned } from '../../unit/agent/world.ts';

const IMAGE = 'berth/busybox:local';

let controlPlane: FakeControlPlane;
let server: FakeControlPlaneServer;
let machine: RealMachine;

beforeEach(async () => {
  controlPlane = new FakeControlPlane({ clock: systemClock, heartbeatIntervalMs: 500 });
  server = await serveControlPlane(controlPlane);
  machine = await RealMachine.make([
    '--control-plane',
    server.url,
    '--join-token',
    JOIN_TOKEN,
    '--node-id',
    'edge-box',
  ]);
});
afterEach(async () => {
  await machine.dispose();
  await server.close();
});

function assign(id: string, script: string, afterReboot: boolean): void {
  const group: Partial<GroupSpec> = { image: IMAGE, network: 'none', command: ['sh', '-c', script] };
  controlPlane.assign(anAssigned(id, { group: { ...aGroup(), ...group, restart: { afterReboot } } }));
}

function until(id: string, state: string): Promise<boolean> {
  return eventually(`${id} to be ${state}`, async () => controlPlane.stateOf(id) === state);
}

async function stateOf(id: string): Promise<string> {
  const containers = await machine.containersOf(id);
  return containers.map(({ State, Labels }) => `${State} run ${Labels['io.berth.run']}`).join(', ');
}

describe.runIf(canMakeMachines)('a machine that loses its power', () => {
  it('runs again what is to run, each in one container, and tells it all when its uplink is back', async () => {
    await machine.boot();
    await machine.load(IMAGE);
    assign('again', 'echo run $BERTH_RUN; sleep 600', true);
    assign('once', 'sleep 600', false);
    assign('over', 'exit 255', true);
    await Promise.all([until('again', 'running'), until('once', 'running'), until('over', 'failed')]);
    const [before] = await machine.containersOf('again');
    await machine.powerCut();
    controlPlane.fault = 'away';
    await machine.boot();
    await eventually('a further run', async () => (await stateOf('again')) === 'running run 1');
    expect((await machine.containersOf('again')).map(({ Id }) => Id)).not.toContain(before?.Id);
    expect(await stateOf('once')).toBe('exited run 0');
    expect(await stateOf('over')).toBe('exited run 0');
    controlPlane.fault = null;
    await until('once', 'failed');
    await eventually('word of the run', async () => controlPlane.historyOf('again').at(-1)?.run === 1);
    expect(controlPlane.historyOf('once').at(-1)).toMatchObject({ reason: 'node-rebooted', exitCode: 255 });
    expect(controlPlane.historyOf('over').at(-1)).toMatchObject({ reason: 'exited', exitCode: 255 });
    expect(controlPlane.historyOf('again').at(-1)).toMatchObject({
      state: 'running',
      reason: 'restarted-after-reboot',
    });
    expect(await stateOf('again')).toBe('running run 1');
  });
});
