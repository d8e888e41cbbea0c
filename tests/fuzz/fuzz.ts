/**
 * Sends drawn requests to a whole replica, many at a time, and says what it found. Chance has a seed; what others do meanwhile is left to
 * the event loop, so that a finding tells its whole request.
 *
 * A run is split into chapters, each with a replica of its own: after each one, nothing of it may be left in memory.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Logger } from '../../shared/util/log.ts';
import { SeededRandom } from '../simulation/seeded-random.ts';
import { type Finding, judge } from './judge.ts';
import { type DrawnRequest, drawRequest, type RequestSource } from './requests.ts';
import { type Surface, surfaceOf } from './surface.ts';
import { type Names, startWorld, type World } from './world.ts';

export interface FuzzOptions {
  readonly seed: number;
  readonly requests: number;
  readonly perChapter: number;
  readonly onChapter?: (chapter: Chapter) => void;
}

export interface Chapter {
  readonly place: number;
  readonly sent: number;
  /** After all garbage has been collected, in MiB. */
  readonly heapMiB: number;
  readonly elapsedMs: number;
}

export interface FuzzReport {
  readonly sent: number;
  /** How many answers had which status. */
  readonly statuses: ReadonlyMap<number, number>;
  /** Sites that were called, and those that ever said yes. */
  readonly sites: { readonly total: number; readonly called: number; readonly accepted: number };
  readonly findings: readonly Finding[];
  readonly chapters: readonly Chapter[];
}

const AT_ONCE = 24;
/** Often: a request that was drawn may have taken all tokens back. */
const NAMES_EVERY = 200;
const FINDINGS_MAX = 50;
/** A request that waits, or a stream, is left after this long … */
const PATIENCE_MS = 40;
/** … and then has to come to its end within this. */
const END_MAX_MS = 10_000;
const STREAM_BYTES_MAX = 65_536;

export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  const tally = new Tally();
  const chapters: Chapter[] = [];
  const onUnhandled = (error: unknown) =>
    tally.find({ what: 'was not handled', request: null, detail: inspect(error) });
  process.on('unhandledRejection', onUnhandled);
  process.on('uncaughtException', onUnhandled);
  try {
    for (let sent = 0; sent < options.requests && tally.findings.length < FINDINGS_MAX; ) {
      const startedMs = performance.now();
      const count = Math.min(options.perChapter, options.requests - sent);
      await runChapter({ random: new SeededRandom(options.seed).split(`chapter ${chapters.length}`), count, tally });
      sent += count;
      const heapMiB = await heapLeftMiB();
      const chapter = { place: chapters.length, sent, heapMiB, elapsedMs: performance.now() - startedMs };
      chapters.push(chapter);
      options.onChapter?.(chapter);
    }
  } finally {
    process.off('unhandledRejection', onUnhandled);
    process.off('uncaughtException', onUnhandled);
  }
  return { ...tally.report(), chapters };
}

class Tally {
  readonly statuses = new Map<number, number>();
  readonly findings: Finding[] = [];
  readonly #called = new Set<string>();
  readonly #accepted = new Set<string>();
  #sent = 0;
  sitesTotal = 0;

  count({ site }: DrawnRequest, status: number): void {
    this.#sent += 1;
    this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1);
    const name = `${site.method} ${site.path}`;
    this.#called.add(name);
    if (status < 400) this.#accepted.add(name);
  }

  find(finding: Finding): void {
    if (this.findings.length < FINDINGS_MAX) this.findings.push(finding);
  }

  report(): Omit<FuzzReport, 'chapters'> {
    const sites = { total: this.sitesTotal, called: this.#called.size, accepted: this.#accepted.size };
    return { sent: this.#sent, statuses: this.statuses, sites, findings: this.findings };
  }
}

interface ChapterParts {
  readonly random: SeededRandom;
  readonly count: number;
  readonly tally: Tally;
}

async function runChapter({ random, count, tally }: ChapterParts): Promise<void> {
  const world = await startWorld(alarmed(tally));
  try {
    const surface = await surfaceOf(world.api);
    tally.sitesTotal = surface.sites.length;
    let names = await world.names();
    let next = 0;
    const sender = async () => {
      while (next < count && tally.findings.length < FINDINGS_MAX) {
        const place = next++;
        if (place % NAMES_EVERY === NAMES_EVERY - 1) names = await world.names();
        await sendOne({ world, surface, names }, random.split(String(place)), tally);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, sender));
  } finally {
    await world.stop();
  }
}

async function sendOne(
  source: RequestSource & { readonly world: World; readonly surface: Surface; readonly names: Names },
  random: SeededRandom,
  tally: Tally,
): Promise<void> {
  const drawn = drawRequest(source, random);
  const leave = new AbortController();
  const patience = setTimeout(() => leave.abort(), PATIENCE_MS);
  try {
    const outcome = await ended(answerOf(source.world, drawn, leave.signal));
    if (outcome === 'endless') {
      tally.find({ what: 'goes on after its client has left', request: drawn, detail: '' });
      return;
    }
    tally.count(drawn, outcome.response.status);
    const finding = judge(drawn, outcome.response, outcome.text);
    if (finding !== null) tally.find(finding);
  } finally {
    clearTimeout(patience);
  }
}

interface Answered {
  readonly response: Response;
  /** Null: its client left before its end. */
  readonly text: string | null;
}

async function answerOf({ api }: World, drawn: DrawnRequest, signal: AbortSignal): Promise<Answered> {
  const request = new Request(drawn.url, {
    method: drawn.method,
    headers: drawn.headers as [string, string][],
    ...(drawn.body !== null && { body: drawn.body.slice().buffer }),
    signal,
  });
  // A Request hears of its client's end for only as long as somebody holds it.
  const held = new Set([request]);
  try {
    const response = await api.fetch(request);
    return { response, text: await textOf(response, signal) };
  } finally {
    held.clear();
  }
}

async function textOf({ body }: Response, signal: AbortSignal): Promise<string | null> {
  if (body === null) return '';
  const reader = body.getReader();
  const left = new Promise<null>((resolve) => {
    if (signal.aborted) resolve(null);
    signal.addEventListener('abort', () => resolve(null), { once: true });
  });
  const decoder = new TextDecoder();
  let text = '';
  for (let bytes = 0; bytes < STREAM_BYTES_MAX; ) {
    const chunk = await Promise.race([reader.read().catch(() => null), left]);
    if (chunk?.done === true) return text;
    if (chunk === null) break;
    bytes += chunk.value.length;
    text += decoder.decode(chunk.value, { stream: true });
  }
  await reader.cancel().catch(() => undefined);
  return null;
}

async function ended<T>(work: Promise<T>): Promise<T | 'endless'> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'endless'>((resolve) => {
    timer = setTimeout(() => resolve('endless'), END_MAX_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Whatever a replica logs as an error is one. */
function alarmed(tally: Tally): Logger {
  const quiet = () => undefined;
  return {
    debug: quiet,
    info: quiet,
    warn: quiet,
    error: (fields, message) =>
      tally.find({ what: 'was logged as an error', request: null, detail: `${message} ${inspect(fields)}` }),
  };
}

function inspect(value: unknown): string {
  if (value instanceof Error) return value.stack ?? value.message;
  if (typeof value === 'object' && value !== null && 'error' in value) return inspect(value.error);
  return String(value);
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

async function heapLeftMiB(): Promise<number> {
  for (let times = 0; times < 3; times++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    collectGarbage();
  }
  return process.memoryUsage().heapUsed / 1024 / 1024;
}
