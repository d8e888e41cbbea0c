/** The output of a job's tasks as it arises, on the CLI's own stdout and stderr; lines of several tasks carry their names. */
import { ApiError, UnreachableError } from '../../../shared/client/errors.ts';
import type { TaskView } from '../../../shared/protocol/views.ts';
import { sleep } from '../../../shared/util/clock.ts';
import type { Colour } from '../output/paint.ts';
import { printable } from '../output/text.ts';
import type { Session } from '../session.ts';
import { taskLabel } from './progress.ts';

export interface OutputQuery {
  readonly follow: boolean;
  readonly tail?: number | undefined;
  readonly since?: string | undefined;
  readonly timestamps?: boolean | undefined;
  /** Each line starts with its task's name. */
  readonly prefix: boolean;
}

/** How many tasks are read at once; the others wait for a turn and lose nothing by it. */
const STREAMS_MAX = 64;
const AGAIN_MS = 2000;
const LABEL_COLOURS: readonly Colour[] = ['cyan', 'magenta', 'blue', 'green', 'yellow'];

export interface TaskOutput {
  /** Starts to show a task's output, unless that has been done. */
  add(task: TaskView): void;
  /** No task is added any more and none runs any more: resolves when all output has been shown. */
  finish(): Promise<void>;
}

export function createTaskOutput(session: Session, query: OutputQuery, signal: AbortSignal): TaskOutput {
  const seen = new Set<string>();
  const reading = new Set<Promise<void>>();
  const turn = createTurnstile(STREAMS_MAX);
  let ended = false;
  return {
    add(task) {
      if (seen.has(task.id)) return;
      const colour = LABEL_COLOURS[seen.size % LABEL_COLOURS.length] ?? 'plain';
      seen.add(task.id);
      const shown = turn.pass(() => showTask(session, task, { query, colour, signal, isOver: () => ended }));
      const counted = shown.finally(() => reading.delete(counted));
      reading.add(counted);
    },
    async finish() {
      ended = true;
      await Promise.all(reading);
    },
  };
}

interface Showing {
  readonly query: OutputQuery;
  readonly colour: Colour;
  readonly signal: AbortSignal;
  /** The task runs no more: what can't be read now won't come later. */
  readonly isOver: () => boolean;
}

/** Shows one task's output to its end. Output that can't be had right now is asked for again while the task lives. */
async function showTask(session: Session, task: TaskView, showing: Showing): Promise<void> {
  const { query, signal } = showing;
  let since = query.since;
  let tail = query.tail;
  let told = '';
  while (!signal.aborted) {
    let trouble: string | null = null;
    try {
      for await (const event of session.client.tasks.logs(task.id, { follow: query.follow, tail, since, signal })) {
        if (event.kind === 'end') return;
        if (event.kind === 'error') trouble = event.message;
        if (event.kind !== 'line') break;
        writeLine(session, task, event.line, showing);
        if (event.line.at !== '' && event.line.continues !== true) since = event.line.at;
        tail = undefined;
      }
    } catch (error) {
      if (!(error instanceof ApiError || error instanceof UnreachableError)) throw error;
      trouble = error.message;
    }
    if (trouble === null || signal.aborted) return;
    if (trouble !== told) session.printer.note(`output of ${task.id}: ${printable(trouble)}`);
    told = trouble;
    if (!query.follow || showing.isOver()) return;
    await sleep(session.io.clock, AGAIN_MS, signal);
  }
}

function writeLine(
  session: Session,
  task: TaskView,
  line: { readonly at: string; readonly stream: 'stdout' | 'stderr'; readonly text: string },
  { query, colour }: Showing,
): void {
  const { io, printer } = session;
  const [output, paint] = line.stream === 'stdout' ? [io.out, printer.paint] : [io.err, printer.paintNote];
  const prefix = query.prefix ? `${paint(colour, taskLabel(task))} | ` : '';
  const time = query.timestamps === true ? `${line.at} ` : '';
  output.write(`${prefix}${time}${line.text}\n`);
}

interface Turnstile {
  pass(work: () => Promise<void>): Promise<void>;
}

function createTurnstile(places: number): Turnstile {
  let free = places;
  const waiting: (() => void)[] = [];
  return {
    async pass(work) {
      if (free > 0) free -= 1;
      else await new Promise<void>((resolve) => waiting.push(resolve));
      try {
        await work();
      } finally {
        const next = waiting.shift();
        if (next) next();
        else free += 1;
      }
    },
  };
}
