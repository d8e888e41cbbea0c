/** `berth settings`: what is set for the cluster as a whole. */
import { type Command, Option } from 'commander';
import { GPU_NODE_POLICIES, type GpuNodePolicy } from '../../../shared/domain/settings.ts';
import type { SettingsView } from '../../../shared/protocol/roles.ts';
import { amountsGathered, durationSeconds, gathered, wholeNumber } from '../arguments.ts';
import { CliError, EXIT } from '../exit.ts';
import type { Io } from '../io.ts';
import { renderSettings } from '../output/role-shapes.ts';
import { openSession, type Session } from '../session.ts';

interface SetFlags {
  readonly gpuNodes?: GpuNodePolicy;
  readonly offerTimeout?: number;
  /** False: anything will do. */
  readonly minAllocatable?: readonly Record<string, number>[] | false;
  /** False: everything counts. */
  readonly exclude?: readonly string[] | false;
  readonly auditKeep?: number;
}

const SET_HELP = `
What isn't named stays as it is.

Examples:
  berth settings set --gpu-nodes preferred            others may use GPU nodes, when no other node has room
  berth settings set --offer-timeout 30s              no framework holds an offer for longer
  berth settings set --min-allocatable cpus=0.1,memMiB=64 --min-allocatable gpus=1
  berth settings set --exclude gpus --exclude fpga    what doesn't count in a role's share
  berth settings set --audit-keep 365                 who did what stays on record for a year
`;

export function addSettingsCommands(program: Command, io: Io): void {
  const settings = program
    .command('settings')
    .summary('show and set what holds for the cluster as a whole')
    .description('What is set for the cluster as a whole.');
  settings
    .command('show')
    .description('Show what is set.')
    .action(async (_flags: object, self: Command) => {
      const session = await openSession(io, self);
      showSettings(session, await session.client.settings.get());
    });
  settings
    .command('set')
    .description('Set some of it.')
    .addOption(new Option('--gpu-nodes <policy>', 'for whom nodes with GPUs are').choices(GPU_NODE_POLICIES))
    .option('--offer-timeout <duration>', 'how long a framework may hold an offer', durationSeconds)
    .option('--min-allocatable <amounts>', 'an offer holds at least one of these (repeatable)', amountsGathered)
    .option('--no-min-allocatable', 'an offer may hold as little as there is')
    .option('--exclude <name>', "a resource that doesn't count in shares (repeatable)", gathered)
    .option('--no-exclude', 'every resource counts in shares')
    .option('--audit-keep <days>', 'how long who did what stays on record', wholeNumber)
    .addHelpText('after', SET_HELP)
    .action(async (flags: SetFlags, self: Command) => set(await openSession(io, self), flags));
}

function showSettings({ printer }: Session, settings: SettingsView): void {
  printer.one(settings, { name: 'settings', render: (paint) => renderSettings(settings, paint) });
}

async function set(session: Session, flags: SetFlags): Promise<void> {
  const { gpuNodes, offerTimeout, minAllocatable, exclude, auditKeep } = flags;
  if ([gpuNodes, offerTimeout, minAllocatable, exclude, auditKeep].every((flag) => flag === undefined)) {
    throw new CliError('nothing was said that should be set', {
      exitCode: EXIT.usage,
      remedy: 'See `berth settings set --help`.',
    });
  }
  const { version, ...before } = await session.client.settings.get();
  const after = {
    gpuNodes: gpuNodes ?? before.gpuNodes,
    offerTimeoutSeconds: offerTimeout ?? before.offerTimeoutSeconds,
    minAllocatable: minAllocatable === false ? [] : [...(minAllocatable ?? before.minAllocatable)],
    excludedFromShares: exclude === false ? [] : [...(exclude ?? before.excludedFromShares)],
    auditKeepDays: auditKeep ?? before.auditKeepDays,
  };
  showSettings(session, await session.client.settings.set(after, { ifVersion: version }));
}
