/** Starts supervisors, and says what has become of their tasks' start. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, lstat, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type Clock, sleep } from '../../../shared/util/clock.ts';
import { type RunResult, RuntimeFault } from '../../executor/contracts.ts';
import { SUPERVISOR_PROGRAM, TRIAL_ARGUMENT } from './supervisor.ts';
import { readProgress, readReport, type TaskRecord } from './task-folder.ts';
import type { UserIdRange } from './user-ids.ts';

const REPORT_LOOK_MS = 5;
/** A shell and a few programs on a busy machine. */
const REPORT_MAX_MS = 60_000;
const TRIAL_MAX_MS = 30_000;
const WORDS_LENGTH_MAX = 500;
const UNUSABLE_EXIT_CODES = [126, 127];

export interface SupervisorsOptions {
  readonly dir: string;
  readonly shell: string;
  readonly path: string;
  readonly userIds: UserIdRange;
  readonly bootId: string | null;
  readonly clock: Clock;
}

export class Supervisors {
  readonly #options: SupervisorsOptions;

  constructor(options: SupervisorsOptions) {
    this.#options = options;
  }

  get endsDir(): string {
    return join(this.#options.dir, '.ends');
  }

  /** Throws a {@link RuntimeFault} where no supervisor could do its work. */
  async prepare(): Promise<void> {
    const { dir, userIds } = this.#options;
    await mkdir(dir, { recursive: true, mode: 0o711 });
    const { uid } = await lstat(dir);
    if (uid !== process.getuid?.())
      throw new RuntimeFault(`${dir} belongs to the user ${uid}, who could change what runs`);
    await chmod(dir, 0o711);
    await mkdir(this.endsDir, { recursive: true, mode: 0o700 });
    // In its place and not over it: shells that run read on in the old one.
    await writeFile(`${this.#program}.new`, SUPERVISOR_PROGRAM, { mode: 0o600 });
    await rename(`${this.#program}.new`, this.#program);
    const user = String(userIds.first);
    const trial = this.#spawn([TRIAL_ARGUMENT, user, user, '--clear-groups', '0', dir], 'pipe');
    const output = trial.stdout?.setEncoding('utf8');
    let said = '';
    output?.on('data', (text: string) => {
      said += text;
    });
    const late = setTimeout(() => trial.kill('SIGKILL'), TRIAL_MAX_MS);
    const [code] = await once(trial, 'close').finally(() => clearTimeout(late));
    if (code !== 0) throw new RuntimeFault(`tasks without a container can't be run: ${said.trim() || `exit ${code}`}`);
  }

  /** Null: the task's command runs, or has run. Otherwise nothing of it runs any more. */
  async start({ folder, record }: { readonly folder: string; readonly record: TaskRecord }): Promise<RunResult | null> {
    const { bootId } = this.#options;
    await writeFile(join(folder, 'boot'), bootId ?? '', { mode: 0o600 });
    const { uid, gid, rights, segmentBytes, tracking, cgroups } = record;
    const numbers = [uid, gid].map(String);
    const groups = [tracking ?? '', cgroups.join(' ')];
    const args = [folder, ...numbers, rights, String(segmentBytes), this.endsDir, ...groups];
    const child = this.#spawn(args, 'ignore');
    child.unref();
    return this.#outcome(folder, child);
  }

  async #outcome(folder: string, child: ChildProcess): Promise<RunResult | null> {
    const { clock, shell } = this.#options;
    const untilMs = clock.monotonicMs() + REPORT_MAX_MS;
    while (clock.monotonicMs() < untilMs) {
      const hasLeft = child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
      // Looked at before the report: whoever has ended by then has reported what became of its start.
      const progress = await readProgress(folder);
      const report = await readReport(folder);
      if (report === 'started') return null;
      if (progress.type === 'ended') return refusalOf(report, progress.exitCode, folder);
      if (hasLeft) throw new RuntimeFault(`start ${basename(folder)}: its supervisor (${shell}) could not begin`);
      await sleep(clock, REPORT_LOOK_MS);
    }
    throw new RuntimeFault(`start ${basename(folder)}: its supervisor does not say what has become of it`);
  }

  #spawn(args: readonly string[], stdout: 'ignore' | 'pipe'): ChildProcess {
    const { shell, path } = this.#options;
    const child = spawn(shell, [this.#program, ...args], {
      detached: true,
      stdio: ['ignore', stdout, 'ignore'],
      cwd: '/',
      env: { PATH: path },
    });
    // Told by the missing process id as well.
    child.on('error', () => undefined);
    return child;
  }

  get #program(): string {
    return join(this.#options.dir, '.supervisor.sh');
  }
}

/** A start that has failed without a word has left one in the output. */
async function refusalOf(
  report: Awaited<ReturnType<typeof readReport>>,
  exitCode: number | null,
  folder: string,
): Promise<RunResult> {
  if (report !== null && report !== 'started') {
    const reason = exitCode !== null && UNUSABLE_EXIT_CODES.includes(exitCode) ? 'command-unusable' : 'engine-error';
    return { type: 'refused', reason, message: report.unusable };
  }
  const said = await readFile(join(folder, 'err.0'), 'utf8').catch(() => '');
  const message =
    said.trim().slice(-WORDS_LENGTH_MAX) || `the task's process could not be made (exit code ${exitCode})`;
  return { type: 'refused', reason: 'engine-error', message };
}
