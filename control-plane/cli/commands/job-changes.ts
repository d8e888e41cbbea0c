/** `berth job scale` and its like: what is done to services that stand. */
import { type Command, InvalidArgumentError } from 'commander';
import { allPages } from '../../../shared/client/client.ts';
import type { Answer } from '../../../shared/client/transport.ts';
import type { JobKey } from '../../../shared/domain/ids.ts';
import type { JobView } from '../../../shared/protocol/views.ts';
import { jobKey, jobName, wholeNumber } from '../arguments.ts';
import { CliError, EXIT } from '../exit.ts';
import { followDeployment } from '../follow/follow-deployment.ts';
import type { Io } from '../io.ts';
import { deploymentShape } from '../output/service-shapes.ts';
import { printable } from '../output/text.ts';
import { collect, openSession, type Session } from '../session.ts';
import { describeChange } from '../spec-diff.ts';

interface ChangeFlags {
  readonly role?: string;
  readonly force?: boolean;
  readonly detach?: boolean | undefined;
}

const SCALE_EXAMPLES = `
Examples:
  berth job scale web 5
  berth job scale web 5 --group api
  berth job scale web --by=-2
`;

export function addJobChangeCommands(job: Command, io: Io, finish: (exitCode: number) => void): void {
  addScale(job, io, finish);
  addRestart(job, io, finish);
  addRevert(job, io, finish);
  addSuspension(job, io, finish);
  addRetry(job, io);
  addDifferences(job, io);
}

/** What all have that are rolled out by a deployment. */
function rolling(job: Command, name: string): Command {
  return job
    .command(name)
    .argument('<job>', 'its name, or role/name')
    .option('--role <path>', 'its role')
    .option('-f, --force', 'cancel the deployment that is under way')
    .option('-d, --detach', 'do not wait for the deployment');
}

function addScale(job: Command, io: Io, finish: (exitCode: number) => void): void {
  rolling(job, 'scale')
    .summary('say how many tasks a service is to have')
    .description('Say how many tasks a group of a service is to have. What runs goes on as it is.')
    .argument('[count]', 'how many', wholeNumber)
    .option('--by <n>', 'how many more, or fewer, than now', difference)
    .option('--group <name>', 'which group; needed where the job has several')
    .addHelpText('after', SCALE_EXAMPLES)
    .action(
      async (
        text: string,
        count: number | undefined,
        flags: ChangeFlags & { by?: number; group?: string },
        self: Command,
      ) => {
        const { by, group } = flags;
        if ((count === undefined) === (by === undefined)) {
          throw new CliError('say how many tasks, or --by how many more', { exitCode: EXIT.usage });
        }
        const wish = { ...(group !== undefined && { group }), ...(count === undefined ? { by } : { count }) };
        const session = await openSession(io, self);
        finish(
          await change(session, jobKey(text, flags.role), flags, (key) => session.client.jobs.scale(key, wish, flags)),
        );
      },
    );
}

