/** Whether what is left in memory after each chapter goes on growing. Pure. */

export interface Growth {
  readonly grows: boolean;
  readonly text: string;
}

/** Caches fill and code is compiled in the first chapters. */
const WARM_UP_CHAPTERS = 3;
const CHAPTERS_MIN = 6;
/** The median of the second half may be this much above that of the first. */
const SLACK_MIB = 8;

export function growthOf(heapsMiB: readonly number[]): Growth {
  const settled = heapsMiB.slice(WARM_UP_CHAPTERS);
  if (heapsMiB.length < CHAPTERS_MIN) return { grows: false, text: 'too few chapters to tell' };
  const half = Math.floor(settled.length / 2);
  const [early, late] = [medianOf(settled.slice(0, half)), medianOf(settled.slice(half))];
  const grows = late > early + SLACK_MIB;
  return {
    grows,
    text: `${early.toFixed(1)} MiB left after a chapter in the first half, ${late.toFixed(1)} in the second: it ${grows ? 'grows' : "doesn't grow"}`,
  };
}

function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
