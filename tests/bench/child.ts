/** Processes that the benchmark starts, and ends with itself. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';

const STOP_GRACE_MS = 10_000;
const LOOK_MS = 20;

export interface Command {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Where its output goes. */
  readonly logFile: string;
  /** On top of what the benchmark itself was started with. */
  readonly env?: Readonly<Record<string, string>>;
}

export class Child {
  readonly name: string;
  readonly pid: number;
  readonly #process: ChildProcess;
  readonly #logFile: string;

  constructor({ name, command, args, logFile, env = {} }: Command) {
    const log = openSync(logFile, 'a');
    this.#process = spawn(command, args, { stdio: ['ignore', log, log], env: { ...environment(), ...env } });
    closeSync(log);
    // A missing program has no process id, which is told below.
    this.#process.on('error', () => undefined);
    if (this.#process.pid === undefined) throw new Error(`${command} can't be started`);
    this.name = name;
    this.pid = this.#process.pid;
    this.#logFile = logFile;
    process.once('exit', this.#kill);
  }

  /** Waits for `isSo`. Throws when the process ends before, or when it takes too long. */
  async until(what: string, isSo: () => Promise<boolean>, withinMs = 30_000): Promise<void> {
    const deadlineMs = performance.now() + withinMs;
    while (performance.now() < deadlineMs) {
      if (await isSo().catch(() => false)) return;
      if (this.#hasEnded()) throw new Error(`${this.name} has ended: ${this.#logTail()}`);
      await pause(LOOK_MS);
    }
    throw new Error(`waited ${withinMs} ms in vain for ${what}: ${this.#logTail()}`);
  }

  async stop(): Promise<void> {
    process.off('exit', this.#kill);
    if (this.#hasEnded()) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGTERM');
    const timer = setTimeout(this.#kill, STOP_GRACE_MS);
    await ended;
    clearTimeout(timer);
  }

  /** As a power cut would. Resolves when it is gone, with the moment at which that was asked for. */
  async kill(): Promise<number> {
    process.off('exit', this.#kill);
    const ended = once(this.#process, 'exit');
    const askedAtMs = performance.now();
    this.#kill();
    await ended;
    return askedAtMs;
  }

  readonly #kill = () => {
    this.#process.kill('SIGKILL');
  };

  #hasEnded(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }

  #logTail(): string {
    return readFileSync(this.#logFile, 'utf8').slice(-2000);
  }
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Settings for other clusters, in the caller's environment, must not reach ours. */
function environment(): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(BERTH|ETCD|NODE_OPTIONS)/.test(name)));
}
