/** `berth framework`: schedulers that take offers, what they hold, and their end. */
import type { Command } from 'commander';
import { allPages, type BerthClient } from '../../../shared/client/client.ts';
import type { FrameworkView } from '../../../shared/protocol/framework.ts';
import { CliError, EXIT } from '../exit.ts';
import type { Io } from '../io.ts';
import { frameworkShape, renderFramework } from '../output/framework-shapes.ts';
import { counted, printable } from '../output/text.ts';
import { collect, openSession, type Session, showList } from '../session.ts';

const ANY_PREFIX = 'its id, its name if no other has it, or the start of its id';

const TEARDOWN_HELP = `
Its tasks end, its offers are taken back, and nobody can subscribe with its id again.

Examples:
  berth framework teardown painter --reason "replaced by a service" --yes
`;

interface TeardownFlags {
  readonly reason?: string;
  readonly yes?: boolean;
}

export function addFrameworkCommands(program: Command, io: Io): void {
  const framework = program
    .command('framework')
    .summary('list and show frameworks, and tear one down')
    .description('Schedulers outside of Berth that are made offers and decide by themselves what runs on them.');
  framework
    .command('list')
    .description('List frameworks: what each holds, and for how long it has left offers unanswered.')
    .option('--role <path>', 'only those of this role and of the ones below it')
    .option('-w, --watch', 'show it again whenever it changes')
    .action(async (flags: { role?: string; watch?: boolean }, self: Command) => {
      const session = await openSession(io, self);
      const read = () => collect(allPages((page) => session.client.frameworks.list({ ...page, role: flags.role })));
      await showList(session, { watch: flags.watch === true, read, shape: frameworkShape });
    });
  framework
    .command('show')
    .description('Show a framework, the offers that it holds, and its tasks that have not ended.')
    .argument('<framework>', ANY_PREFIX)
    .action(async (text: string, _flags: object, self: Command) => {
      const session = await openSession(io, self);
      await show(session, await findFramework(session.client, text));
    });
  framework
    .command('teardown')
    .description('End a framework for good.')
    .argument('<framework>', ANY_PREFIX)
    .option('--reason <text>', 'why, as it will stand in the record')
    .option('--yes', 'its tasks may end')
    .addHelpText('after', TEARDOWN_HELP)
    .action(async (text: string, flags: TeardownFlags, self: Command) => {
      const session = await openSession(io, self);
      await tearDown(session, await findFramework(session.client, text), flags);
    });
}

async function show({ client, printer, io }: Session, framework: FrameworkView): Promise<void> {
  const { id } = framework;
  const offers = await collect(allPages((page) => client.offers.list({ ...page, framework: id })));
  const live = { framework: id, state: ['live'] };
  const tasks = await collect(allPages((page) => client.tasks.list({ ...page, ...live })));
  const render = { nowMs: io.clock.now(), width: printer.width };
  printer.one(framework, {
    name: id,
    render: (paint) => renderFramework(framework, { offers, tasks }, { paint, ...render }),
  });
}

async function tearDown({ client, printer }: Session, framework: FrameworkView, flags: TeardownFlags): Promise<void> {
  const { id, name } = framework;
  if (flags.yes !== true) {
    throw new CliError(`framework ${name} (${id}) is left as it is: its tasks would end, and it could not come back`, {
      exitCode: EXIT.usage,
      remedy: `If that is wanted: berth framework teardown ${id} --yes`,
    });
  }
  const ending = await client.frameworks.tearDown(id, flags.reason === undefined ? {} : { reason: flags.reason });
  printer.one(ending, { name: id, render: () => '' });
  printer.note(`framework ${ending.name} (${id}): ${printable(ending.message)}`);
}

/** The framework with this id or name, or the only one whose id starts so. */
async function findFramework(client: BerthClient, text: string): Promise<FrameworkView> {
  const all = await collect(allPages((page) => client.frameworks.list(page)));
  const exact = all.filter(({ id, name }) => id === text || name === text);
  // One that was torn down keeps its name until it is forgotten.
  const standing = exact.filter(({ id, teardown }) => id === text || teardown === null);
  const found = [standing, exact, all.filter(({ id }) => id.startsWith(text))].find((some) => some.length > 0) ?? [];
  const [only, ...others] = found;
  const remedy = 'See `berth framework list`.';
  if (only === undefined) throw new CliError(`there is no framework "${text}"`, { remedy });
  if (others.length === 0) return only;
  throw new CliError(`${counted(found.length, 'framework')} can be meant by "${text}"`, {
    exitCode: EXIT.usage,
    lines: found.slice(0, AMBIGUOUS_SHOWN_MAX).map(({ id, name, state }) => `${id} ${name} (${state})`),
    remedy: 'Write the id.',
  });
}

const AMBIGUOUS_SHOWN_MAX = 10;
