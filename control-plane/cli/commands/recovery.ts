/** `berth cluster recover`: what follows on a restored etcd. */
import type { Command } from 'commander';
import { CliError, EXIT } from '../exit.ts';
import type { Io } from '../io.ts';
import { counted } from '../output/text.ts';
import { openSession } from '../session.ts';

const EXPLANATION = `
For after etcd was restored from an older snapshot, and for nothing else. What happened since the snapshot is gone from the
state, but agents have seen it and run what was placed meanwhile. Until this is done they keep all of it and get nothing new.

With it, all sessions end and agents join anew:
  - what the state places where it runs goes on; what it calls running and has ended gets its end, or is lost
  - what the state knows nothing of is kept aside: it runs on, and \`berth node show\` lists it
  - what the state calls pending and a node runs already ends as lost, so that it isn't started twice
Clients that come with what they saw before are told once that history has changed (410).
No task gets a place for one lease time, so that every node can say what it runs first.

Examples:
  berth status                    which nodes have seen a later state
  berth cluster recover --yes
`;

export function addRecovery(program: Command, io: Io): void {
  const cluster = program.command('cluster').summary('recover the cluster').description('The cluster as a whole.');
  cluster
    .command('recover')
    .description('Accept the state as it is, after etcd was restored from an older snapshot.')
    .option('--yes', 'yes, etcd was restored and this state is to count')
    .addHelpText('after', EXPLANATION)
    .action(async ({ yes }: { yes?: boolean }, self: Command) => {
      if (yes !== true) throw unconfirmed();
      const { client, printer } = await openSession(io, self);
      const recovered = await client.recover();
      const { incarnation, nodes } = recovered;
      printer.one(recovered, { name: String(incarnation), render: () => `recovered: incarnation ${incarnation}\n` });
      printer.note(`${counted(nodes, 'node')} known to the state; each joins anew. See \`berth status\`.`);
    });
}

function unconfirmed(): CliError {
  return new CliError('this makes the state as it is in etcd count, against what agents have seen since', {
    exitCode: EXIT.usage,
    lines: ['It is only for after etcd was restored from an older snapshot, and can not be taken back.'],
    remedy: 'See `berth cluster recover --help`; if that is what happened, repeat it with --yes.',
  });
}
