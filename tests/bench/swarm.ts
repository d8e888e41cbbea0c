/** Docker Swarm on one engine, over its own API: a service with replicas, rolled by parallelism and order. */
import { pause } from './child.ts';
import type { Engine } from './engine.ts';

export type Order = 'stop-first' | 'start-first';

export interface SwarmServiceOptions {
  readonly name: string;
  readonly image: string;
  readonly command: readonly string[];
  readonly network: string;
  readonly replicas: number;
  readonly parallelism: number;
}

const LOOK_MS = 50;
const WAIT_MAX_MS = 120_000;
/** How long it goes on watching what it has started, in nanoseconds, before it calls an update done. Nothing waits for it but the next. */
const MONITOR_NS = 500_000_000;

/** What the API shows of a service. */
interface Service {
  readonly Version: { readonly Index: number };
  readonly Spec: Readonly<Record<string, unknown>> & {
    readonly TaskTemplate: Readonly<Record<string, unknown>> & { readonly ForceUpdate?: number };
  };
  readonly UpdateStatus?: { readonly State?: string };
}

export const SWARM_SERVICE_LABEL = 'com.docker.swarm.service.name';

export class SwarmService {
  readonly #engine: Engine;
  readonly #options: SwarmServiceOptions;

  private constructor(engine: Engine, options: SwarmServiceOptions) {
    this.#engine = engine;
    this.#options = options;
  }

  static async init(engine: Engine): Promise<void> {
    const body = { ListenAddr: '127.0.0.1:2377', AdvertiseAddr: '127.0.0.1' };
    await engine.expect({ method: 'POST', path: '/swarm/init', body }, 200);
  }

  /** Asked for; its containers are yet to come. */
  static async create(engine: Engine, options: SwarmServiceOptions): Promise<SwarmService> {
    const { name, image, command, network, replicas } = options;
    const body = {
      Name: name,
      TaskTemplate: {
        ContainerSpec: { Image: image, Command: command },
        RestartPolicy: { Condition: 'any', Delay: 0 },
        Resources: { Limits: { NanoCPUs: 500_000_000, MemoryBytes: 64 * 1024 * 1024 } },
        // The bridge is what it takes where nothing is said.
        ...(network === 'bridge' ? {} : { Networks: [{ Target: network }] }),
      },
      Mode: { Replicated: { Replicas: replicas } },
    };
    await engine.expect({ method: 'POST', path: '/services/create', body }, 201);
    return new SwarmService(engine, options);
  }

  /** Exchanges every task for one like it, so many at a time, with no pause in between. */
  async roll(order: Order): Promise<void> {
    const { Version, Spec } = await this.#read();
    const body = {
      ...Spec,
      TaskTemplate: { ...Spec.TaskTemplate, ForceUpdate: (Spec.TaskTemplate.ForceUpdate ?? 0) + 1 },
      UpdateConfig: { Parallelism: this.#options.parallelism, Delay: 0, Monitor: MONITOR_NS, Order: order },
    };
    const path = `/services/${this.#options.name}/update?version=${Version.Index}`;
    await this.#engine.expect({ method: 'POST', path, body }, 200);
  }

  /** Resolves when it has called its update done, so that the next one doesn't cut it off. */
  async settled(): Promise<void> {
    const deadlineMs = performance.now() + WAIT_MAX_MS;
    while (performance.now() < deadlineMs) {
      if ((await this.#read()).UpdateStatus?.State === 'completed') return;
      await pause(LOOK_MS);
    }
    throw new Error(`waited ${WAIT_MAX_MS} ms in vain for the swarm to call its update done`);
  }

  async remove(): Promise<void> {
    await this.#engine.expect({ method: 'DELETE', path: `/services/${this.#options.name}` }, 200);
  }

  async #read(): Promise<Service> {
    const path = `/services/${this.#options.name}`;
    return JSON.parse(await this.#engine.expect({ method: 'GET', path }, 200)) as Service;
  }
}
