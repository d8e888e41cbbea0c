/** `berth run`: one job from the command line, followed to its end. */
import type { Command } from 'commander';
import { Option } from 'commander';
import { ApiError } from '../../../shared/client/errors.ts';
import type { Constraint } from '../../../shared/domain/constraint.ts';
import type { Fault } from '../../../shared/domain/errors.ts';
import type { JobKey } from '../../../shared/domain/ids.ts';
import { NETWORK_MODES, PULL_POLICIES } from '../../../shared/domain/job.ts';
import type { JobSpecInput } from '../../../shared/protocol/job.ts';
import { randomId } from '../../../shared/util/random.ts';
import {
  constraintArgument,
  decimal,
  durationSeconds,
  envPair,
  jobName,
  mebibytes,
  type PortArgument,
  portArgument,
  wholeNumber,
} from '../arguments.ts';
import { CliError, describeFailure, EXIT } from '../exit.ts';
import { exitCodeOf, followJob } from '../follow/follow-job.ts';
import { hasEnded } from '../follow/watch-job.ts';
import type { Interruption, Io } from '../io.ts';
import { jobFileError, readJobFiles } from '../job-file.ts';
import { printable } from '../output/text.ts';
import { openSession, type Session } from '../session.ts';

interface RunFlags {
  readonly name?: string;
  readonly role?: string;
  readonly cpus?: number;
  readonly mem?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly port?: readonly PortArgument[];
  readonly network?: (typeof NETWORK_MODES)[number];
  readonly count?: number;
  readonly retries?: number;
  readonly timeout?: number;
  readonly constraint?: readonly Constraint[];
  readonly pull?: (typeof PULL_POLICIES)[number];
  readonly process?: boolean;
  readonly file?: string;
  readonly detach?: boolean;
  readonly quiet?: boolean;
}

const EXAMPLES = `
Examples:
  berth run alpine:3.20 -- echo hello
  berth run --cpus 0.5 --mem 256 --timeout 10m alpine:3.20 -- sh -c 'make test'
  berth run --count 4 --retries 2 --constraint zone=a worker:1.4
  berth run --port http:8080 --detach web:2
  berth run --process -- uname -a
  berth run -f job.yaml

The exit code is the container's own; of several tasks, that of the first that failed. 125 means that Berth itself failed.
Ctrl-C stops the job; a second one leaves at once.
`;

export function addRunCommand(program: Command, io: Io, finish: (exitCode: number) => void): void {
  program
    .command('run')
    .summary('run a container to its end and exit with its code')
    .description('Submit a job, show why it waits and where it runs, stream its output, and exit with its exit code.')
    .argument('[image]', 'the image to run')
    .argument('[command...]', 'the command and its arguments, after --')
    .option('--name <name>', 'name of the job (default: a generated one)')
    .option('--role <path>', 'who the resources are for')
    .option('--cpus <amount>', 'cores per task, such as 0.5', decimal)
    .option('--mem <amount>', 'memory per task, in MiB or like 1.5G', mebibytes)
    .option(
      '-e, --env <name=value>',
      'an environment variable (repeatable; NAME alone is taken from here)',
      envPair(io.env),
    )
    .option('-p, --port <name[:container[:host]]>', 'a port (repeatable)', portArgument)
    .addOption(new Option('--network <mode>', 'how the container is connected').choices(NETWORK_MODES))
    .option('--count <n>', 'how many tasks', wholeNumber)
    .option('--retries <n>', 'new attempts after a failed one', wholeNumber)
    .option('--timeout <duration>', 'stop a task that runs longer', durationSeconds)
    .option('--constraint <expression>', 'what the node must be, such as zone=a (repeatable)', constraintArgument)
    .addOption(new Option('--pull <policy>', 'when to pull the image').choices(PULL_POLICIES))
    .option('--process', 'without a container and an image, as a process of the node')
    .option('-f, --file <path>', 'take the job from a file instead; - is standard input')
    .option('-d, --detach', 'submit it and leave')
    .option('-q, --quiet', 'only the output of the tasks')
    .addHelpText('after', EXAMPLES)
    .action(async (image: string | undefined, command: string[], flags: RunFlags, self: Command) => {
      const session = await openSession(io, self);
      const { spec, explain } = await wantedJob(session, image, command, flags);
      finish(await runJob(session, spec, { flags, explain }));
    });
}

