/** GPUs that go and come while an agent runs. */
import { describe, expect, it } from 'vitest';
import type { GpuSource } from '../../../node-agent/executor/contracts.ts';
import { NO_CONSENT } from '../../../shared/domain/node.ts';
import { NO_RESOURCES } from '../../../shared/domain/resources.ts';
import { World } from './world.ts';

const device = (id: string) => ({ id, product: 'NVIDIA H100', memoryMiB: 81_559, driver: '580.1', parent: null });
const MINUTE_MS = 60_000;

/** A node that begins with two, and a driver that says what `now` holds. */
function worldWithGpus() {
  const gpus = [device('A'), device('B')];
  const node = {
    id: 'node-1',
    hostname: 'host-1',
    address: null,
    resources: { ...NO_RESOURCES, gpus: 2 },
    attributes: {},
    consent: NO_CONSENT,
    gpus,
    reservations: [],
    agentVersion: 'test',
    engine: 'fake 1',
  };
  const world = new World({ config: { node } });
  const now: { answer: Awaited<ReturnType<GpuSource>> } = { answer: { gpus, complaints: [] } };
  const registered = () =>
    world.controlPlane.registrations.map((request) => [
      request.node.resources.gpus,
      request.node.gpus.map(({ id }) => id),
    ]);
  const start = () => world.startAgent({ gpus: async () => now.answer });
  const warnings = () => world.logged.flatMap(({ level, message }) => (level === 'warn' ? [message] : []));
  return { world, now, registered, start, warnings };
}

describe('the GPUs of a running agent', () => {
  it('are told when it registers, and not again while they stay the same', async () => {
    const { world, registered, start } = worldWithGpus();
    await start();
    await world.clock.advance(30 * MINUTE_MS);
    expect(registered()).toEqual([[2, ['A', 'B']]]);
  });

  it('make it register anew within minutes when one is lost, and when it is back', async () => {
    const { world, now, registered, start, warnings } = worldWithGpus();
    await start();
    now.answer = { gpus: [device('B')], complaints: ['GPU 0 is lost'] };
    await world.clock.advance(6 * MINUTE_MS);
    now.answer = { gpus: [device('A'), device('B')], complaints: [] };
    await world.clock.advance(6 * MINUTE_MS);
    expect(registered()).toEqual([
      [2, ['A', 'B']],
      [1, ['B']],
      [2, ['A', 'B']],
    ]);
    const changed = 'the GPUs of this node have changed; it registers anew';
    expect(warnings()).toEqual(['something is wrong with GPUs', changed, changed]);
  });

  it('stay what they were while the driver does not answer, and that is told once', async () => {
    const { world, now, registered, start, warnings } = worldWithGpus();
    await start();
    now.answer = { gpus: null, complaints: ['nvidia-smi: it did not end within 20 s'] };
    await world.clock.advance(30 * MINUTE_MS);
    expect(registered()).toEqual([[2, ['A', 'B']]]);
    expect(warnings()).toEqual(['something is wrong with GPUs']);
  });

  it('are looked at when it has to register, without waiting for the answer', async () => {
    const { world, now, registered, start } = worldWithGpus();
    await start();
    await world.clock.advance(2 * MINUTE_MS);
    now.answer = { gpus: [device('A')], complaints: [] };
    world.controlPlane.raiseEpoch();
    await world.clock.advance(MINUTE_MS);
    expect(registered()).toEqual([
      [2, ['A', 'B']],
      [2, ['A', 'B']],
      [1, ['A']],
    ]);
  });

  it('are looked at no more once it has ended', async () => {
    const { world, now, registered, start } = worldWithGpus();
    await start();
    await world.crash();
    now.answer = { gpus: [], complaints: [] };
    await world.clock.advance(30 * MINUTE_MS);
    expect(registered()).toHaveLength(1);
  });
});
