/**
 * The fence on a real machine: a file that says what may run for how long after the last contact, and a dead-man beside the agent
 * who goes by it. What the agent knows of the contact it knows from here too, so that the next agent goes on where this one was.
 *
 * Nothing is flushed to disk: the file has to survive this process, not the machine; a machine that was off runs nothing.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Fence, FenceFault, type Log } from '../../executor/contracts.ts';
import { processesOf } from './container-processes.ts';
import { DEAD_MAN_PROGRAM, TRIAL_ARGUMENT } from './dead-man.ts';
import { CONTAINER_ID_PATTERN, decodeFenceState, encodeFenceState } from './fence-state.ts';

export interface FileFenceOptions {
  /** A folder of its own, by its absolute path: the dead-man stands elsewhere. */
  readonly dir: string;
  /** Where the kernel shows processes: `/proc`. */
  readonly procDir: string;
  /** Of this process. */
  readonly pid: number;
  /** Runs the dead-man: `/bin/sh`. */
  readonly shell: string;
  /** Where the dead-man finds `sleep`. */
  readonly path: string;
  readonly log: Log;
}

/** That no dead-man can begin is believed for so long: what it lacked may be there again. */
const TRIAL_COUNTS_MS = 60_000;
/** How long a dead-man may take to begin: a shell on a busy machine. */
const BEGIN_LOOKS_MAX = 500;
const BEGIN_LOOK_MS = 10;
/** The bit of the capability to signal any process, in the kernel's list. */
const CAP_KILL = 5n;

export class FileFence implements Fence {
  readonly #options: FileFenceOptions;
  readonly #armed = new Map<string, number>();
  #bootId = '';
  /** Of the folder: a dead-man that was started for another one doesn't obey. */
  #life: string = randomUUID();
  #confirmedAtMs: number | null = null;
  #keeper = 0;
  /** Why this machine can't be relied on. */
  #unfit: string | null = null;
  /** Whether a dead-man could begin when that was tried last, and when that was. */
  #trial: { readonly why: Promise<string | null>; readonly atMs: number } | null = null;
  /** One that takes long to begin. Another one beside it would take no less. */
  #beginner: ChildProcess | null = null;
  /** Writes one after the other. */
  #saving: Promise<void> = Promise.resolve();
  /** The write that has yet to begin: it will hold all that is known by then, so nobody needs another one. */
  #pending: Promise<void> | null = null;
  #isWarned = false;

  private constructor(options: FileFenceOptions) {
    this.#options = options;
  }

