/** `berth deployment`: how services get from one version to the next. */
import type { Command } from 'commander';
import { allPages } from '../../../shared/client/client.ts';
import { ApiError } from '../../../shared/client/errors.ts';
import type { DeploymentView } from '../../../shared/protocol/deployments.ts';
import { gathered, jobKey } from '../arguments.ts';
import { EXIT } from '../exit.ts';
import { followDeployment } from '../follow/follow-deployment.ts';
import type { Io } from '../io.ts';
import { deploymentShape, renderDeployment } from '../output/service-shapes.ts';
import { printable } from '../output/text.ts';
import { collect, openSession, type Session, showList } from '../session.ts';

const WHICH = 'its id, or the name of the job that it is of';

interface Which {
  readonly role?: string;
}

export function addDeploymentCommands(program: Command, io: Io, finish: (exitCode: number) => void): void {
  const deployment = program
    .command('deployment')
    .summary('show, promote, pause and abort deployments of services')
    .description('How services get from one version to the next.');
  addReading(deployment, io);
  addPromote(deployment, io, finish);
  addHolding(deployment, io);
  addAbort(deployment, io);
}

function addReading(deployment: Command, io: Io): void {
  deployment
    .command('list')
    .description(
      'List deployments, the newest first: those that are under way, and those that are over and not forgotten yet.',
    )
    .option('--job <job>', 'only of this job')
    .option('--role <path>', 'only of this role and those below it')
    .option('--state <state>', 'only in this state; may be repeated', gathered)
    .option('-w, --watch', 'show it again whenever it changes')
    .action(async (flags: Which & { job?: string; state?: string[]; watch?: boolean }, self: Command) => {
      const session = await openSession(io, self);
      const { job, role, state } = flags;
      const read = () => collect(allPages((page) => session.client.deployments.list({ ...page, job, role, state })));
      await showList(session, { watch: flags.watch === true, read, shape: deploymentShape });
    });
  named(deployment, 'show')
    .description('Show a deployment: how far it is, when it fails, how it came out.')
    .action(async (text: string, flags: Which, self: Command) => {
      const session = await openSession(io, self);
      show(session, await find(session, text, flags));
    });
}

function addPromote(deployment: Command, io: Io, finish: (exitCode: number) => void): void {
  named(deployment, 'promote')
    .description('Let what has been tried out follow everywhere: the rest of a canary, the new set of blue-green.')
    .option('-f, --force', 'even if not all of it is healthy')
    .option('-d, --detach', 'do not wait for its end')
    .action(async (text: string, flags: Which & { force?: boolean; detach?: boolean }, self: Command) => {
      const session = await openSession(io, self);
      const { id, job } = await find(session, text, flags);
      tell(session, await session.client.deployments.promote(id, { force: flags.force === true }));
      finish(flags.detach === true ? EXIT.ok : await followDeployment(session, job, id));
    });
}

function addHolding(deployment: Command, io: Io): void {
  named(deployment, 'pause')
    .description('Let a deployment make and stop nothing until it is resumed.')
    .action(async (text: string, flags: Which, self: Command) => {
      const session = await openSession(io, self);
      tell(session, await session.client.deployments.pause((await find(session, text, flags)).id));
    });
  named(deployment, 'resume')
    .description('Let a paused deployment go on.')
    .action(async (text: string, flags: Which, self: Command) => {
      const session = await openSession(io, self);
      tell(session, await session.client.deployments.resume((await find(session, text, flags)).id));
    });
}

function addAbort(deployment: Command, io: Io): void {
  named(deployment, 'abort')
    .description('End a deployment halfway, and roll out again what was wanted before.')
    .option('--no-revert', 'leave things as far as they have come')
    .action(async (text: string, flags: Which & { revert: boolean }, self: Command) => {
      const session = await openSession(io, self);
      const { id } = await find(session, text, flags);
      tell(session, await session.client.deployments.abort(id, { revert: flags.revert }));
    });
}

function named(deployment: Command, name: string): Command {
  return deployment.command(name).argument('<deployment>', WHICH).option('--role <path>', 'the role of the job');
}

/** The one with this id; else that of the job with this name that is under way, or its last. */
async function find({ client }: Session, text: string, { role }: Which): Promise<DeploymentView> {
  const byId = await client.deployments.get(text).catch((error: unknown) => {
    const isNoId = error instanceof ApiError && (error.code === 'not-found' || error.code === 'invalid-request');
    if (isNoId) return null;
    throw error;
  });
  if (byId !== null) return byId;
  const all = await collect(allPages((page) => client.jobs.deployments(jobKey(text, role), page)));
  const [latest] = all;
  return latest ?? client.deployments.get(text);
}

function show({ printer }: Session, deployment: DeploymentView): void {
  printer.one(deployment, {
    name: deployment.id,
    render: (paint, nowMs) => renderDeployment(deployment, { paint, nowMs, width: printer.width }),
  });
}

function tell(session: Session, deployment: DeploymentView): void {
  const { id, state, message } = deployment;
  if (session.printer.format !== 'table') show(session, deployment);
  session.printer.note(`deployment ${id} ${state}: ${printable(message)}`);
}
