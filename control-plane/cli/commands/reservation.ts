/** `berth node reservations`, `reserve`, `unreserve`, and `berth volume`: what of nodes is kept for roles, and what lasts on it. */
import type { Command } from 'commander';
import { allPages } from '../../../shared/client/client.ts';
import { amountsArgument, mebibytes } from '../arguments.ts';
import { CliError, EXIT } from '../exit.ts';
import type { Io } from '../io.ts';
import { reservationShape, volumeShape } from '../output/reservation-shapes.ts';
import { amountsText } from '../output/role-shapes.ts';
import { mebibytesText } from '../output/text.ts';
import { collect, openSession } from '../session.ts';

const RESERVE_HELP = `
The role is charged for all of it, used or not. Amounts are cpus, memMiB, diskMiB, gpus, or what the node declares.

Examples:
  berth node reserve edge-1 eng/ml cpus=2,memMiB=4G
  berth node reserve edge-1 ops diskMiB=100G --id archive
  berth node unreserve edge-1 archive
`;

/** Below `berth node`. */
export function addReservationCommands(node: Command, io: Io): void {
  node
    .command('reservations')
    .description('List what is kept for roles: of one node, or of all.')
    .argument('[node]', 'its id')
    .option('--role <path>', 'only for this role and those below it')
    .action(async (id: string | undefined, flags: { role?: string }, self: Command) => {
      const { client, printer } = await openSession(io, self);
      const query = { node: id, role: flags.role };
      printer.list(
        await collect(allPages((page) => client.reservations.list({ ...page, ...query }))),
        reservationShape,
      );
    });
  node
    .command('reserve')
    .description('Keep something of a node for a role.')
    .argument('<node>', 'its id')
    .argument('<role>', 'only it and the roles below it may use what is kept')
    .argument('<amounts>', 'how much, such as cpus=2,memMiB=4G', amountsArgument)
    .option('--id <id>', 'how the reservation is to be called (default: one is made up)')
    .addHelpText('after', RESERVE_HELP)
    .action(
      async (id: string, role: string, amounts: Record<string, number>, flags: { id?: string }, self: Command) => {
        const { client, printer } = await openSession(io, self);
        const request = { role, amounts, ...(flags.id !== undefined && { id: flags.id }) };
        const made = await client.reservations.create(id, request);
        printer.one(made, { name: made.id, render: () => `${made.id}\n` });
        printer.note(`${amountsText(amounts)} of node ${id} is kept for role ${role}`);
      },
    );
  node
    .command('unreserve')
    .description('Give back what was kept for a role.')
    .argument('<node>', 'its id')
    .argument('<reservation>', 'its id; see `berth node reservations`')
    .action(async (id: string, reservation: string, _flags: object, self: Command) => {
      const { client, printer } = await openSession(io, self);
      const { role } = await client.reservations.remove(id, reservation);
      printer.note(`reservation ${reservation} on node ${id} is given back by role ${role}`);
    });
}

const CREATE_HELP = `
Tasks of the reservation's role, and of the roles below it, mount the volume by its id, on this node:
  mounts: [{type: persistent, source: data, target: /data}]

Examples:
  berth node reserve edge-1 ops diskMiB=100G --id archive
  berth volume create edge-1 archive --size 20G --id data
`;

export function addVolumeCommands(program: Command, io: Io): void {
  const volume = program
    .command('volume')
    .summary('list, make and delete volumes that outlive tasks')
    .description('Folders of nodes, on reserved disk, that stay when tasks end.');
  volume
    .command('list')
    .description('List volumes.')
    .option('--node <id>', 'only of this node')
    .option('--role <path>', 'only of this role and those below it')
    .action(async (flags: { node?: string; role?: string }, self: Command) => {
      const { client, printer } = await openSession(io, self);
      const { node, role } = flags;
      printer.list(await collect(allPages((page) => client.volumes.list({ ...page, node, role }))), volumeShape);
    });
  volume
    .command('create')
    .description("Make a volume on a reservation's disk.")
    .argument('<node>', "the node's id")
    .argument('<reservation>', 'whose disk it is made of; see `berth node reservations`')
    .requiredOption('--size <amount>', 'how much of it, in MiB or like 20G', mebibytes)
    .option('--id <id>', 'what jobs name it by (default: one is made up)')
    .addHelpText('after', CREATE_HELP)
    .action(async (node: string, reservation: string, flags: { size: number; id?: string }, self: Command) => {
      const { client, printer } = await openSession(io, self);
      const request = { reservation, sizeMiB: flags.size, ...(flags.id !== undefined && { id: flags.id }) };
      const made = await client.volumes.create(node, request);
      printer.one(made, { name: made.id, render: () => `${made.id}\n` });
      printer.note(`volume ${made.id} of ${mebibytesText(made.sizeMiB)} on node ${node}, for role ${made.role}`);
    });
  volume
    .command('delete')
    .description('Delete a volume with all that is in it.')
    .argument('<node>', "the node's id")
    .argument('<volume>', 'its id')
    .option('--yes', 'what is in it is needed no more')
    .addHelpText('after', '\nExamples:\n  berth volume delete edge-1 data --yes\n')
    .action(async (node: string, id: string, { yes }: { yes?: boolean }, self: Command) => {
      if (yes !== true) {
        throw new CliError(`volume ${id} on node ${node} is left as it is: all that is in it would be gone`, {
          exitCode: EXIT.usage,
          remedy: `If it is needed no more: berth volume delete ${node} ${id} --yes`,
        });
      }
      const { client, printer } = await openSession(io, self);
      await client.volumes.remove(node, id);
      printer.note(`volume ${id} on node ${node} goes as soon as the node's agent has deleted it`);
    });
}
