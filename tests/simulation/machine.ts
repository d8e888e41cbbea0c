/**
 * A machine with an agent: the real agent over a simulated engine and disk. The agent's process may crash or be held up
 * while the machine goes on; the machine may lose its power, and everything that ran with it.
 */
import type { Boot } from '../../node-agent/core/model.ts';
import { type Agent, createAgent } from '../../node-agent/executor/agent.ts';
import type { AgentConfig } from '../../node-agent/executor/contracts.ts';
import { NO_CONSENT, type Node } from '../../shared/domain/node.ts';
import type { Clock } from '../../shared/util/clock.ts';
import { MemoryVolumes } from '../support/memory-volumes.ts';
import { AgentLink } from './agent-link.ts';
import { EngineClient } from './engine-client.ts';
import { HostClock } from './host-clock.ts';
import type { Network } from './network.ts';
import type { Plant } from './plants/plant.ts';
import type { Replica } from './replica.ts';
import type { SeededRandom } from './seeded-random.ts';
import { SimulatedDisk } from './simulated-disk.ts';
import { type EngineWitness, SimulatedEngine } from './simulated-engine.ts';
import { SimulatedFence } from './simulated-fence.ts';
import { SimulatedProbes } from './simulated-probes.ts';
import { SimulatedProcess } from './simulated-process.ts';
import type { Weather } from './weather.ts';

export interface MachineParts {
  readonly name: string;
  /** The node that its agent says it is; the machine's name where it is left out. */
  readonly node?: string;
  /** What its disk holds from the start; nothing where it is left out. */
  readonly disk?: SimulatedDisk;
  readonly areDisksCopied?: boolean;
  readonly zone: string;
  /** The world's. */
  readonly clock: Clock;
  /** Its own; as right as the world's where it is left out. */
  readonly host?: HostClock;
  readonly random: SeededRandom;
  readonly weather: Weather;
  readonly network: Network;
  readonly replicas: readonly Replica[];
  readonly plant: Plant;
  readonly witness: EngineWitness;
  readonly trace: (who: string, what: string) => void;
  readonly onBug: (name: string, error: unknown) => void;
}

/** An agent while it lives. */
interface Life {
  readonly process: SimulatedProcess;
  readonly agent: Agent;
}

export class Machine {
  readonly name: string;
  readonly engine: SimulatedEngine;
  readonly host: HostClock;
  readonly #disk: SimulatedDisk;
  readonly #fence: SimulatedFence;
  readonly #admission: { isAdmitted: boolean };
  readonly #parts: MachineParts;
  readonly #volumes = new MemoryVolumes();
  #life: Life | null = null;
  #starts = 0;

  constructor(parts: MachineParts) {
    const { name, random, witness } = parts;
    this.name = name;
    this.host = parts.host ?? new HostClock(parts.clock);
    this.#parts = parts;
    this.engine = new SimulatedEngine({ node: name, clock: this.host, random: random.split('engine'), witness });
    this.#disk = parts.disk ?? new SimulatedDisk(random.split('disk'));
    this.#admission = { isAdmitted: parts.disk !== undefined };
    const { engine, host } = this;
    this.#fence = new SimulatedFence({ engine, disk: this.#disk, clock: host, random: random.split('fence') });
  }

  get process(): SimulatedProcess | null {
    return this.#life?.process ?? null;
  }

  get agent(): Agent | null {
    return this.#life?.agent ?? null;
  }

  set isDiskFull(isFull: boolean) {
    this.#disk.isFull = isFull;
  }

  start(): void {
    if (this.#life !== null) return;
    this.#starts += 1;
    const { name, node = name, clock, random, weather, trace, onBug } = this.#parts;
    const chance = random.split(`start ${this.#starts}`);
    const process = new SimulatedProcess(name, this.host);
    const tell = (what: string) => trace(name, what);
    const link = { node, process, random: chance.split('link'), admission: this.#admission, trace: tell };
    const seams = {
      controlPlane: new AgentLink({ ...this.#parts, ...link }),
      runtime: new EngineClient({ engine: this.engine, process, clock, random: chance.split('calls'), weather }),
      journal: this.#disk.journalOf(process, clock),
      fence: this.#fence.fenceOf(process),
    };
    const agent = createAgent({
      ...(this.#parts.plant.agent?.(seams) ?? seams),
      probes: new SimulatedProbes({ engine: this.engine, process, clock, random: chance.split('probes') }),
      volumes: this.#volumes,
      clock: process.clock,
      random: chance,
      config: configOf(node, this.#parts.zone, this.engine.boot),
      log: { debug: () => undefined, info: tell, warn: tell, error: tell },
    });
    this.#life = { process, agent };
    agent.start().catch((error: unknown) => onBug(name, error));
  }

  /** Another machine with a copy of the disk, token and all, on which nothing runs. */
  copy(name: string, random: SeededRandom): Machine {
    const { node = this.name } = this.#parts;
    const disk = this.#disk.copy(random.split('disk'));
    return new Machine({ ...this.#parts, name, node, disk, random, host: this.host });
  }

  /** The agent's process is gone from one moment to the next; containers run on. */
  crash(): void {
    this.#life?.process.kill();
    this.#life = null;
    this.#disk.crash();
  }

  powerCut(): void {
    this.crash();
    this.engine.powerCut();
    this.#fence.powerCut();
  }
}

function configOf(name: string, zone: string, boot: Boot): AgentConfig {
  const node: Omit<Node, 'registeredAtMs'> = {
    id: name,
    hostname: name,
    address: null,
    resources: {
      cpus: 4,
      memMiB: 4096,
      diskMiB: 10_000,
      gpus: 2,
      custom: { licences: 3 },
      ports: [{ first: 20_000, last: 20_005 }],
    },
    attributes: { hostname: name, arch: 'x64', os: 'linux', node: name, zone },
    consent: NO_CONSENT,
    gpus: ['0', '1'].map((place) => ({
      id: `GPU-${name}-${place}`,
      product: 'simulated',
      memoryMiB: 1024,
      driver: '1',
      parent: null,
    })),
    reservations: [],
    agentVersion: '0.0.0-simulated',
    engine: 'simulated 1',
  };
  return { node, startConcurrency: 3, retention: { keepMs: 10_000, keepMax: 3 }, boot };
}