interface WantedJob {
  readonly spec: JobSpecInput;
  /** A fault of the spec, in the words of where it was written. */
  readonly explain: (fault: Fault) => string;
}

async function wantedJob(
  session: Session,
  image: string | undefined,
  command: readonly string[],
  flags: RunFlags,
): Promise<WantedJob> {
  if (flags.file === undefined) {
    const name = flags.name ?? `run-${randomId(session.io.random, 8)}`;
    if (image === undefined) {
      if (flags.process === true) {
        throw new CliError('no command was given', {
          exitCode: EXIT.usage,
          remedy: 'Name one, as in `berth run --process -- uname -a`.',
        });
      }
      throw new CliError('no image was given', {
        exitCode: EXIT.usage,
        remedy: 'Name one, as in `berth run alpine:3.20 -- echo hello`, or a file with -f.',
      });
    }
    // Without an image the first word is the command's too.
    if (flags.process === true) {
      return { spec: specFromFlags({ name, image: null, command: [image, ...command], flags }), explain: faultOfFlag };
    }
    return { spec: specFromFlags({ name, image, command, flags }), explain: faultOfFlag };
  }
  if (flags.process === true) {
    throw new CliError('both --process and a file were given', {
      exitCode: EXIT.usage,
      remedy: 'Say `runtime: process` in the file.',
    });
  }
  if (image !== undefined) {
    throw new CliError('both an image and a file were given', { exitCode: EXIT.usage, remedy: 'Give one of them.' });
  }
  const [document, ...more] = await readJobFiles([flags.file], session.io.readStdin);
  if (document === undefined || more.length > 0) {
    throw new CliError(`${flags.file} holds ${more.length + 1} jobs; run takes one`, {
      exitCode: EXIT.usage,
      remedy: 'Use `berth job apply` for several.',
    });
  }
  const { name = document.key.name, role = document.key.role } = flags;
  return { spec: { ...document.spec, name, role }, explain: document.locate };
}

export function specFromFlags(options: {
  name: string;
  /** Null: without a container. */
  image: string | null;
  command: readonly string[];
  flags: RunFlags;
}): JobSpecInput {
  const { name, image, command, flags } = options;
  const { cpus, mem: memMiB } = flags;
  return {
    name,
    ...(flags.role === undefined ? {} : { role: flags.role }),
    groups: [
      {
        ...commandOf(image, command),
        ...(flags.count === undefined ? {} : { count: flags.count }),
        ...(flags.env === undefined ? {} : { env: { ...flags.env } }),
        resources: { ...(cpus === undefined ? {} : { cpus }), ...(memMiB === undefined ? {} : { memMiB }) },
        ...(flags.network === undefined ? {} : { network: flags.network }),
        ...(flags.port === undefined ? {} : { ports: [...flags.port] }),
        ...(flags.pull === undefined ? {} : { pullPolicy: flags.pull }),
        ...(flags.constraint === undefined ? {} : { constraints: flags.constraint.map(mutableConstraint) }),
        ...(flags.retries === undefined ? {} : { retries: { max: flags.retries } }),
        ...(flags.timeout === undefined ? {} : { timeoutSeconds: flags.timeout }),
      },
    ],
  };
}

function commandOf(image: string | null, command: readonly string[]) {
  if (image === null) return { runtime: 'process' as const, command: [...command] };
  // The image's entrypoint stands, as with every other way of running a container.
  return { image, ...(command.length === 0 ? {} : { args: [...command] }) };
}

