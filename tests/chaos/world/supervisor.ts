/** What a service manager does: starts again what has ended by itself, and keeps a record of that. */

import type { Process } from '../../support/processes.ts';
import { type Mishap, steadyMs } from '../history.ts';
import { pause } from '../workload/client.ts';
import type { World } from './world.ts';

const LOOK_MS = 100;
const RESTART_AFTER_MS = 500;
const LOG_TAIL_CHARACTERS = 600;
/** What no program of ours may ever say. */
const IMPOSSIBLE = /InvariantError|unhandled variant|UnhandledPromiseRejection|uncaughtException/;

interface Supervised {
  readonly name: string;
  readonly process: Process;
  readonly start: () => void;
}

export class Supervisor {
  readonly mishaps: Mishap[] = [];
  readonly #all: readonly Supervised[];
  readonly #closing = new AbortController();
  #watching: Promise<void> = Promise.resolve();

  constructor({ replicas, machines }: World) {
    this.#all = [...replicas, ...machines.map(({ name, agent }) => ({ name, process: agent }))].map((one) => ({
      ...{ name: one.name, process: one.process },
      start: () => one.process.start(),
    }));
  }

  start(): void {
    this.#watching = this.#watch();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#watching;
    for (const { name, process: program } of this.#all) {
      const line = program
        .log()
        .split('\n')
        .find((each) => IMPOSSIBLE.test(each));
      if (line !== undefined)
        this.mishaps.push({ process: name, atMs: steadyMs(), what: line.slice(0, LOG_TAIL_CHARACTERS) });
    }
  }

  async #watch(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      for (const one of this.#all) await this.#look(one);
      await pause(LOOK_MS, this.#closing.signal);
    }
  }

  /** Whoever kills for the chaos does it with SIGKILL, and starts again by itself. */
  async #look({ name, process: program, start }: Supervised): Promise<void> {
    const { end } = program;
    if (end === null || end.signal === 'SIGKILL') return;
    const how = end.signal === null ? `with exit code ${end.code}` : `by ${end.signal}`;
    const tail = program.log().slice(-LOG_TAIL_CHARACTERS);
    this.mishaps.push({ process: name, atMs: steadyMs(), what: `it ended ${how}: ${tail}` });
    await pause(RESTART_AFTER_MS, this.#closing.signal);
    if (program.end === end || !program.isRunning) start();
  }
}
