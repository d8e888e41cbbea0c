/** How a task's limits are said to the kernel, whichever runtime does it. */

/** Engines refuse less: their own start-up wouldn't fit. */
export const MEMORY_BYTES_MIN = 6 * 1024 * 1024;

/** The kernel shares the processor out in periods; the longer one is for shares too small for the usual one. */
const CPU_PERIOD_US = 100_000;
const CPU_PERIOD_LONG_US = 1_000_000;
const CPU_QUOTA_US_MIN = 1000;

/** So much of the processor in each period. */
export function cpuQuota(cpus: number): { readonly periodUs: number; readonly quotaUs: number } {
  const isTiny = cpus * CPU_PERIOD_US < CPU_QUOTA_US_MIN;
  const periodUs = isTiny ? CPU_PERIOD_LONG_US : CPU_PERIOD_US;
  return { periodUs, quotaUs: Math.max(CPU_QUOTA_US_MIN, Math.round(cpus * periodUs)) };
}
