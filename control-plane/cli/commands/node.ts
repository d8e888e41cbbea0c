/** `berth node`: the machines. */
import type { Command } from 'commander';
import { allPages } from '../../../shared/client/client.ts';
import type { NodeView } from '../../../shared/protocol/views.ts';
import { sleep } from '../../../shared/util/clock.ts';
import { durationSeconds, onOrOff } from '../arguments.ts';
import { CliError, EXIT } from '../exit.ts';
import type { Io } from '../io.ts';
import { nodeShape, renderNode } from '../output/shapes.ts';
import { counted } from '../output/text.ts';
import { collect, openSession, type Session, showList } from '../session.ts';
import { addMaintenanceCommands } from './maintenance.ts';
import { addReservationCommands } from './reservation.ts';

interface DrainFlags {
  readonly deadline?: number;
  readonly grace?: number;
  readonly undo?: boolean;
  readonly wait?: boolean;
}

const DRAIN_EXAMPLES = `
Examples:
  berth node drain edge-1                    no new tasks; services move off, the rest ends by itself
  berth node drain edge-1 --deadline 10m     what still runs after ten minutes is stopped
  berth node drain edge-1 --undo
`;

const GONE_TEXT = `
Its tasks end as lost, whatever their jobs wait for, all that it held is given back, and it is no longer listed. Only for a node that
is not connected. If the old machine comes back after all, its agent ends what it still runs. A new machine joins under the same id
with a join token.

Examples:
  berth node gone edge-1 --yes
`;

export function addNodeCommands(program: Command, io: Io, finish: (exitCode: number) => void): void {
  const node = program
    .command('node')
    .summary('list, show, drain and remove nodes, and keep some of them for roles')
    .description('The machines that tasks run on.');
  node
    .command('list')
    .description('List nodes, and what of each is held.')
    .option('--state <state>', 'only in this state')
    .option('-w, --watch', 'show it again whenever it changes')
    .action(async (flags: { state?: string; watch?: boolean }, self: Command) => {
      const session = await openSession(io, self);
      const read = () => collect(allPages((page) => session.client.nodes.list({ ...page, state: flags.state })));
      await showList(session, { watch: flags.watch === true, read, shape: nodeShape });
    });
  node
    .command('show')
    .description('Show a node: what it has, what it allows, and what runs on it.')
    .argument('<node>', 'its id')
    .action(async (id: string, _flags: object, self: Command) => {
      const { client, printer } = await openSession(io, self);
      const found = await client.nodes.get(id);
      const tasks = await collect(allPages((page) => client.tasks.list({ ...page, node: id, state: ['live'] })));
      const { width } = printer;
      printer.one(found, { name: id, render: (paint, nowMs) => renderNode(found, tasks, { paint, nowMs, width }) });
    });
  addDrain(node, io, finish);
  addStopKeptAside(node, io);
  addReservationCommands(node, io);
  addMaintenanceCommands(node, io);
  node
    .command('eligibility')
    .description('Say whether a node may get new tasks. What runs there goes on.')
    .argument('<node>', 'its id')
    .argument('<on|off>', 'on: it may', onOrOff)
    .action(async (id: string, eligible: boolean, _flags: object, self: Command) => {
      const { client, printer } = await openSession(io, self);
      const changed = await client.nodes.setEligibility(id, { eligible });
      printer.note(
        `node ${changed.id} ${changed.eligible ? 'may get new tasks' : 'gets no new tasks'} (${changed.state})`,
      );
    });
  node
    .command('gone')
    .description('Say that a node is no more: its machine was scrapped, or its disk replaced.')
    .argument('<node>', 'its id')
    .option('--yes', 'nothing runs there any more')
    .addHelpText('after', GONE_TEXT)
    .action(async (id: string, flags: { yes?: boolean }, self: Command) => {
      await declareGone(await openSession(io, self), id, flags);
    });
}

async function declareGone({ client, printer }: Session, id: string, { yes }: { yes?: boolean }): Promise<void> {
  if (yes !== true) {
    throw new CliError(`node ${id} is left as it is: what it runs would end as lost and start elsewhere`, {
      exitCode: EXIT.usage,
      remedy: `If nothing runs there any more, and never will: berth node gone ${id} --yes`,
    });
  }
  const gone = await client.nodes.declareGone(id);
  printer.note(`node ${id} was declared gone by ${gone.by}: ${counted(gone.tasks, 'task')} of it lost`);
}

