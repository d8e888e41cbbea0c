/**
 * `npm run fuzz -- [--requests N] [--seed S] [--chapter N]`: sends requests that are drawn from the descriptions of all routes, most of
 * them nearly right and many spoilt, and ends with 1 if an answer, the replica or its memory was not as it should be.
 */
import { parseArgs } from 'node:util';
import { type Chapter, type FuzzReport, fuzz } from './fuzz.ts';
import { describeRequest } from './judge.ts';
import { growthOf } from './memory.ts';

const EXIT_USAGE = 2;

function wholeNumber(name: string, text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= 1) return number;
  throw new RangeError(`--${name} takes a whole number from 1, not "${text}"`);
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      requests: { type: 'string', default: '100000' },
      seed: { type: 'string', default: '1' },
      chapter: { type: 'string', default: '25000' },
    },
  });
  return {
    requests: wholeNumber('requests', values.requests),
    seed: wholeNumber('seed', values.seed),
    perChapter: wholeNumber('chapter', values.chapter),
  };
}

function tellChapter({ place, sent, heapMiB, elapsedMs }: Chapter): void {
  console.log(
    `chapter ${place + 1}: ${sent} requests so far, ${heapMiB.toFixed(1)} MiB left, ${(elapsedMs / 1000).toFixed(1)} s`,
  );
}

function tell(report: FuzzReport): boolean {
  const statuses = [...report.statuses].sort(([a], [b]) => a - b).map(([status, count]) => `${status}: ${count}`);
  console.log(`\n${report.sent} requests; ${statuses.join(', ')}`);
  const { total, called, accepted } = report.sites;
  console.log(`${called} of ${total} methods of paths were called, ${accepted} of them said yes at least once`);
  for (const { what, detail, request } of report.findings) {
    console.log(`\nfound: ${what}\n  ${detail}${request === null ? '' : `\n    ${describeRequest(request)}`}`);
  }
  const growth = growthOf(report.chapters.map(({ heapMiB }) => heapMiB));
  console.log(`memory: ${growth.text}`);
  console.log(report.findings.length === 0 ? 'nothing was found' : `${report.findings.length} findings`);
  return report.findings.length === 0 && !growth.grows;
}

async function main(): Promise<number> {
  const given = readArguments();
  console.log(`seed ${given.seed}, ${given.requests} requests, a new replica every ${given.perChapter}`);
  return tell(await fuzz({ ...given, onChapter: tellChapter })) ? 0 : 1;
}

process.exitCode = await main().catch((error: unknown) => {
  if (!(error instanceof RangeError || (error instanceof TypeError && 'code' in error))) throw error;
  console.error(error.message);
  return EXIT_USAGE;
});
