/** `berth offer`: what frameworks hold without having used it yet. */
import type { Command } from 'commander';
import { allPages } from '../../../shared/client/client.ts';
import type { Io } from '../io.ts';
import { offerShape } from '../output/framework-shapes.ts';
import { collect, openSession, showList } from '../session.ts';

interface ListFlags {
  readonly framework?: string;
  readonly node?: string;
  readonly role?: string;
  readonly watch?: boolean;
}

export function addOfferCommands(program: Command, io: Io): void {
  const offer = program
    .command('offer')
    .summary('list offers that stand')
    .description('Resources of nodes that are held for frameworks until they answer.');
  offer
    .command('list')
    .description('List offers: who holds what of which node, for how long, and until when.')
    .option('--framework <id>', 'only of this framework')
    .option('--node <id>', 'only of this node')
    .option('--role <path>', 'only for this role and those below it')
    .option('-w, --watch', 'show it again whenever it changes')
    .action(async ({ watch, ...query }: ListFlags, self: Command) => {
      const session = await openSession(io, self);
      const read = () => collect(allPages((page) => session.client.offers.list({ ...page, ...query })));
      await showList(session, { watch: watch === true, read, shape: offerShape });
    });
}
