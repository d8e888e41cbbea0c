/** An agent in a world that exists only in memory and in virtual time. */

import type { Boot } from '../../../node-agent/core/model.ts';
import { DEFAULT_RETENTION } from '../../../node-agent/core/retention.ts';
import type { Agent, AgentParts } from '../../../node-agent/executor/agent.ts';
import { createAgent } from '../../../node-agent/executor/agent.ts';
import type { AgentConfig, Log, LogFields } from '../../../node-agent/executor/contracts.ts';
import type { TaskGroup } from '../../../shared/domain/job.ts';
import { NO_CONSENT, type NodeConsent } from '../../../shared/domain/node.ts';
import { NO_RESOURCES } from '../../../shared/domain/resources.ts';
import type { AssignedTask } from '../../../shared/protocol/agent.ts';
import type { Clock, Timer } from '../../../shared/util/clock.ts';
import type { Random } from '../../../shared/util/random.ts';
import { aGroup, T0 } from '../../support/builders.ts';
import { FakeControlPlane } from '../../support/fake-control-plane.ts';
import { FakeFence } from '../../support/fake-fence.ts';
import { FakeProbes } from '../../support/fake-probes.ts';
import { FakeRuntime, type FakeRuntimeOptions } from '../../support/fake-runtime.ts';
import { FakeTaskFiles } from '../../support/fake-task-files.ts';
import { MemoryJournal } from '../../support/memory-journal.ts';
import { MemoryVolumes } from '../../support/memory-volumes.ts';

export class TestClock implements Clock {
  readonly #timers: { readonly atMs: number; readonly order: number; readonly callback: () => void }[] = [];
  #nowMs = 0;
  #order = 0;

  now(): number {
    return T0 + this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    this.#order += 1;
    const timer = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order, callback };
    this.#timers.push(timer);
    return {
      cancel: () => {
        const index = this.#timers.indexOf(timer);
        if (index >= 0) this.#timers.splice(index, 1);
      },
    };
  }

  /** Lets `byMs` pass: every timer that is due fires in order, and everything that it sets off is done before the next. */
  async advance(byMs: number): Promise<void> {
    const untilMs = this.#nowMs + byMs;
    await settle();
    for (;;) {
      const next = this.#timers.toSorted((a, b) => a.atMs - b.atMs || a.order - b.order)[0];
      if (next === undefined || next.atMs > untilMs) break;
      this.#timers.splice(this.#timers.indexOf(next), 1);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.callback();
      await settle();
    }
    this.#nowMs = untilMs;
  }
}

/** Everything that has been promised and needs no time is done. */
async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

export const evenChance: Random = { next: () => 0.5, bytes: (length) => new Uint8Array(length) };

export const IMAGE = 'tool:1';

type AssignedChange = Omit<Partial<AssignedTask>, 'group'> & { readonly group?: Partial<TaskGroup> };

/** A task that waits to be started. */
export function anAssigned(id: string, { group, ...change }: AssignedChange = {}): AssignedTask {
  return {
    id,
    // Each its own: two tasks of one version of a job are made from the same template.
    jobUid: `u-${id}`,
    jobName: 'demo',
    jobVersion: 1,
    role: 'default',
    groupName: 'main',
    index: 0,
    attempt: 0,
    run: 0,
    state: 'staging',
    group: { ...aGroup({ image: IMAGE }), ...group },
    stopAfterDisconnectMs: null,
    ports: {},
    stop: null,
    disowned: false,
    ...change,
  };
}

export interface LogEntry {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: LogFields;
}

