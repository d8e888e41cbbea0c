/**
 * A machine with an agent: the real agent over a simulated engine and disk. The agent's process may crash or be held up
 * while the machine goes on; the machine may lose its power, and everything that ran with it.
 */
import type { Boot } from '../../node-agent/core/model.ts';
import { type Agent, createAgent } from '../../node-agent/executor/agent.ts';
import type { AgentConfig } from '../../node-agent/executor/contracts.ts';
import { NO_CONSENT, type Node } from '../../shared/domain/node.ts';
import type { Clock } from '../../shared/util/clock.ts';
import { AgentLink } from './agent-link.ts';
import { EngineClient } from './engine-client.ts';
import type { Network } from './network.ts';
import type { Replica } from './replica.ts';
import type { SeededRandom } from './seeded-random.ts';
import { SimulatedDisk } from './simulated-disk.ts';
import { type EngineWitness, SimulatedEngine } from './simulated-engine.ts';
import { SimulatedProcess } from './simulated-process.ts';
import type { Weather } from './weather.ts';

export interface MachineParts {
  readonly name: string;
  readonly zone: string;
  readonly clock: Clock;
  readonly random: SeededRandom;
  readonly weather: Weather;
  readonly network: Network;
  readonly replicas: readonly Replica[];
  readonly witness: EngineWitness;
  readonly trace: (who: string, what: string) => void;
  readonly onBug: (name: string, error: unknown) => void;
}

/** An agent while it lives. */
interface Life {
  readonly process: SimulatedProcess;
  readonly agent: Agent;
}

/** Machines' clocks are far apart now and then: edge boxes start in 1970. */
const SKEWS_MS: readonly number[] = [0, 0, 0, 900, -4000, 60_000, -1_700_000_000_000];

export class Machine {
  readonly name: string;
  readonly engine: SimulatedEngine;
  readonly #disk: SimulatedDisk;
  readonly #admission = { isAdmitted: false };
  readonly #parts: MachineParts;
  readonly #skewMs: number;
  #life: Life | null = null;
  #starts = 0;

  constructor(parts: MachineParts) {
    const { name, random, witness } = parts;
    this.name = name;
    this.#parts = parts;
    this.#skewMs = random.pick(SKEWS_MS);
    const { clock } = new SimulatedProcess(`${name} engine`, parts.clock, { skewMs: this.#skewMs });
    this.engine = new SimulatedEngine({ node: name, clock, random: random.split('engine'), witness });
    this.#disk = new SimulatedDisk(random.split('disk'));
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
    const { name, clock, random, weather, trace, onBug } = this.#parts;
    const chance = random.split(`start ${this.#starts}`);
    const process = new SimulatedProcess(name, clock, { skewMs: this.#skewMs });
    const tell = (what: string) => trace(name, what);
    const link = { node: name, process, random: chance.split('link'), admission: this.#admission, trace: tell };
    const agent = createAgent({
      controlPlane: new AgentLink({ ...this.#parts, ...link }),
      runtime: new EngineClient({ engine: this.engine, process, clock, random: chance.split('calls'), weather }),
      journal: this.#disk.journalOf(process, clock),
      clock: process.clock,
      random: chance,
      config: configOf(name, this.#parts.zone, this.engine.boot),
      log: { debug: () => undefined, info: tell, warn: tell, error: tell },
    });
    this.#life = { process, agent };
    agent.start().catch((error: unknown) => onBug(name, error));
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
  }
}

function configOf(name: string, zone: string, boot: Boot): AgentConfig {
  const node: Omit<Node, 'registeredAtMs'> = {
    id: name,
    hostname: name,
    resources: {
      cpus: 4,
      memMiB: 4096,
      diskMiB: 10_000,
      gpus: 0,
      custom: {},
      ports: [{ first: 20_000, last: 20_005 }],
    },
    attributes: { hostname: name, arch: 'x64', os: 'linux', node: name, zone },
    consent: NO_CONSENT,
    agentVersion: '0.0.0-simulated',
    engine: 'simulated 1',
  };
  return { node, startConcurrency: 3, retention: { keepMs: 10_000, keepMax: 3 }, boot };
}
