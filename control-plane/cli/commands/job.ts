/** `berth job`: what is wanted. */
import type { Command } from 'commander';
import { allPages } from '../../../shared/client/client.ts';
import { ApiError } from '../../../shared/client/errors.ts';
import type { JobKey, TaskId } from '../../../shared/domain/ids.ts';
import type { DeploymentView } from '../../../shared/protocol/deployments.ts';
import type { JobVersionView, JobView, PlanView } from '../../../shared/protocol/views.ts';
import { jobKey, jobName, wholeNumber } from '../arguments.ts';
import { EXIT } from '../exit.ts';
import { followDeployment } from '../follow/follow-deployment.ts';
import { followJob } from '../follow/follow-job.ts';
import { createTaskOutput, incompleteOutput } from '../follow/task-output.ts';
import { hasEnded, hasStarted, type JobSnapshot } from '../follow/watch-job.ts';
import type { Io } from '../io.ts';
import { type JobDocument, jobFileError, readJobFiles } from '../job-file.ts';
import type { Paint } from '../output/paint.ts';
import { servicePlanLines } from '../output/service-shapes.ts';
import { explanationLines, jobShape, renderJob, versionShape } from '../output/shapes.ts';
import { counted, printable } from '../output/text.ts';
import { collect, openSession, type Session, showList } from '../session.ts';
import { changesBetween, describeChange } from '../spec-diff.ts';
import { addJobChangeCommands } from './job-changes.ts';
import { addWhy } from './why.ts';

const APPLY_EXAMPLES = `
Examples:
  berth job apply job.yaml
  berth job apply --detach jobs/*.yaml
  generate-jobs | berth job apply -

A file may hold several jobs, separated by ---. Nothing is changed unless all of them are sound.
`;

export function addJobCommands(program: Command, io: Io, finish: (exitCode: number) => void): void {
  const job = program
    .command('job')
    .summary('create, change, show and stop jobs')
    .description('What is wanted: jobs and their versions.');
  addApply(job, io, finish);
  addPlan(job, io, finish);
  addReading(job, io);
  addWhy(job, io);
  addEnding(job, io, finish);
  addJobChangeCommands(job, io, finish);
}

function addApply(job: Command, io: Io, finish: (exitCode: number) => void): void {
  job
    .command('apply')
    .alias('run')
    .summary('create or change jobs from files')
    .description(
      'Create or change the jobs in the files, say what changed, and wait until every task runs or has ended, and every service is rolled out.',
    )
    .argument('<file...>', 'YAML or JSON; - is standard input')
    .option('-d, --detach', 'do not wait')
    .option('-f, --force', 'cancel deployments of these jobs that are under way')
    .addHelpText('after', APPLY_EXAMPLES)
    .action(async (files: string[], flags: { detach?: boolean; force?: boolean }, self: Command) => {
      const session = await openSession(io, self);
      const documents = await readJobFiles(files, io.readStdin);
      await planAll(session, documents);
      const applied: JobView[] = [];
      for (const document of documents) applied.push(await applyJob(session, document, flags));
      if (session.printer.format !== 'table') session.printer.list(applied, jobShape);
      finish(flags.detach === true ? EXIT.ok : await waitForStarts(session, applied));
    });
}

function addPlan(job: Command, io: Io, finish: (exitCode: number) => void): void {
  job
    .command('plan')
    .summary('show what apply would do, and where tasks would go')
    .description(
      'A dry run: what would change, where tasks would be placed and why, and what would not fit. Nothing is written.',
    )
    .argument('<file...>', 'YAML or JSON; - is standard input')
    .addHelpText(
      'after',
      '\nExample:\n  berth job plan job.yaml\n\nExits with 1 when something would not find a place now.\n',
    )
    .action(async (files: string[], _flags: object, self: Command) => {
      const session = await openSession(io, self);
      const documents = await readJobFiles(files, io.readStdin);
      const plans = await planAll(session, documents);
      for (const [index, plan] of plans.entries()) {
        const key = documents[index]?.key ?? { name: '', role: 'default' };
        session.printer.one(plan, { name: jobName(key), render: (paint) => renderPlan(key, plan, paint) });
      }
      finish(plans.some((plan) => plan.unplaced.length + plan.waiting.length > 0) ? EXIT.failed : EXIT.ok);
    });
}

/** Plans every job, so that faults in any of them are known before the first is changed. */
async function planAll(session: Session, documents: readonly JobDocument[]): Promise<PlanView[]> {
  const plans: PlanView[] = [];
  const faults: string[] = [];
  for (const document of documents) {
    try {
      plans.push(await session.client.jobs.plan(document.spec));
    } catch (error) {
      if (!(error instanceof ApiError) || error.faults.length === 0) throw error;
      faults.push(...error.faults.map(document.locate));
    }
  }
  if (faults.length > 0) throw jobFileError(faults);
  return plans;
}

