/** `berth node maintenance`: when nodes are to be taken out of service. */
import type { Command } from 'commander';
import { allPages } from '../../../shared/client/client.ts';
import { durationSeconds, timeMs } from '../arguments.ts';
import { CliError, EXIT } from '../exit.ts';
import type { Io } from '../io.ts';
import { maintenanceShape, windowText } from '../output/maintenance-shapes.ts';
import { counted } from '../output/text.ts';
import { collect, openSession, showList } from '../session.ts';

const SET_HELP = `
Nothing is stopped by it. While it lasts the node gets no new tasks and is offered to nobody; frameworks that have something there are
told beforehand, and \`berth node maintenance list\` shows what they say to it. To empty the node, drain it as well.

Examples:
  berth node maintenance set edge-1 --in 2h --for 30m
  berth node maintenance set edge-1 --at 2026-12-24T18:00Z --until 2026-12-24T20:00Z
  berth node maintenance set edge-1 --in 0s              from now on, until it is taken back
`;

interface SetFlags {
  readonly at?: number;
  readonly in?: number;
  readonly for?: number;
  readonly until?: number;
}

/** Below `berth node`. */
export function addMaintenanceCommands(node: Command, io: Io): void {
  const maintenance = node
    .command('maintenance')
    .summary('list, set and take back when nodes are out of service')
    .description('When nodes are to be taken out of service.');
  maintenance
    .command('list')
    .description('List what is planned and running, and what frameworks say to it.')
    .option('-w, --watch', 'show it again whenever it changes')
    .action(async (flags: { watch?: boolean }, self: Command) => {
      const session = await openSession(io, self);
      const read = () => collect(allPages((page) => session.client.maintenance.list(page)));
      await showList(session, { watch: flags.watch === true, read, shape: maintenanceShape });
    });
  maintenance
    .command('set')
    .description('Say when a node is to be out of service, in the place of what was said before.')
    .argument('<node>', 'its id')
    .option('--at <time>', 'when it begins, such as 2026-12-24T18:00Z', timeMs)
    .option('--in <duration>', 'how long from now it begins', durationSeconds)
    .option('--until <time>', 'when it ends', timeMs)
    .option('--for <duration>', 'how long it lasts (default: until it is taken back)', durationSeconds)
    .addHelpText('after', SET_HELP)
    .action(async (id: string, flags: SetFlags, self: Command) => {
      const time = timeOf(flags, io.clock.now());
      const { client, printer } = await openSession(io, self);
      const made = await client.maintenance.set(id, time);
      printer.note(`node ${made.node} is out of service ${windowText(made)}${concernText(made.frameworks.length)}`);
    });
  maintenance
    .command('clear')
    .description('Take back what was said of a node. What is running ends by that.')
    .argument('<node>', 'its id')
    .action(async (id: string, _flags: object, self: Command) => {
      const { client, printer } = await openSession(io, self);
      const cleared = await client.maintenance.clear(id);
      printer.note(`nothing is planned for node ${cleared.id} (${cleared.state})`);
    });
}

function concernText(frameworks: number): string {
  return frameworks === 0 ? '' : `; ${counted(frameworks, 'framework')} with something there will be told`;
}

/** What the flags say, by this machine's clock where they count from now. */
function timeOf({ at, in: inSeconds, until, for: forSeconds }: SetFlags, nowMs: number) {
  if ((at === undefined) === (inSeconds === undefined)) throw usage('say when it begins: with --at or with --in');
  if (until !== undefined && forSeconds !== undefined)
    throw usage('say when it ends with --until or with --for, not both');
  const startsAtMs = at ?? nowMs + (inSeconds ?? 0) * 1000;
  const seconds = until === undefined ? forSeconds : (until - startsAtMs) / 1000;
  if (seconds !== undefined && seconds <= 0) throw usage('it has to end after it begins');
  return { startsAt: new Date(startsAtMs).toISOString(), durationSeconds: seconds ?? null };
}

function usage(message: string): CliError {
  return new CliError(message, { exitCode: EXIT.usage });
}
