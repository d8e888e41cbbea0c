/** What a run came to, in lines for people. */
import type { Violation } from './check/check.ts';
import type { History } from './history.ts';
import type { RunResult } from './run.ts';
import { longestRoundGapMs } from './workload/observer.ts';

const VIOLATIONS_SHOWN_MAX = 50;

export function summaryOf({ history, longestOutageMs, tookMs }: RunResult): string {
  const { faults, jobs, requests, finals, witness, feed, samples } = history;
  const tasks = finals[0]?.tasks ?? [];
  const ends = witness.filter(({ type }) => type === 'end').length;
  const resets = feed.filter(({ type }) => type === 'listed-anew').length;
  const unanswered = requests.filter(({ answer }) => answer === null).length;
  const again = requests.filter(({ attempts }) => attempts > 1).length;
  const lines = [
    ['faults', `${faults.length}: ${counted(faults.map(({ kind }) => kind))}`],
    [
      'jobs',
      `${jobs.length}; of those on record in the end: ${counted((finals[0]?.jobs ?? []).map(({ state }) => state))}`,
    ],
    ['requests', `${requests.length}, ${again} of them sent more than once, ${unanswered} never answered`],
    ['tasks', `${tasks.length}: ${counted(tasks.map(({ state }) => state))}`],
    ['why they ended', counted(tasks.flatMap(({ reason, endedAt }) => (endedAt === null ? [] : [reason])))],
    ['containers', `${new Set(witness.map(({ container }) => container)).size} ran, ${ends} of them to their own end`],
    ['events', `${feed.length - resets}, read anew ${resets} times`],
    ['longest time without a round', seconds(longestRoundGapMs(samples))],
    ['longest time without an answer', seconds(longestOutageMs)],
    ['took', seconds(tookMs)],
  ];
  return lines.map(([name, value]) => `${`${name}:`.padEnd(32)}${value}`).join('\n');
}

export function verdictOf({ violations, folder, isFolderKept, history }: RunResult, asked: { faults: number }): string {
  const where = isFolderKept ? `\nLogs and history lie in ${folder}` : '';
  if (violations.length > 0) return `${violationsText(violations)}${where}`;
  if (!isComplete(history, asked)) {
    return `FAIL: only ${history.faults.length} of ${asked.faults} faults in the time given${where}`;
  }
  return `PASS: ${history.faults.length} faults, nothing lost, nothing twice${where}`;
}

export function violationsText(violations: readonly Violation[]): string {
  if (violations.length === 0) return 'PASS: nothing was found';
  const shown = violations
    .slice(0, VIOLATIONS_SHOWN_MAX)
    .map(({ rule, about, message }) => `  ${rule}: ${about}: ${message}`);
  return [`FAIL: ${violations.length} violations`, ...shown].join('\n');
}

export function isComplete({ faults }: History, asked: { readonly faults: number }): boolean {
  return faults.length >= asked.faults;
}

function counted(names: readonly string[]): string {
  const counts = [...Map.groupBy(names, (name) => name)].map(([name, all]) => ({ name, count: all.length }));
  return counts
    .sort((a, b) => b.count - a.count)
    .map(({ name, count }) => `${count} ${name}`)
    .join(', ');
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}
