/**
 * A running haproxy: a master that we start, and the workers that it starts with each reload. A new worker takes the listening sockets
 * over from the one before, which finishes what it has; so at no time a connection is refused. A haproxy that an earlier
 * balancer of the same folder has left behind, because it was killed, is taken over in the same way.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Clock, sleep } from '../../shared/util/clock.ts';
import type { Logger } from '../../shared/util/log.ts';
import { callSocket, joinCommands } from './admin-socket.ts';
import { MASTER_SOCKET, WORKER_SOCKET } from './config.ts';
import { type Processes, parseProcesses, refusals } from './haproxy-answers.ts';

const VALIDATE_TIMEOUT_MS = 20_000;
/** For a new worker to have read its configuration and to answer. */
const LOAD_TIMEOUT_MS = 20_000;
const LOOK_MS = 5;
/** The first that leaves idle connections open through a reload. */
const VERSION_MIN = [2, 5] as const;

/** haproxy didn't do what it was asked to. The message says what, in its own words where it had any. */
export class HaproxyError extends Error {
  override readonly name = 'HaproxyError';
}

export interface HaproxyOptions {
  /** The program, by path or by name. */
  readonly command: string;
  readonly folder: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Haproxy {
  readonly #options: HaproxyOptions;
  readonly #child: ChildProcess;
  /** Resolves with how it ended, in words. */
  readonly ended: Promise<string>;
  #over = false;
  #lastWords: string[] = [];

  private constructor(options: HaproxyOptions, child: ChildProcess) {
    this.#options = options;
    this.#child = child;
    this.ended = new Promise((resolve) => {
      const end = (how: string) => {
        this.#over = true;
        resolve(how);
      };
      child.once('error', (error) => end(`could not be started: ${error.message}`));
      child.once('exit', (code, signal) => end(code === null ? `was killed by ${signal}` : `exited with ${code}`));
    });
    if (child.stderr !== null) {
      createInterface({ input: child.stderr }).on('line', (line) => this.#heard(line));
    }
  }

  /** Resolves when a worker serves the configuration with this id. */
  static async start(options: HaproxyOptions, { config, id }: { config: string; id: string }): Promise<Haproxy> {
    const args = ['-W', '-S', `${join(options.folder, MASTER_SOCKET)},mode,600`, '-f', config];
    // In a process group of its own, so that a terminal's Ctrl-C reaches us alone and we end it in order.
    const child = spawn(options.command, [...args, ...(await takeOver(options))], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...options.env },
      detached: true,
    });
    const haproxy = new Haproxy(options, child);
    try {
      await haproxy.#untilServing(id, { worker: null, failedReloads: 0 });
    } catch (error) {
      haproxy.#child.kill('SIGKILL');
      throw error;
    }
    return haproxy;
  }

  /** haproxy's own words about what is wrong with it; null: nothing is. */
  static validate({ command, env }: HaproxyOptions, config: string): Promise<string | null> {
    const options = { timeout: VALIDATE_TIMEOUT_MS, env: { ...env } };
    return new Promise((resolve) => {
      execFile(command, ['-c', '-f', config], options, (error, _out, words) => {
        if (error === null) return resolve(null);
        resolve(words.trim() === '' ? error.message : words.trim());
      });
    });
  }

  get pid(): number | null {
    return this.#child.pid ?? null;
  }

  /** Has it read its configuration again, and resolves when a worker serves the one with this id. */
  async reload(id: string): Promise<void> {
    const before = await this.processes();
    this.#lastWords = [];
    await this.#call(MASTER_SOCKET, 'reload');
    await this.#untilServing(id, before);
  }