function addDrain(node: Command, io: Io, finish: (exitCode: number) => void): void {
  node
    .command('drain')
    .description(
      'Empty a node: it gets no new tasks, services move off it, and at the deadline what is left is stopped.',
    )
    .argument('<node>', 'its id')
    .option(
      '--deadline <duration>',
      'stop what still runs after this time (default: let everything end by itself)',
      durationSeconds,
    )
    .option(
      '--grace <duration>',
      'kill what is stopped after this time at the latest (default: each in its own time)',
      durationSeconds,
    )
    .option('--undo', 'let it have tasks again')
    .option('--wait', 'wait until nothing is left on it')
    .addHelpText('after', DRAIN_EXAMPLES)
    .action(async (id: string, flags: DrainFlags, self: Command) => {
      finish(await drain(await openSession(io, self), id, flags));
    });
}

const KEPT_ASIDE_HELP = `
After etcd was restored from an older snapshot and the cluster recovered, containers that the state knows nothing of run on
until this is asked for. \`berth node show\` lists them.

Examples:
  berth node stop-kept-aside edge-1 train-main-0     this one
  berth node stop-kept-aside edge-1 --all            all of them
`;

function addStopKeptAside(node: Command, io: Io): void {
  node
    .command('stop-kept-aside')
    .description('End what runs on a node from a part of history that is lost.')
    .argument('<node>', 'its id')
    .argument('[tasks...]', 'the ids of tasks that it keeps aside, or the starts of them')
    .option('--all', 'all that it keeps aside')
    .option('--reason <text>', 'why, as it will stand in records')
    .addHelpText('after', KEPT_ASIDE_HELP)
    .action(async (id: string, texts: string[], flags: { all?: boolean; reason?: string }, self: Command) => {
      if (texts.length === 0 && flags.all !== true) {
        throw new CliError('name the tasks, or give --all', { exitCode: EXIT.usage });
      }
      if (texts.length > 0 && flags.all === true) {
        throw new CliError('name the tasks or give --all, not both', { exitCode: EXIT.usage });
      }
      const { client, printer } = await openSession(io, self);
      const found = await client.nodes.get(id);
      const tasks = flags.all === true ? undefined : texts.map((text) => keptAsideTask(found, text));
      const { reason } = flags;
      const options = { ...(tasks !== undefined && { tasks }), ...(reason !== undefined && { reason }) };
      const { keptAside } = await client.nodes.stopKeptAside(id, options);
      const ending = keptAside.filter(({ stop }) => stop !== null).length;
      printer.note(`node ${id} is to end ${ending} of the ${counted(keptAside.length, 'task')} that it keeps aside`);
    });
}

/** The one with this id, or the only one whose id starts so. */
function keptAsideTask({ id, keptAside }: NodeView, text: string): string {
  const ids = keptAside.map(({ task }) => task);
  const [only, ...others] = ids.includes(text) ? [text] : ids.filter((task) => task.startsWith(text));
  if (only !== undefined && others.length === 0) return only;
  const remedy = `See \`berth node show ${id}\`.`;
  if (only === undefined)
    throw new CliError(`node ${id} keeps no task aside whose id starts with "${text}"`, { remedy });
  throw new CliError(`${counted(others.length + 1, 'task')} start with "${text}"`, { exitCode: EXIT.usage, remedy });
}

const DRAIN_LOOK_MS = 1000;

async function drain({ client, printer, io }: Session, id: string, flags: DrainFlags): Promise<number> {
  if (flags.undo === true) {
    const undone = await client.nodes.undrain(id);
    printer.note(`node ${id} is no longer drained (${undone.state})`);
    return EXIT.ok;
  }
  let node = await client.nodes.drain(id, {
    deadlineSeconds: flags.deadline ?? null,
    ...(flags.grace !== undefined && { graceSecondsMax: flags.grace }),
  });
  printer.note(`draining node ${id}: ${counted(node.tasks, 'task')} on it`);
  const leave = new AbortController();
  const restore = io.onInterruption(() => leave.abort());
  try {
    while (flags.wait === true && node.tasks > 0 && !leave.signal.aborted) {
      await sleep(io.clock, DRAIN_LOOK_MS, leave.signal);
      node = await client.nodes.get(id);
    }
  } finally {
    restore();
  }
  if (leave.signal.aborted) return EXIT.interrupted;
  if (flags.wait === true) printer.note(`node ${id} is empty`);
  return EXIT.ok;
}