function mutableConstraint({ values, ...rest }: Constraint) {
  return values === undefined ? rest : { ...rest, values: [...values] };
}

/** The flag that a part of the spec comes from, longest path first. */
const FLAG_OF_PATH: readonly (readonly [string, string])[] = [
  ['/groups/0/resources/cpus', '--cpus'],
  ['/groups/0/resources/memMiB', '--mem'],
  ['/groups/0/retries/max', '--retries'],
  ['/groups/0/timeoutSeconds', '--timeout'],
  ['/groups/0/constraints', '--constraint'],
  ['/groups/0/network', '--network'],
  ['/groups/0/count', '--count'],
  ['/groups/0/ports', '--port'],
  ['/groups/0/image', 'image'],
  ['/groups/0/args', 'command'],
  ['/groups/0/command', 'command'],
  ['/groups/0/pullPolicy', '--pull'],
  ['/groups/0/env', '--env'],
  ['/name', '--name'],
  ['/role', '--role'],
];

function faultOfFlag(fault: Fault): string {
  const flag = FLAG_OF_PATH.find(([path]) => fault.path === path || fault.path.startsWith(`${path}/`));
  return printable(`${flag?.[1] ?? fault.path}: ${fault.message}`);
}

async function runJob(
  session: Session,
  spec: JobSpecInput,
  { flags, explain }: { flags: RunFlags; explain: (fault: Fault) => string },
): Promise<number> {
  const { client, printer } = session;
  const job = (
    await client.jobs.submit(spec).catch((error: unknown) => {
      throw withLocatedFaults(error, explain, flags.file !== undefined);
    })
  ).body;
  const key: JobKey = { name: job.name, role: job.role };
  const name = jobName(key);
  if (flags.detach === true) {
    printer.one(job, { name, render: () => `${name}\n` });
    printer.note(`The job runs on its own: berth job show ${name}, berth job logs ${name}`);
    return EXIT.ok;
  }
  if (flags.quiet !== true) printer.note(`submitted job ${name}`);
  const interruption = stopOnInterruption(session, key);
  try {
    const signal = new AbortController().signal;
    const quiet = flags.quiet === true;
    const snapshot = await followJob(session, key, { until: hasEnded, output: true, quiet, signal });
    const interrupted = interruption.code();
    if (snapshot === null) return interrupted ?? EXIT.notTheContainer;
    if (!quiet) printer.note(`job ${name} ${snapshot.job.state}: ${printable(snapshot.job.message)}`);
    return interrupted ?? exitCodeOf(snapshot);
  } finally {
    interruption.restore();
  }
}

/** Faults of a job file point into the file, those of flags to the flags. */
function withLocatedFaults(error: unknown, explain: (fault: Fault) => string, fromFile: boolean): unknown {
  if (!(error instanceof ApiError) || error.faults.length === 0) return error;
  const lines = error.faults.map(explain);
  return fromFile ? jobFileError(lines) : new CliError(error.message, { exitCode: EXIT.usage, lines });
}

/** The first signal stops the job and goes on showing it; the second leaves at once. The job ends all the same. */
function stopOnInterruption(session: Session, key: JobKey): { code(): number | null; restore(): void } {
  const { io, client, printer } = session;
  let code: number | null = null;
  const restore = io.onInterruption((signal: Interruption) => {
    const exitCode = signal === 'SIGINT' ? EXIT.interrupted : EXIT.terminated;
    if (code !== null) return io.exitNow(exitCode);
    code = exitCode;
    printer.note(`stopping job ${jobName(key)}; once more leaves at once`);
    client.jobs.stop(key, { reason: `berth run got ${signal}` }).catch((error: unknown) => {
      const failure = describeFailure(error);
      printer.note(`could not stop it: ${failure?.message ?? String(error)}`);
    });
  });
  return { code: () => code, restore };
}
