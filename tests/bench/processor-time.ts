/** Who used the processors between two moments, from `/proc`. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** A part of the system and the processes that it is made of. */
export interface Part {
  readonly name: string;
  readonly pids: readonly number[];
}

export interface ProcessorUse {
  readonly elapsedSeconds: number;
  /** Of all processors together, everything on the machine that wasn't idle. */
  readonly machinePercent: number;
  /** For how many tasks the time was spent; 0 where that makes no sense. */
  readonly tasks: number;
  readonly processes: readonly {
    readonly name: string;
    /** Of all processors together. */
    readonly percent: number;
    readonly milliseconds: number;
  }[];
}

const TICKS_PER_SECOND = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** Adds up what is used between each {@link ProcessorMeter.resume} and the next {@link ProcessorMeter.pause}. */
export class ProcessorMeter {
  readonly #parts: readonly Part[];
  readonly #used = new Map<string, number>();
  #elapsedMs = 0;
  #machineTicks = 0;
  #running: Reading | null = null;

  constructor(parts: readonly Part[]) {
    this.#parts = [...parts, { name: 'benchmark', pids: [process.pid] }];
  }

  resume(): void {
    this.#running = this.#read();
  }

  pause(): void {
    const [before, after] = [this.#running, this.#read()];
    if (before === null) return;
    this.#running = null;
    this.#elapsedMs += after.atMs - before.atMs;
    this.#machineTicks += after.machineTicks - before.machineTicks;
    for (const [name, ticks] of after.ticks) {
      this.#used.set(name, (this.#used.get(name) ?? 0) + ticks - (before.ticks.get(name) ?? 0));
    }
  }

  /** What was used, over so many tasks (0: over none in particular). */
  use(tasks: number): ProcessorUse {
    const capacityMs = this.#elapsedMs * availableParallelism();
    return {
      elapsedSeconds: this.#elapsedMs / 1000,
      machinePercent: (100 * milliseconds(this.#machineTicks)) / capacityMs,
      tasks,
      processes: this.#parts.map(({ name }) => {
        const used = milliseconds(this.#used.get(name) ?? 0);
        return { name, percent: (100 * used) / capacityMs, milliseconds: used };
      }),
    };
  }

  #read(): Reading {
    return {
      atMs: performance.now(),
      machineTicks: machineBusyTicks(),
      ticks: new Map(this.#parts.map(({ name, pids }) => [name, pids.reduce((sum, pid) => sum + ticksOf(pid), 0)])),
    };
  }
}

interface Reading {
  readonly atMs: number;
  readonly machineTicks: number;
  readonly ticks: ReadonlyMap<string, number>;
}

/** The engine's own processes. What its helpers use that come and go with each container is only in the machine's sum. */
export function engineParts(): Part[] {
  return ['dockerd', 'containerd'].map((name) => ({ name, pids: pidsOf(name) }));
}

function pidsOf(command: string): number[] {
  const pids = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry));
  return pids.filter((pid) => commandOf(pid) === command).map(Number);
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    // It has ended since the folder was listed.
    return '';
  }
}

/** utime + stime, in clock ticks. */
function ticksOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The command, in parentheses, may hold anything; what follows it doesn't.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

export function machineBusyMs(): number {
  return milliseconds(machineBusyTicks());
}

function machineBusyTicks(): number {
  const line = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0] ?? '';
  const [user, nice, system, , , irq, softirq, steal] = line.trim().split(/\s+/).slice(1).map(Number);
  return [user, nice, system, irq, softirq, steal].reduce<number>((sum, ticks) => sum + (ticks ?? 0), 0);
}

function milliseconds(ticks: number): number {
  return (1000 * ticks) / TICKS_PER_SECOND;
}

/** Processor time of this thread: what work takes if nobody else uses the processor. */
export function usedMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