async function applyJob(
  { client, printer }: Session,
  { key, spec }: JobDocument,
  { force }: { readonly force?: boolean },
): Promise<JobView> {
  const before = await readIfThere(client.jobs.get(key));
  const precondition = before === null ? { onlyCreate: true } : { ifVersion: before.body.version };
  const { body: after } = await client.jobs.put(spec, { ...precondition, force });
  const name = jobName(key);
  if (before === null) {
    printer.note(`${printer.paintNote('green', 'created')} job ${name}`);
  } else if (after.version === before.body.version) {
    printer.note(`job ${name} is unchanged (version ${after.version})`);
  } else {
    printer.note(
      `${printer.paintNote('yellow', 'changed')} job ${name}: version ${before.body.version} → ${after.version}`,
    );
    for (const change of changesBetween(before.body.spec, after.spec)) printer.note(`  ${describeChange(change)}`);
  }
  return after;
}

async function readIfThere<T>(reading: Promise<T>): Promise<T | null> {
  return reading.catch((error: unknown) => {
    if (error instanceof ApiError && error.code === 'not-found') return null;
    throw error;
  });
}

/** Interrupting the wait leaves the jobs as they are. */
async function waitForStarts(session: Session, jobs: readonly JobView[]): Promise<number> {
  const batch = jobs.filter(({ kind }) => kind === 'batch');
  const snapshots = await waitForJobs(session, batch, hasStarted, 'The jobs go on without this command.');
  if (snapshots === null) return EXIT.interrupted;
  for (const { job } of snapshots) session.printer.note(`job ${jobName(job)} ${job.state}: ${printable(job.message)}`);
  let exitCode: number = snapshots.some(({ job }) => job.state === 'failed') ? EXIT.failed : EXIT.ok;
  for (const job of jobs) {
    if (job.deployment === null) continue;
    const verdict = await followDeployment(session, job, job.deployment.id);
    if (verdict === EXIT.interrupted) return verdict;
    if (verdict !== EXIT.ok) exitCode = verdict;
  }
  return exitCode;
}

async function waitForJobs(
  session: Session,
  keys: readonly JobKey[],
  until: (snapshot: JobSnapshot) => boolean,
  farewell: string,
): Promise<JobSnapshot[] | null> {
  const leave = new AbortController();
  const restore = session.io.onInterruption(() => leave.abort());
  try {
    const snapshots: JobSnapshot[] = [];
    for (const key of keys) {
      const snapshot = await followJob(session, key, { until, output: false, signal: leave.signal });
      if (snapshot === null) {
        session.printer.note(farewell);
        return null;
      }
      snapshots.push(snapshot);
    }
    return snapshots;
  } finally {
    restore();
  }
}

function renderPlan(key: JobKey, plan: PlanView, paint: Paint): string {
  const { changes, placements, waiting, unplaced, leftOut } = plan;
  const lines = [paint('bold', `job ${jobName(key)}`)];
  if (changes === null) lines.push('  would be created');
  else if (changes.length === 0) lines.push('  no changes');
  else lines.push(...changes.map((change) => `  ${describeChange(change)}`));
  lines.push(...servicePlanLines(plan, paint));
  for (const placement of placements) {
    lines.push(
      `  ${paint('green', `${placement.group}[${placement.index}]`)} → ${placement.node}: ${printable(placement.why)}`,
    );
  }
  lines.push(...waiting.map(({ message }) => `  ${paint('yellow', 'would wait')}: ${printable(message)}`));
  for (const { group, count, explanation } of unplaced) {
    const [summary = '', ...reasons] = explanationLines(explanation);
    lines.push(
      `  ${paint('red', `${group}: ${counted(count, 'task')} would wait`)}: ${summary}`,
      ...reasons.map((line) => `  ${line}`),
    );
  }
  if (leftOut) lines.push(`  ${printable(leftOut)}`);
  return `${lines.join('\n')}\n`;
}

function addReading(job: Command, io: Io): void {
  job
    .command('list')
    .description('List jobs.')
    .option('--role <path>', 'only of this role and those below it')
    .option('--state <state>', 'only in this state')
    .option('-w, --watch', 'show it again whenever it changes')
    .action(async (flags: { role?: string; state?: string; watch?: boolean }, self: Command) => {
      const session = await openSession(io, self);
      const { role, state } = flags;
      const read = () => collect(allPages((page) => session.client.jobs.list({ ...page, role, state })));
      await showList(session, { watch: flags.watch === true, read, shape: jobShape });
    });
  job
    .command('show')
    .alias('status')
    .description('Show a job, its tasks, and why those wait that have no place. With -o yaml: the whole record.')
    .argument('<job>', 'its name, or role/name')
    .option('--role <path>', 'its role')
    .action(async (text: string, flags: { role?: string }, self: Command) => {
      await showJob(await openSession(io, self), jobKey(text, flags.role));
    });
  job
    .command('history')
    .description('List the versions of a job and what each changed.')
    .argument('<job>', 'its name, or role/name')
    .option('--role <path>', 'its role')
    .action(async (text: string, flags: { role?: string }, self: Command) => {
      const session = await openSession(io, self);
      const key = jobKey(text, flags.role);
      const versions = await collect(allPages((page) => session.client.jobs.versions(key, page)));
      const deployments = await collect(allPages((page) => session.client.jobs.deployments(key, page)));
      session.printer.list(withChanges(versions, deployments), versionShape);
    });
  addLogs(job, io);
}