  /** Takes up what an earlier agent left, and sees to it that what is armed is watched. */
  static async open(options: FileFenceOptions): Promise<FileFence> {
    const fence = new FileFence(options);
    fence.#unfit = await fence.#takeUp().then(
      () => null,
      (cause: unknown) => words(cause),
    );
    return fence;
  }

  /** On a machine without such a clock time stands still, and nothing is armed. */
  nowMs(): number {
    if (this.#unfit !== null) return 0;
    const [seconds = ''] = readFileSync(this.#proc('uptime'), 'utf8').split(' ');
    return Math.round(Number(seconds) * 1000);
  }

  confirmed(sentAtMs: number): void {
    if (this.#unfit !== null) return;
    if (this.#confirmedAtMs !== null && this.#confirmedAtMs >= sentAtMs) return;
    this.#condemnOverdue();
    this.#confirmedAtMs = sentAtMs;
    if (this.#armed.size > 0) this.#saveSoon();
  }

  contactAgeMs(): number {
    return this.#confirmedAtMs === null ? Number.POSITIVE_INFINITY : this.nowMs() - this.#confirmedAtMs;
  }

  async refusal(): Promise<string | null> {
    if (this.#unfit !== null) return this.#unfit;
    const status = await readFile(this.#proc('self', 'status'), 'utf8').catch(() => '');
    const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0';
    if (((BigInt(`0x${effective}`) >> CAP_KILL) & 1n) === 0n) {
      return 'the agent may not signal the processes of containers; run it as root, or with the capability KILL';
    }
    const atMs = this.nowMs();
    const last = this.#trial;
    if (last !== null && ((await last.why) === null || atMs - last.atMs < TRIAL_COUNTS_MS)) return last.why;
    this.#trial = { why: this.#tryDeadMan(), atMs };
    return this.#trial.why;
  }

  async arm(container: string, stopAfterMs: number): Promise<void> {
    if (this.#unfit !== null) throw new FenceFault(this.#unfit);
    if (!CONTAINER_ID_PATTERN.test(container)) throw new FenceFault(`"${container}" is no id of a container`);
    this.#armed.set(container, stopAfterMs);
    try {
      await this.#save();
    } catch (cause) {
      throw new FenceFault(`put a container under the dead-man's watch: ${words(cause)}`, { cause });
    }
  }

  isArmed(container: string): boolean {
    return this.#armed.has(container);
  }

  keepOnly(containers: ReadonlySet<string>): void {
    const gone = [...this.#armed.keys()].filter((container) => !containers.has(container));
    if (gone.length === 0) return;
    for (const container of gone) {
      this.#armed.delete(container);
      rmSync(this.#marker(container), { force: true });
    }
    this.#saveSoon();
  }

  hasStopped(container: string): boolean {
    return existsSync(this.#marker(container));
  }

  async escapeOf(container: string): Promise<string | null> {
    const processes = await processesOf(this.#options.procDir, container);
    if (processes.length > 0 && processes.every(maySignal)) return null;
    return processes.length === 0
      ? "the agent can't see the processes of containers; run it in the process namespace of the container engine"
      : 'the agent may not signal the processes of containers; run it as the same root as the container engine';
  }

  /** What was out of time before contact came back may have been replaced: no contact gives it time again. */
  #condemnOverdue(): void {
    const ageMs = this.contactAgeMs();
    for (const [container, stopAfterMs] of this.#armed) if (ageMs >= stopAfterMs) this.#armed.set(container, 0);
  }

  async #takeUp(): Promise<void> {
    const { dir } = this.#options;
    this.#bootId = (await readFile(this.#proc('sys/kernel/random/boot_id'), 'utf8')).trim();
    const nowMs = this.nowMs();
    if (!Number.isFinite(nowMs)) throw new FenceFault('the machine does not say for how long it has been up');
    await mkdir(join(dir, 'stopped'), { recursive: true, mode: 0o700 });
    const text = await readFile(join(dir, 'state'), 'utf8').catch(() => '');
    const left = decodeFenceState(text);
    const isOurs = left !== null && left.bootId === this.#bootId && (left.confirmedAtMs ?? 0) <= nowMs;
    if (isOurs) {
      this.#life = left.life;
      this.#confirmedAtMs = left.confirmedAtMs;
      this.#keeper = left.keeper;
      for (const [container, stopAfterMs] of left.armed) this.#armed.set(container, stopAfterMs);
    } else {
      await rm(join(dir, 'stopped'), { recursive: true });
      await mkdir(join(dir, 'stopped'), { mode: 0o700 });
    }
    // One that an older agent has started does what that agent knew; a new one takes over.
    const program = await readFile(this.#program, 'utf8').catch(() => '');
    if (program !== DEAD_MAN_PROGRAM) {
      await replace(this.#program, DEAD_MAN_PROGRAM);
      this.#keeper = 0;
    }
    if (this.#armed.size > 0 || text !== '') await this.#save();
  }

  #save(): Promise<void> {
    if (this.#pending !== null) return this.#pending;
    const saved = this.#saving.then(() => {
      this.#pending = null;
      return this.#saveNow();
    });
    this.#pending = saved;
    this.#saving = saved.catch(() => undefined);
    return saved;
  }

  /** Where nobody waits for it. A file that can't be written is the same to the dead-man as contact that is lost. */
  #saveSoon(): void {
    this.#save().then(
      () => {
        this.#isWarned = false;
      },
      (cause: unknown) => {
        if (this.#isWarned) return;
        this.#isWarned = true;
        const message = 'the dead-man can not be told that the control plane is in touch; it will stop what it watches';
        this.#options.log.warn(message, { cause: words(cause) });
      },
    );
  }

  async #saveNow(): Promise<void> {
    if (this.#armed.size > 0 && !(await this.#isWatched())) {
      // Both are in charge until the file names the new one.
      this.#keeper = 0;
      await this.#write();
      this.#keeper = await this.#startDeadMan();
    }
    await this.#write();
  }

  #write(): Promise<void> {
    return replace(
      join(this.#options.dir, 'state'),
      encodeFenceState({
        bootId: this.#bootId,
        life: this.#life,
        agent: this.#options.pid,
        keeper: this.#keeper,
        confirmedAtMs: this.#confirmedAtMs,
        armed: this.#armed,
      }),
    );
  }

  /** Whether the dead-man that is in charge lives. Another process may have got its number meanwhile. */
  async #isWatched(): Promise<boolean> {
    if (this.#keeper === 0) return false;
    const command = await readFile(`/proc/${this.#keeper}/cmdline`, 'utf8').catch(() => '');
    return command.split('\0').includes(this.#program);
  }

  /** Its process id, once it has read what it is to watch. */
  async #startDeadMan(): Promise<number> {
    const child = this.#beginner ?? this.#spawnDeadMan(this.#life);
    this.#beginner = child;
    await begun(child, async () => {
      const watching = await readFile(join(this.#options.dir, 'watching'), 'utf8').catch(() => '');
      return Number(watching) === child.pid;
    }).catch((cause: unknown) => {
      if (child.pid === undefined || hasEnded(child)) this.#beginner = null;
      throw cause;
    });
    this.#beginner = null;
    return child.pid ?? 0;
  }

  /** Why a dead-man can't begin on this machine; null: it can. */
  async #tryDeadMan(): Promise<string | null> {
    const child = this.#spawnDeadMan(TRIAL_ARGUMENT);
    try {
      await begun(child, () => child.exitCode === 0);
      return null;
    } catch (cause) {
      child.kill('SIGKILL');
      const { shell } = this.#options;
      return `${words(cause)}; see to it that ${shell} runs scripts, that there is a \`sleep\`, and that processes may be started`;
    }
  }

  #spawnDeadMan(life: string): ChildProcess {
    const { dir, procDir, path, shell } = this.#options;
    const child = spawn(shell, [this.#program, dir, procDir, life], {
      detached: true,
      stdio: 'ignore',
      cwd: '/',
      env: { PATH: `${path}:/usr/bin:/bin` },
    });
    // Told by the missing process id as well.
    child.on('error', () => undefined);
    child.unref();
    return child;
  }

  get #program(): string {
    return join(this.#options.dir, 'dead-man.sh');
  }

  #marker(container: string): string {
    return join(this.#options.dir, 'stopped', container);
  }

  #proc(...names: readonly string[]): string {
    return join(this.#options.procDir, ...names);
  }
}

/** Never half-written for anybody who reads it. */
async function replace(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 });
  await rename(`${path}.new`, path);
}

/** Resolves when `isBegun` says so. Throws a {@link FenceFault} when it has ended instead, or takes too long. */
async function begun(child: ChildProcess, isBegun: () => boolean | Promise<boolean>): Promise<void> {
  if (child.pid === undefined) throw new FenceFault(`the dead-man can't begin: ${child.spawnfile} can't be started`);
  for (let looks = 0; looks < BEGIN_LOOKS_MAX; looks += 1) {
    const isOver = hasEnded(child);
    if (await isBegun()) return;
    const how = child.exitCode ?? child.signalCode;
    if (isOver) throw new FenceFault(`the dead-man can't begin: ${child.spawnfile} ends with ${how}`);
    await new Promise((resolve) => setTimeout(resolve, BEGIN_LOOK_MS));
  }
  throw new FenceFault(`the dead-man (process ${child.pid}) does not begin`);
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function maySignal(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (cause) {
    // It has ended meanwhile: others of the container have shown already that it is within reach, or will.
    return cause instanceof Error && 'code' in cause && cause.code === 'ESRCH';
  }
}

function words(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
