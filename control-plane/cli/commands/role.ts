/** `berth role`: who the resources are for, what each may have, and what it holds. */
import type { Command } from 'commander';
import { allPages } from '../../../shared/client/client.ts';
import { ApiError } from '../../../shared/client/errors.ts';
import type { RoleView } from '../../../shared/protocol/roles.ts';
import { amountsArgument, weightArgument } from '../arguments.ts';
import { CliError, EXIT } from '../exit.ts';
import type { Io } from '../io.ts';
import type { Paint } from '../output/paint.ts';
import { renderRole, roleShape } from '../output/role-shapes.ts';
import { collect, openSession, type Session, showList } from '../session.ts';

interface SetFlags {
  readonly weight?: number;
  /** False: none at all. */
  readonly limit?: Record<string, number> | false;
  readonly guarantee?: Record<string, number> | false;
  readonly force?: boolean;
}

const SET_HELP = `
What isn't named stays as it is. Amounts are cpus, memMiB, diskMiB, gpus, or what nodes declare.

Examples:
  berth role set eng --weight 2                            due twice what a role beside it is due
  berth role set eng --guarantee cpus=16,memMiB=32G        it can always come to hold so much
  berth role set eng/ml --limit gpus=4                     it never holds more, with all below it
  berth role set eng/ml --no-limit
`;

export function addRoleCommands(program: Command, io: Io): void {
  const role = program
    .command('role')
    .summary('list and show roles, and set what they may have')
    .description('Who the resources are for: paths such as eng/ml. A role is there as soon as something is in it.');
  role
    .command('list')
    .description('List roles: what each holds, for how long, and what it is due.')
    .option('--role <path>', 'only this role and those below it')
    .option('-w, --watch', 'show it again whenever it changes')
    .action(async (flags: { role?: string; watch?: boolean }, self: Command) => {
      const session = await openSession(io, self);
      const read = () => collect(allPages((page) => session.client.roles.list({ ...page, role: flags.role })));
      await showList(session, { watch: flags.watch === true, read, shape: roleShape });
    });
  role
    .command('show')
    .description('Show a role: what it may have, what it holds, for how long, and its frameworks.')
    .argument('<role>', 'its path')
    .action(async (path: string, _flags: object, self: Command) => {
      const session = await openSession(io, self);
      await showRole(session, await session.client.roles.get(path));
    });
  role
    .command('set')
    .description("Set a role's weight, limit and guarantee.")
    .argument('<role>', 'its path')
    .option('--weight <number>', 'beside its siblings, twice the weight is due twice the share', weightArgument)
    .option('--limit <amounts>', 'what it may hold at the most, with all below it', amountsArgument)
    .option('--no-limit', 'no limit')
    .option('--guarantee <amounts>', 'what it can always come to hold, with all below it', amountsArgument)
    .option('--no-guarantee', 'no guarantee')
    .option('--force', 'also promise more than the nodes have, or set a limit below what is held')
    .addHelpText('after', SET_HELP)
    .action(async (path: string, flags: SetFlags, self: Command) => {
      await set(await openSession(io, self), path, flags);
    });
  role
    .command('unset')
    .description('Take back what is set for a role. What it holds stays.')
    .argument('<role>', 'its path')
    .action(async (path: string, _flags: object, self: Command) => {
      const { client, printer } = await openSession(io, self);
      await client.roles.unset(path);
      printer.note(`role ${path} has the weight 1, no limit and no guarantee`);
    });
}

async function showRole({ client, printer }: Session, role: RoleView): Promise<void> {
  const { width } = printer;
  const frameworks = await collect(allPages((page) => client.frameworks.list({ ...page, role: role.path })));
  const render = (paint: Paint, nowMs: number) => renderRole(role, frameworks, { paint, nowMs, width });
  printer.one(role, { name: role.path, render });
}

/** What is set by one person isn't undone by another who only wanted to change something else: the version is compared. */
async function set(
  session: Session,
  path: string,
  { weight, limit, guarantee, force = false }: SetFlags,
): Promise<void> {
  if (weight === undefined && limit === undefined && guarantee === undefined) {
    throw new CliError(`nothing was said that role ${path} should have`, {
      exitCode: EXIT.usage,
      remedy: 'Give --weight, --limit or --guarantee; see `berth role set --help`.',
    });
  }
  const { client } = session;
  const before = await termsOf(session, path);
  const request = {
    weight: weight ?? before.weight,
    limit: limit === false ? {} : (limit ?? before.limit),
    guarantee: guarantee === false ? {} : (guarantee ?? before.guarantee),
    force,
  };
  await showRole(session, await client.roles.set(path, request, { ifVersion: before.version }));
}

type Terms = Pick<RoleView, 'version' | 'weight' | 'limit' | 'guarantee'>;

/** Of a role that nothing is in and for which nothing is set: the defaults. */
async function termsOf({ client }: Session, path: string): Promise<Terms> {
  try {
    return await client.roles.get(path);
  } catch (error) {
    if (error instanceof ApiError && error.code === 'not-found')
      return { version: 0, weight: 1, limit: {}, guarantee: {} };
    throw error;
  }
}
