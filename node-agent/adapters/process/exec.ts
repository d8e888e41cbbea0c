/** A command beside a task that runs without a container: in its groups, as its user, with its variables. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { EXEC_OUTPUT_LENGTH_MAX, type ExecResult } from '../../executor/contracts.ts';
import type { Found } from './task-folders.ts';

/** The task's script takes the command in place of its own, and its complaints go where the output goes. */
const EXEC_PROGRAM = `dir=$1 uid=$2 gid=$3 rights=$4 groups=$5
shift 5
for group in $groups; do
  echo 0 >"$group/cgroup.procs" || exit 126
done
umask 022
exec setpriv --reuid="$uid" --regid="$gid" "$rights" --no-new-privs --inh-caps=-all -- /bin/sh "$dir/launch" "$@" 3>&2
`;

/** Said by the task's script when it becomes the command. */
const PREAMBLE = /^started\n/;

export interface Programs {
  readonly shell: string;
  /** Where programs are found. */
  readonly path: string;
}

export interface Execution {
  readonly command: readonly string[];
  readonly signal: AbortSignal;
}

export async function execBeside(
  { shell, path }: Programs,
  { folder, record }: Found,
  { command, signal }: Execution,
): Promise<ExecResult> {
  const { uid, gid, rights, cgroups } = record;
  const args = [folder, String(uid), String(gid), rights, cgroups.join(' '), ...command];
  const child = spawn(shell, ['-c', EXEC_PROGRAM, 'exec', ...args], {
    // A session of its own, so that all of it can be ended at once.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: '/',
    env: { PATH: path },
  });
  let output = '';
  const keep = (text: string) => {
    if (output.length < EXEC_OUTPUT_LENGTH_MAX) output += text;
  };
  child.stdout.setEncoding('utf8').on('data', keep);
  // It comes first on its own stream, though not always before what the other one brings.
  const complaints = child.stderr.setEncoding('utf8');
  complaints.once('data', (text: string) => {
    keep(text.replace(PREAMBLE, ''));
    complaints.on('data', keep);
  });
  const end = () => {
    endSession(child.pid);
    // What has left the session may hold them open.
    for (const stream of [child.stdout, child.stderr]) stream.destroy();
  };
  signal.addEventListener('abort', end, { once: true });
  if (signal.aborted) end();
  try {
    const [exitCode]: (number | null)[] = await once(child, 'close');
    return { exitCode: exitCode ?? null, output: output.slice(0, EXEC_OUTPUT_LENGTH_MAX) };
  } finally {
    signal.removeEventListener('abort', end);
  }
}

function endSession(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended meanwhile.
  }
}
