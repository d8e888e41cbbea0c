/** The output of a job's tasks as it arises, on the CLI's own stdout and stderr; lines of several tasks carry their names. */
import { ApiError, UnreachableError } from '../../../shared/client/errors.ts';
import type { TaskId } from '../../../shared/domain/ids.ts';
import { isTerminal } from '../../../shared/domain/task.ts';
import type { TaskView } from '../../../shared/protocol/views.ts';
import { type BackoffPolicy, jitteredBackoffMs } from '../../../shared/util/backoff.ts';
import { sleep } from '../../../shared/util/clock.ts';
import { CliError, EXIT } from '../exit.ts';
import type { Colour } from '../output/paint.ts';
import { counted, printable, printableOutput } from '../output/text.ts';
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
const AGAIN: BackoffPolicy = { baseMs: 500, factor: 2, maxMs: 5000 };
/** How often in a row the output of a task that runs no more is asked for in vain before it counts as lost. */
const LAST_TRIES_MAX = 5;
const LABEL_COLOURS: readonly Colour[] = ['cyan', 'magenta', 'blue', 'green', 'yellow'];

export interface TaskOutput {
  /** Starts to show a task's output, unless that has been done. */
  add(task: TaskView): void;
  /** No task is added any more. Resolves when all output has been shown, or can't be had: with the tasks whose output has gaps. */
  finish(): Promise<readonly TaskId[]>;
}

export function createTaskOutput(session: Session, query: OutputQuery, signal: AbortSignal): TaskOutput {
  const seen = new Set<string>();
  const reading = new Set<Promise<void>>();
  const incomplete: TaskId[] = [];
  const turn = createTurnstile(STREAMS_MAX);
  return {
    add(task) {
      if (seen.has(task.id)) return;
      const colour = LABEL_COLOURS[seen.size % LABEL_COLOURS.length] ?? 'plain';
      seen.add(task.id);
      const shown = turn.pass(async () => {
        if (!(await showTask(session, task, { query, colour, signal }))) incomplete.push(task.id);
      });
      const settled = shown.finally(() => reading.delete(settled));
      reading.add(settled);
    },
    async finish() {
      await Promise.all(reading);
      return incomplete;
    },
  };
}

/** What `logs` fails with where there is more output than it could show. */
export function incompleteOutput(tasks: readonly TaskId[]): CliError {
  const [first, ...more] = tasks;
  const others = more.length === 0 ? '' : ` and of ${counted(more.length, 'other task')}`;
  const what = first === undefined ? 'the output' : `the output of task ${first}${others}`;
  return new CliError(`${what} is incomplete`, {
    exitCode: EXIT.outputMissing,
    remedy: 'What a node still keeps can be read later, with the same command.',
  });
}

interface Showing {
  readonly query: OutputQuery;
  readonly colour: Colour;
  readonly signal: AbortSignal;
}

/** Where to go on, should it break off. */
interface Position {
  since: string | undefined;
  tail: number | undefined;
  /** How often in a row nothing has come. */
  failures: number;
}

/**
 * Why there is no more for now. `away`: it comes back, or is declared gone. `unclear`: another try may do. `final`: none will.
 */
interface Trouble {
  readonly why: string;
  readonly kind: 'away' | 'unclear' | 'final';
}

/**
 * Shows one task's output to its end. Who follows it gets all that there is: what breaks off is taken up again, also after the
 * task has ended, until nothing is missing or nothing can come any more. False: something is missing.
 */
async function showTask(session: Session, task: TaskView, showing: Showing): Promise<boolean> {
  const { query, signal } = showing;
  const { io, printer } = session;
  const position: Position = { since: query.since, tail: query.tail, failures: 0 };
  let told = '';
  while (!signal.aborted) {
    const trouble = await showSome(session, task, showing, position);
    if (trouble === null || signal.aborted) return true;
    if (trouble.why !== told) printer.note(`output of ${task.id}: ${printable(trouble.why)}`);
    told = trouble.why;
    position.failures += 1;
    if (!query.follow || !(await mayStillCome(session, task.id, trouble, position.failures))) return false;
    await sleep(io.clock, jitteredBackoffMs(AGAIN, position.failures - 1, io.random.next()), signal);
  }
  return true;
}

/** Null: it is complete. */
async function showSome(
  session: Session,
  task: TaskView,
  showing: Showing,
  position: Position,
): Promise<Trouble | null> {
  const { query, signal } = showing;
  const { since, tail } = position;
  try {
    for await (const event of session.client.tasks.logs(task.id, { follow: query.follow, tail, since, signal })) {
      if (event.kind === 'end') return null;
      if (event.kind === 'error') return { why: event.message, kind: event.isPassing ? 'away' : 'unclear' };
      writeLine(session, task, event.line, showing);
      if (event.line.at !== '' && event.line.continues !== true) position.since = event.line.at;
      position.tail = undefined;
      position.failures = 0;
    }
    return null;
  } catch (error) {
    if (error instanceof UnreachableError) return { why: error.message, kind: 'unclear' };
    if (error instanceof ApiError) return { why: error.message, kind: troubleKind(error) };
    throw error;
  }
}

/** A replica that is behind may not know a new task yet. */
function troubleKind({ code, problem }: ApiError): Trouble['kind'] {
  if (problem.retryAfterSeconds !== undefined) return 'away';
  return code === 'not-found' ? 'unclear' : 'final';
}

async function mayStillCome(session: Session, id: TaskId, { kind }: Trouble, failures: number): Promise<boolean> {
  if (kind === 'away') return true;
  if (kind === 'final') return false;
  return failures < LAST_TRIES_MAX || (await runsStill(session, id));
}

async function runsStill({ client }: Session, id: TaskId): Promise<boolean> {
  try {
    return !isTerminal((await client.tasks.get(id)).state);
  } catch (error) {
    if (error instanceof ApiError || error instanceof UnreachableError) return false;
    throw error;
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
  // A file or another program gets it as it is.
  const text = output.isTerminal ? printableOutput(line.text) : line.text;
  output.write(`${prefix}${time}${text}\n`);
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