function difference(text: string): number {
  if (/^[+-]?\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It must be a whole number, such as 2 or -2.');
}

function addRestart(job: Command, io: Io, finish: (exitCode: number) => void): void {
  rolling(job, 'restart')
    .summary('exchange every task of a service')
    .description('Exchange every task of a service for a new one that is made from the same, by a deployment.')
    .action(async (text: string, flags: ChangeFlags, self: Command) => {
      const session = await openSession(io, self);
      finish(await change(session, jobKey(text, flags.role), flags, (key) => session.client.jobs.restart(key, flags)));
    });
}

function addRevert(job: Command, io: Io, finish: (exitCode: number) => void): void {
  rolling(job, 'revert')
    .summary('roll out an earlier version of a service again')
    .description(
      'Roll out an earlier version again: the one that is named, or the last that was rolled out with success.',
    )
    .option('--to <version>', 'its number, as berth job history shows it', wholeNumber)
    .action(async (text: string, flags: ChangeFlags & { to?: number }, self: Command) => {
      const session = await openSession(io, self);
      const options = { force: flags.force, version: flags.to };
      const key = jobKey(text, flags.role);
      const why = ': what it would be reverted to is what is wanted already, so nothing is restarted';
      finish(await change(session, key, flags, () => session.client.jobs.revert(key, options), why));
    });
}

/** Makes the change, says what it came to, and stays with its deployment. */
async function change(
  session: Session,
  key: JobKey,
  { detach }: Pick<ChangeFlags, 'detach'>,
  make: (key: JobKey) => Promise<Answer<JobView>>,
  /** Is told where nothing has changed. */
  whyUnchanged = '',
): Promise<number> {
  const { client, printer } = session;
  const before = (await client.jobs.get(key)).body;
  const { body: after } = await make(key);
  if (after.version === before.version)
    printer.note(`job ${jobName(key)} is unchanged (version ${after.version})${whyUnchanged}`);
  else printer.note(`job ${jobName(key)}: version ${before.version} → ${after.version}`);
  if (printer.format !== 'table') printer.one(after, { name: jobName(after), render: () => '' });
  return followed(session, after, { detach });
}

async function followed(session: Session, job: JobView, { detach }: Pick<ChangeFlags, 'detach'>): Promise<number> {
  if (detach === true || job.deployment === null) return EXIT.ok;
  return followDeployment(session, job, job.deployment.id);
}

function addSuspension(job: Command, io: Io, finish: (exitCode: number) => void): void {
  job
    .command('suspend')
    .description('Stop all that runs of a service, and keep it so until it is resumed.')
    .argument('<job>', 'its name, or role/name')
    .option('--role <path>', 'its role')
    .option('--reason <text>', 'why, as it will stand in the record')
    .option('-f, --force', 'cancel the deployment that is under way')
    .action(async (text: string, flags: ChangeFlags & { reason?: string }, self: Command) => {
      const session = await openSession(io, self);
      const key = jobKey(text, flags.role);
      const { force, reason } = flags;
      const { body } = await session.client.jobs.suspend(key, { force, ...(reason !== undefined && { reason }) });
      session.printer.note(`job ${jobName(key)} ${body.state}: ${printable(body.message)}`);
    });
  job
    .command('resume')
    .description('Roll a suspended service out again.')
    .argument('<job>', 'its name, or role/name')
    .option('--role <path>', 'its role')
    .option('-d, --detach', 'do not wait for the deployment')
    .action(async (text: string, flags: ChangeFlags, self: Command) => {
      const session = await openSession(io, self);
      const key = jobKey(text, flags.role);
      const { body } = await session.client.jobs.resume(key);
      session.printer.note(`job ${jobName(key)} ${body.state}: ${printable(body.message)}`);
      finish(await followed(session, body, flags));
    });
}

function addRetry(job: Command, io: Io): void {
  job
    .command('retry')
    .description('Try again at once what waits since tasks before it have gone wrong.')
    .argument('<job>', 'its name, or role/name')
    .option('--role <path>', 'its role')
    .action(async (text: string, flags: { role?: string }, self: Command) => {
      const session = await openSession(io, self);
      const { body } = await session.client.jobs.retry(jobKey(text, flags.role));
      session.printer.note(`job ${jobName(body)} ${body.state}: ${printable(body.message)}`);
    });
}

function addDifferences(job: Command, io: Io): void {
  job
    .command('diff')
    .description('Show what differs between two versions of a job.')
    .argument('<job>', 'its name, or role/name')
    .argument('[version]', 'the later one; without it: the one that is wanted now', wholeNumber)
    .argument('[since]', 'the earlier one; without it: the one before', wholeNumber)
    .option('--role <path>', 'its role')
    .action(
      async (
        text: string,
        version: number | undefined,
        since: number | undefined,
        flags: { role?: string },
        self: Command,
      ) => {
        const session = await openSession(io, self);
        const key = jobKey(text, flags.role);
        const later = version ?? (await session.client.jobs.get(key)).body.version;
        const view = await session.client.jobs.changes(key, later, { since });
        const lines = view.changes.map(describeChange);
        session.printer.one(view, {
          name: jobName(key),
          render: () => `${(lines.length === 0 ? ['nothing differs'] : lines).join('\n')}\n`,
        });
      },
    );
  job
    .command('deployments')
    .description('List the deployments of a job, the newest first.')
    .argument('<job>', 'its name, or role/name')
    .option('--role <path>', 'its role')
    .action(async (text: string, flags: { role?: string }, self: Command) => {
      const session = await openSession(io, self);
      const key = jobKey(text, flags.role);
      const all = await collect(allPages((page) => session.client.jobs.deployments(key, page)));
      session.printer.list(all, deploymentShape);
    });
}
