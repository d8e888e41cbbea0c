/** What this machine has. In a container that is itself limited, the limit counts and not the machine around it. */
import { readFile, statfs } from 'node:fs/promises';
import { arch, availableParallelism, hostname, platform, totalmem, uptime } from 'node:os';
import type { PortRange } from '../../../shared/domain/resources.ts';
import type { Clock } from '../../../shared/util/clock.ts';
import type { Boot } from '../../core/model.ts';

const MIB = 1024 * 1024;

/** Above what services use and below what the kernel hands out for outgoing connections on most machines. */
export const DEFAULT_PORTS: PortRange = { first: 20_000, last: 32_000 };

export interface Machine {
  readonly hostname: string;
  /** As images are labelled: amd64, arm64. */
  readonly arch: string;
  readonly os: string;
  readonly cpus: number;
  readonly memMiB: number;
  readonly diskMiB: number;
}

/** `diskPath`: a folder on the disk that containers write to. */
export async function detectMachine(diskPath: string): Promise<Machine> {
  const [quota, limitBytes, diskMiB] = await Promise.all([cpuQuota(), memoryLimitBytes(), diskSizeMiB(diskPath)]);
  return {
    hostname: hostname(),
    arch: ARCHITECTURES[arch()] ?? arch(),
    os: platform(),
    cpus: Math.min(availableParallelism(), quota ?? Number.POSITIVE_INFINITY),
    memMiB: Math.floor(Math.min(totalmem(), limitBytes ?? Number.POSITIVE_INFINITY) / MIB),
    diskMiB,
  };
}

/** Another one after each power cut and reboot, and the same for as long as the machine stays up. */
export async function detectBoot(clock: Clock): Promise<Boot> {
  const id = await readText('/proc/sys/kernel/random/boot_id');
  const upMs = uptime() * 1000;
  return { id, startedAt: { wallMs: clock.now() - upMs, steadyMs: clock.monotonicMs() - upMs } };
}

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' };

/** Cores, from either version of the kernel's control groups; null: no limit. */
async function cpuQuota(): Promise<number | null> {
  const unified = await readText('/sys/fs/cgroup/cpu.max');
  if (unified !== null) return quotient(unified.split(' '));
  const [quota, period] = await Promise.all([
    readText('/sys/fs/cgroup/cpu/cpu.cfs_quota_us'),
    readText('/sys/fs/cgroup/cpu/cpu.cfs_period_us'),
  ]);
  return quotient([quota ?? '', period ?? '']);
}

/** The kernel writes `max`, or a negative number, where there is no limit. */
function quotient([quota, period]: readonly string[]): number | null {
  const cores = Number(quota) / Number(period);
  return Number.isFinite(cores) && cores > 0 ? Math.floor(cores * 1000) / 1000 : null;
}

async function memoryLimitBytes(): Promise<number | null> {
  const text =
    (await readText('/sys/fs/cgroup/memory.max')) ?? (await readText('/sys/fs/cgroup/memory/memory.limit_in_bytes'));
  const bytes = Number(text ?? 'none');
  return Number.isFinite(bytes) && bytes > 0 ? bytes : null;
}

/** The whole disk and not what is free on it now: what tasks have written is part of what they were given. */
async function diskSizeMiB(path: string): Promise<number> {
  const { blocks, bsize } = await statfs(path);
  return Math.floor((blocks * bsize) / MIB);
}

async function readText(path: string): Promise<string | null> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch {
    // Not there: another version of control groups, or none.
    return null;
  }
}