/** Everything around one agent, and agents that can be made one after another in it. */
export class World {
  readonly clock = new TestClock();
  readonly controlPlane = new FakeControlPlane({ clock: this.clock });
  readonly journal = new MemoryJournal();
  readonly probes = new FakeProbes();
  readonly volumes = new MemoryVolumes();
  readonly files = new FakeTaskFiles();
  readonly logged: LogEntry[] = [];
  readonly runtime: FakeRuntime;
  readonly fence: FakeFence;
  readonly #config: Omit<AgentConfig, 'boot'>;
  #agent: Agent | null = null;
  #boot: Boot = { id: 'boot-0', startedAt: { wallMs: T0, steadyMs: 0 } };
  #powerCuts = 0;
  #life = { isOver: false };

  constructor(
    options: {
      readonly engine?: Omit<FakeRuntimeOptions, 'clock'>;
      readonly config?: Partial<AgentConfig>;
      readonly consent?: Partial<NodeConsent>;
    } = {},
  ) {
    this.runtime = new FakeRuntime({ images: [IMAGE], ...options.engine, clock: this.clock });
    this.fence = new FakeFence({ clock: this.clock, kill: (container) => this.runtime.killFromOutside(container) });
    const { node } = defaultConfig;
    const consented = { ...node, consent: { ...node.consent, ...options.consent } };
    this.#config = { ...defaultConfig, node: consented, ...options.config };
  }

  get agent(): Agent {
    if (this.#agent === null) throw new Error('no agent has been started in this world');
    return this.#agent;
  }

  async startAgent(change: Partial<AgentParts> = {}): Promise<Agent> {
    const life = { isOver: false };
    this.#life = life;
    const { clock, controlPlane, fence } = this;
    const [journal, runtime] = [whileAlive(this.journal, life), whileAlive(this.runtime, life)];
    const parts = {
      clock,
      controlPlane,
      journal,
      runtime,
      probes: whileAlive(this.probes, life),
      volumes: whileAlive(this.volumes, life),
      files: whileAlive(this.files, life),
      fence,
      random: evenChance,
      config: { boot: this.#boot, ...this.#config },
      log: this.#log(),
    };
    this.#agent = createAgent({ ...parts, ...change });
    await this.#agent.start();
    await this.clock.advance(0);
    return this.#agent;
  }

  /** The agent's process dies: nothing of it acts any more. Its journal keeps what was made durable. */
  async crash(): Promise<void> {
    this.agent.halt();
    this.#life.isOver = true;
    this.journal.crash();
    await this.clock.advance(0);
  }

  /** The agent and whatever ran are gone, and the machine comes up again. */
  async powerCut(): Promise<void> {
    await this.crash();
    this.runtime.powerCut();
    this.fence.reboot();
    this.#powerCuts += 1;
    const startedAt = { wallMs: this.clock.now(), steadyMs: this.clock.monotonicMs() };
    this.#boot = { id: `boot-${this.#powerCuts}`, startedAt };
  }

  #log(): Log {
    const at =
      (level: LogEntry['level']) =>
      (message: string, fields: LogFields = {}) =>
        void this.logged.push({ level, message, fields });
    return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  }
}

/** What a process calls while it lives. After its death it makes no call, and learns of no answer. */
function whileAlive<T extends object>(target: T, life: { readonly isOver: boolean }): T {
  return new Proxy(target, {
    get: (_, name) => {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      return (...args: unknown[]) => {
        if (life.isOver) return new Promise(() => {});
        const answer: unknown = Reflect.apply(member, target, args);
        if (!(answer instanceof Promise)) return answer;
        return new Promise((resolve, reject) => {
          answer.then(
            (value) => life.isOver || resolve(value),
            (cause: unknown) => life.isOver || reject(cause),
          );
        });
      };
    },
  });
}

const defaultConfig: Omit<AgentConfig, 'boot'> = {
  node: {
    id: 'node-1',
    hostname: 'host-1',
    address: null,
    resources: NO_RESOURCES,
    attributes: {},
    consent: NO_CONSENT,
    gpus: [],
    reservations: [],
    agentVersion: 'test',
    engine: 'fake 1',
  },
  startConcurrency: 2,
  retention: DEFAULT_RETENTION,
};
