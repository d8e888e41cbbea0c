/** `berth task`: what runs, ran or waits. */
import type { Command } from 'commander';
import { allPages, type BerthClient } from '../../../shared/client/client.ts';
import { ApiError } from '../../../shared/client/errors.ts';
import type { TaskView } from '../../../shared/protocol/views.ts';
import { gathered, wholeNumber } from '../arguments.ts';
import { CliError, EXIT } from '../exit.ts';
import { createTaskOutput, incompleteOutput } from '../follow/task-output.ts';
import type { Io } from '../io.ts';
import { renderTask, taskShape } from '../output/shapes.ts';
import { counted } from '../output/text.ts';
import { collect, openSession, showList } from '../session.ts';

interface ListFlags {
  readonly job?: string;
  readonly framework?: string;
  readonly role?: string;
  readonly node?: string;
  readonly state?: readonly string[];
  readonly watch?: boolean;
}

interface LogFlags {
  readonly follow?: boolean;
  readonly tail?: number;
  readonly since?: string;
  readonly timestamps?: boolean;
}

const ANY_PREFIX = 'its id, or the start of one that no other task has';

export function addTaskCommands(program: Command, io: Io): void {
  const task = program
    .command('task')
    .summary('list, show, read and stop tasks')
    .description('What runs, ran or waits: the instances of jobs, and what frameworks have launched.');
  task
    .command('list')
    .description('List tasks.')
    .option('--job <name>', 'only of this job')
    .option('--framework <name>', 'only of this framework')
    .option('--role <path>', 'only of this role')
    .option('--node <id>', 'only on this node')
    .option('--state <state>', 'only in this state; live: all that have not ended (repeatable)', gathered)
    .option('-w, --watch', 'show it again whenever it changes')
    .addHelpText('after', '\nExamples:\n  berth task list --state live\n  berth task list --node edge-1 -o name\n')
    .action(async ({ watch, ...query }: ListFlags, self: Command) => {
      const session = await openSession(io, self);
      const read = () => collect(allPages((page) => session.client.tasks.list({ ...page, ...query })));
      await showList(session, { watch: watch === true, read, shape: taskShape });
    });
  task
    .command('show')
    .description('Show a task, every step of its life, and while it has no place, why.')
    .argument('<task>', ANY_PREFIX)
    .action(async (text: string, _flags: object, self: Command) => {
      const { client, printer } = await openSession(io, self);
      const found = await findTask(client, text);
      const render = { nowMs: io.clock.now(), width: printer.width };
      printer.one(found, { name: found.id, render: (paint) => renderTask(found, { paint, ...render }) });
    });
  addLogs(task, io);
  task
    .command('stop')
    .description('Stop one task. A batch job does not start another in its place.')
    .argument('<task>', ANY_PREFIX)
    .option('--reason <text>', 'why, as it will stand in the record')
    .action(async (text: string, flags: { reason?: string }, self: Command) => {
      const { client, printer } = await openSession(io, self);
      const { id } = await findTask(client, text);
      const stopped = await client.tasks.stop(id, flags.reason === undefined ? {} : { reason: flags.reason });
      printer.one(stopped, { name: id, render: () => '' });
      printer.note(`stopping task ${id}`);
    });
}

function addLogs(task: Command, io: Io): void {
  task
    .command('logs')
    .description("Show a task's output: its stdout on stdout, its stderr on stderr.")
    .argument('<task>', ANY_PREFIX)
    .option('-f, --follow', 'go on until the task ends; one that has not started, or whose node is away, is waited for')
    .option('--tail <n>', 'only the last lines of what there is', wholeNumber)
    .option('--since <time>', 'only after this time (RFC 3339), or of the last so long (5m)')
    .option('-t, --timestamps', 'start each line with its time')
    .addHelpText(
      'after',
      '\nExamples:\n  berth task logs -f train-main-0\n  berth task logs --since 10m --timestamps train-main-0\n',
    )
    .action(async (text: string, flags: LogFlags, self: Command) => {
      const session = await openSession(io, self);
      const found = await findTask(session.client, text);
      const { follow = false, tail, since, timestamps } = flags;
      const query = { follow, tail, since, timestamps, prefix: false };
      const output = createTaskOutput(session, query, new AbortController().signal);
      output.add(found);
      const incomplete = await output.finish();
      if (incomplete.length > 0) throw incompleteOutput(incomplete);
    });
}

/** The task with this id, or the only one whose id starts so. */
export async function findTask(client: BerthClient, text: string): Promise<TaskView> {
  try {
    return await client.tasks.get(text);
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 'not-found') throw error;
  }
  const all = await collect(allPages((page) => client.tasks.list(page)));
  const [only, ...others] = all.filter((task) => task.id.startsWith(text));
  if (only === undefined) {
    throw new CliError(`there is no task whose id starts with "${text}"`, { remedy: 'See `berth task list`.' });
  }
  if (others.length === 0) return client.tasks.get(only.id);
  const shown = [only, ...others].slice(0, AMBIGUOUS_SHOWN_MAX).map((task) => `${task.id} (${task.state})`);
  throw new CliError(`${counted(others.length + 1, 'task')} start with "${text}"`, {
    exitCode: EXIT.usage,
    lines: shown,
    remedy: 'Write more of the id.',
  });
}

const AMBIGUOUS_SHOWN_MAX = 10;