  /**
   * Carries these out in the worker that serves, or throws; and, as well as they have them, in those before it, which may still get
   * a request over a connection that was idle.
   */
  async carryOut(commands: readonly string[]): Promise<void> {
    for (const line of joinCommands(commands)) {
      const refused = refusals(await this.#call(WORKER_SOCKET, line));
      if (refused.length > 0) throw new HaproxyError(refused.join('; '));
    }
    void this.#carryOutInOldWorkers(commands).catch(() => undefined);
  }

  async processes(): Promise<Processes> {
    return parseProcesses(await this.#call(MASTER_SOCKET, 'show proc'));
  }

  /** Takes no new connections from now on, and ends when those that it has are over, or after the grace. */
  async stop(graceMs: number): Promise<void> {
    if (this.#over) return;
    this.#child.kill('SIGUSR1');
    const { clock } = this.#options;
    const inTime = await Promise.race([this.ended.then(() => true), sleep(clock, graceMs).then(() => false)]);
    if (!inTime) this.#child.kill('SIGTERM');
    await this.ended;
  }

  async #carryOutInOldWorkers(commands: readonly string[]): Promise<void> {
    const { oldWorkers } = await this.processes();
    for (const pid of oldWorkers) {
      const addressed = commands.map((command) => `@!${pid} ${command}`);
      for (const line of joinCommands(addressed)) await this.#call(MASTER_SOCKET, line);
    }
  }

  async #untilServing(id: string, before: Pick<Processes, 'worker' | 'failedReloads'>): Promise<void> {
    const { clock } = this.#options;
    const deadlineMs = clock.monotonicMs() + LOAD_TIMEOUT_MS;
    while (clock.monotonicMs() < deadlineMs) {
      const info = await this.#call(WORKER_SOCKET, 'show info').catch(() => '');
      // A master that doesn't answer yet loses the signals that it is sent.
      const now = await this.processes().catch(() => null);
      const isNew = now !== null && now.worker !== before.worker && info.includes(`Pid: ${now.worker}\n`);
      if (isNew && info.includes(`berth ${id}\n`)) return;
      if (this.#over) throw new HaproxyError(`haproxy ${await this.ended}${this.#words()}`);
      if (now !== null && now.failedReloads > before.failedReloads)
        throw new HaproxyError(`haproxy could not be reloaded${this.#words()}`);
      await sleep(clock, LOOK_MS);
    }
    throw new HaproxyError(`haproxy did not serve its new configuration within ${LOAD_TIMEOUT_MS} ms${this.#words()}`);
  }

  #call(socket: string, line: string): Promise<string> {
    return callSocket(join(this.#options.folder, socket), line, this.#options.clock);
  }

  #heard(line: string): void {
    const { log } = this.#options;
    if (line.startsWith('[ALERT]')) this.#lastWords = [...this.#lastWords.slice(-4), line];
    if (/^\[ALERT\]|^Server \S+ is (?:DOWN|UP), reason/.test(line)) log.info({}, `haproxy: ${line}`);
    else log.debug({}, `haproxy: ${line}`);
  }

  #words(): string {
    return this.#lastWords.length === 0 ? '' : `: ${this.#lastWords.join(' ')}`;
  }
}

/** The arguments with which it takes over from one that still runs on the folder's sockets, if there is one. */
async function takeOver({ folder, clock, log }: HaproxyOptions): Promise<readonly string[]> {
  const socket = join(folder, MASTER_SOCKET);
  if (
    !(await access(socket).then(
      () => true,
      () => false,
    ))
  )
    return [];
  const answer = await callSocket(socket, 'show proc', clock).catch(() => null);
  if (answer === null) return [];
  const { master, worker, oldWorkers } = parseProcesses(answer);
  const pids = [master, worker, ...oldWorkers].filter((pid) => pid !== null).map(String);
  if (worker === null) return [];
  log.info({ pids }, 'takes over from a haproxy that an earlier balancer has left running');
  return ['-x', join(folder, WORKER_SOCKET), '-sf', ...pids];
}

/** Rejects where there is none, or one that is too old. */
export async function requireHaproxy({ command, env }: Pick<HaproxyOptions, 'command' | 'env'>): Promise<string> {
  const words = await new Promise<string>((resolve, reject) => {
    execFile(command, ['-v'], { env: { ...env } }, (error, out) => (error === null ? resolve(out) : reject(error)));
  }).catch((error: Error) => {
    throw new HaproxyError(
      `${command} can't be run (${error.message}); install Debian's package haproxy, or name another`,
    );
  });
  const [, version = '', major, minor] = /version ((\d+)\.(\d+)\S*)/.exec(words) ?? [];
  if (Number(major) > VERSION_MIN[0] || (Number(major) === VERSION_MIN[0] && Number(minor) >= VERSION_MIN[1]))
    return version;
  throw new HaproxyError(`${command} is version ${version || 'unknown'}; it must be ${VERSION_MIN.join('.')} or later`);
}
