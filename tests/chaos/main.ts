/**
 * `npm run chaos`: torments a cluster of real parts and checks afterwards that nothing was lost and nothing ran twice. Exit codes:
 * 0 nothing was found; 1 something was, or the run failed; 130 it was broken off.
 */
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readSettings, USAGE } from './arguments.ts';
import { checkHistory } from './check/check.ts';
import type { History } from './history.ts';
import { isComplete, summaryOf, verdictOf, violationsText } from './report.ts';
import { runChaos } from './run.ts';
import { hasWholeMachines } from './world/world.ts';

const SEEDS = 2 ** 32;
const EXIT_BROKEN_OFF = 130;

async function main(): Promise<number> {
  const settings = readSettings(process.argv.slice(2), randomInt(SEEDS));
  if (settings === 'help') {
    print(USAGE);
    return 0;
  }
  if (settings.judge !== null) return judge(settings.judge);
  const breakOff = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      // Whoever asks twice doesn't want to wait; what runs is killed on the way out.
      if (breakOff.signal.aborted) process.exit(EXIT_BROKEN_OFF);
      breakOff.abort(new Error(`broken off by ${signal}`));
    });
  }
  if (!hasWholeMachines()) print('not run by root, so engines and disks are not tormented');
  print(`seed ${settings.seed}, ${settings.faults} faults`);
  try {
    const result = await runChaos({ ...settings, keepFolder: settings.keep, signal: breakOff.signal, tell: print });
    print(`\n${summaryOf(result)}\n\n${verdictOf(result, settings)}`);
    return result.violations.length === 0 && isComplete(result.history, settings) ? 0 : 1;
  } catch (error) {
    if (!breakOff.signal.aborted) throw error;
    print('broken off; all that was started has been ended');
    return EXIT_BROKEN_OFF;
  }
}

/** The file is one of ours, and whoever changes it by hand gets what they asked for. */
function judge(path: string): number {
  const violations = checkHistory(JSON.parse(readFileSync(path, 'utf8')) as History);
  print(violationsText(violations));
  return violations.length === 0 ? 0 : 1;
}

function print(text: string): void {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`chaos: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(1);
  },
);