function addLogs(job: Command, io: Io): void {
  job
    .command('logs')
    .description('Show the output of all tasks of a job; each line starts with its task.')
    .argument('<job>', 'its name, or role/name')
    .option('--role <path>', 'its role')
    .option('-f, --follow', 'go on until the job has ended')
    .option('--tail <n>', 'only the last lines of each task', wholeNumber)
    .action(async (text: string, flags: { role?: string; follow?: boolean; tail?: number }, self: Command) => {
      const session = await openSession(io, self);
      const key = jobKey(text, flags.role);
      const { signal } = new AbortController();
      if (flags.follow === true) {
        const gaps: (readonly TaskId[])[] = [];
        const onMissing = (tasks: readonly TaskId[]) => void gaps.push(tasks);
        await followJob(session, key, { until: hasEnded, output: true, quiet: true, signal, onMissing });
        for (const tasks of gaps) throw incompleteOutput(tasks);
        return;
      }
      const { body } = await session.client.jobs.get(key);
      const tasks = await collect(
        allPages((page) => session.client.tasks.list({ ...page, job: key.name, role: key.role })),
      );
      const output = createTaskOutput(session, { follow: false, prefix: true, tail: flags.tail }, signal);
      for (const task of tasks) if (task.job?.uid === body.uid && task.node !== null) output.add(task);
      const incomplete = await output.finish();
      if (incomplete.length > 0) throw incompleteOutput(incomplete);
    });
}

async function showJob({ client, printer }: Session, key: JobKey): Promise<void> {
  const { body: job } = await client.jobs.get(key);
  const all = await collect(allPages((page) => client.tasks.list({ ...page, job: key.name, role: key.role })));
  const tasks = all.filter((task) => task.job?.uid === job.uid);
  const pending = tasks.find((task) => task.state === 'pending');
  const explanation = pending === undefined ? null : (await client.tasks.get(pending.id)).explanation;
  printer.one(job, {
    name: jobName(job),
    render: (paint, nowMs) => {
      const why = explanation === null ? '' : `\n${pending?.id} waits: ${explanationLines(explanation).join('\n')}\n`;
      return renderJob(job, tasks, { paint, nowMs, width: printer.width }) + why;
    },
  });
}

/** Newest first, each with what it changed against the one before it, and what came of it. */
function withChanges(
  versions: readonly JobVersionView[],
  deployments: readonly DeploymentView[],
): (JobVersionView & { changes: string; rollout: string })[] {
  // The newest first as well: of a version that was rolled out again, the last verdict counts.
  const verdicts = new Map(deployments.toReversed().map(({ toVersion, state }) => [toVersion, state]));
  const sorted = [...versions].sort((a, b) => b.version - a.version);
  return sorted.map((version, at) => {
    const before = sorted[at + 1];
    const changes = before === undefined ? [] : changesBetween(before.spec, version.spec).map(describeChange);
    const rollout = verdicts.get(version.version) ?? '-';
    return { ...version, rollout, changes: before === undefined ? 'first version' : changes.join('; ') };
  });
}

interface EndFlags {
  readonly role?: string;
  readonly reason?: string;
  readonly detach?: boolean;
}

function addEnding(job: Command, io: Io, finish: (exitCode: number) => void): void {
  job
    .command('stop')
    .description('Stop jobs: their tasks get their grace, then are killed. Waits until all have ended.')
    .argument('<job...>', 'names, or role/name')
    .option('--role <path>', 'their role')
    .option('--reason <text>', 'why, as it will stand in the record')
    .option('-d, --detach', 'do not wait')
    .action(async (texts: string[], flags: EndFlags, self: Command) => {
      const session = await openSession(io, self);
      const keys = texts.map((text) => jobKey(text, flags.role));
      const options = flags.reason === undefined ? {} : { reason: flags.reason };
      for (const key of keys) {
        await session.client.jobs.stop(key, options);
        session.printer.note(`stopping job ${jobName(key)}`);
      }
      finish(flags.detach === true ? EXIT.ok : await waitForEnds(session, keys));
    });
  job
    .command('delete')
    .description('Stop jobs and remove their records once nothing of them runs any more.')
    .argument('<job...>', 'names, or role/name')
    .option('--role <path>', 'their role')
    .action(async (texts: string[], flags: EndFlags, self: Command) => {
      const session = await openSession(io, self);
      for (const key of texts.map((text) => jobKey(text, flags.role))) {
        await session.client.jobs.remove(key);
        session.printer.note(`deleting job ${jobName(key)}`);
      }
    });
}

async function waitForEnds(session: Session, keys: readonly JobKey[]): Promise<number> {
  const snapshots = await waitForJobs(session, keys, hasEnded, 'The jobs are being stopped without this command.');
  if (snapshots === null) return EXIT.interrupted;
  for (const { job } of snapshots) session.printer.note(`job ${jobName(job)} ${job.state}: ${printable(job.message)}`);
  return EXIT.ok;
}
