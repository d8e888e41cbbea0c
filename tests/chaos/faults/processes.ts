/** Processes that are killed, and such that stand still: for less than a lease, or for longer. */
import { readFileSync } from 'node:fs';
import type { SeededRandom } from '../../simulation/seeded-random.ts';
import type { Process } from '../../support/processes.ts';
import { LEASE_TTL_SECONDS, type Machine, type World } from '../world/world.ts';
import { type Fault, type FaultKind, seconds, untilSeen } from './fault.ts';

const PAUSE_SECONDS_MAX = 2 * LEASE_TTL_SECONDS + 2;

export const PROCESS_FAULTS: readonly FaultKind[] = [
  {
    name: 'replica-killed',
    weight: 10,
    make: async (world, random) => killed(random.pick(programs(world).replicas), random),
  },
  {
    name: 'replica-paused',
    weight: 10,
    make: async (world, random) => paused(random.pick(programs(world).replicas), random),
  },
  {
    name: 'agent-killed',
    weight: 10,
    make: async (world, random) => killed(random.pick(programs(world).agents), random),
  },
  {
    name: 'agent-paused',
    weight: 8,
    make: async (world, random) => paused(random.pick(programs(world).agents), random),
  },
  { name: 'power-cut', weight: 8, make: async (world, random) => powerCut(random.pick(world.machines), random) },
  {
    name: 'engine-killed',
    weight: 6,
    make: async (world, random) => engineKilled(random.pick(world.machines), random),
  },
  {
    name: 'engine-paused',
    weight: 5,
    make: async (world, random) => enginePaused(random.pick(world.machines), random),
  },
  { name: 'container-killed', weight: 10, make: async (world, random) => containerKilled(world, random) },
];

interface Program {
  readonly name: string;
  readonly process: Process;
}

function programs({ replicas, machines }: World): Record<'replicas' | 'agents', readonly Program[]> {
  return { replicas, agents: machines.map(({ name, agent }) => ({ name, process: agent })) };
}

function killed({ name, process: program }: Program, random: SeededRandom): Fault {
  return {
    ...{ targets: [name], claims: [name], durationMs: seconds(random, 0.2, 8) },
    async begin() {
      await program.kill();
      await untilSeen(`${name} is dead`, () => !program.isRunning);
    },
    async end() {
      program.start();
    },
  };
}

function paused({ name, process: program }: Program, random: SeededRandom): Fault {
  return {
    ...{ targets: [name], claims: [name], durationMs: seconds(random, 0.5, PAUSE_SECONDS_MAX) },
    async begin() {
      program.signal('SIGSTOP');
      await untilSeen(`${name} stands still`, () => isStopped(program.pid));
    },
    async end() {
      program.signal('SIGCONT');
      await untilSeen(`${name} goes on`, () => !isStopped(program.pid));
    },
  };
}

/** Agent, engine and containers end in the same moment; what they had on disk is there afterwards. */
function powerCut({ name, agent, engine }: Machine, random: SeededRandom): Fault | null {
  if (engine === null) return null;
  return {
    ...{ targets: [name], claims: [name, `engine of ${name}`], durationMs: seconds(random, 0.5, 12) },
    async begin() {
      await Promise.all([agent.kill(), engine.cutPower()]);
      await untilSeen(`${name} is dead`, () => !agent.isRunning && !engine.process.isRunning);
    },
    async end() {
      // The agent comes up first, as it may at a boot, and has to wait for the engine.
      agent.start();
      await engine.start();
    },
  };
}

/** dockerd alone crashes. */
function engineKilled({ name, engine }: Machine, random: SeededRandom): Fault | null {
  const pid = engine?.daemonPid ?? null;
  if (engine === null || pid === null) return null;
  return {
    ...{ targets: [name], claims: [`engine of ${name}`], durationMs: seconds(random, 0.2, 6) },
    async begin() {
      engine.hold();
      process.kill(pid, 'SIGKILL');
      await untilSeen(`the engine of ${name} is dead`, () => engine.daemonPid === null);
    },
    async end() {
      engine.release();
    },
  };
}

function enginePaused({ name, engine }: Machine, random: SeededRandom): Fault | null {
  const pid = engine?.daemonPid ?? null;
  if (pid === null) return null;
  return {
    ...{ targets: [name], claims: [`engine of ${name}`], durationMs: seconds(random, 0.5, 8) },
    async begin() {
      process.kill(pid, 'SIGSTOP');
      await untilSeen(`the engine of ${name} stands still`, () => isStopped(pid));
    },
    async end() {
      process.kill(pid, 'SIGCONT');
    },
  };
}

/** By somebody who goes straight to the engine. */
async function containerKilled({ machines }: World, random: SeededRandom): Promise<Fault | null> {
  const { name, docker } = random.pick(machines);
  const label = [`io.berth.node=${name}`];
  const running = await docker.listContainers({ filters: { label } }).catch(() => []);
  if (running.length === 0) return null;
  const { Id: id, Labels: labels } = random.pick(running);
  const task = labels['io.berth.task'] ?? '';
  return {
    ...{ targets: [task, name], claims: [`engine of ${name}`], detail: `container ${id.slice(0, 12)}`, durationMs: 0 },
    async begin() {
      const container = docker.getContainer(id);
      // It may have ended by itself in this moment.
      await container.kill({ signal: 'SIGKILL' }).catch(() => undefined);
      await untilSeen(`the container of ${task} has ended`, async () => {
        const { State: state } = await container.inspect().catch(() => ({ State: { Running: false } }));
        return !state.Running;
      });
    },
    async end() {},
  };
}

export function isStopped(pid: number | null): boolean {
  if (pid === null) return false;
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T');
}
