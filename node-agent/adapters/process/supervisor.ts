/**
 * The supervisor: a small shell program beside each task, in a session of its own, which outlives the agent. It starts the task's
 * process as a user without rights, keeps what the task writes within a bound, and puts on record how it came out. It and what keeps
 * the output stand outside of the task's cgroups and run as root, so that the task can neither end them nor speak for them.
 *
 * Output goes through a pipe for each stream to `head -c`, which copies exactly so many bytes into a file and then leaves the rest to
 * the next one; the oldest file goes when the first byte of a new one has come. So the bound holds to the byte, and a task that writes
 * faster than the disk takes it waits. Times are none of the supervisor's business: see `output-index.ts`.
 *
 * A shell, since there is one on every machine and it takes hardly any memory; what else it starts comes with util-linux and GNU
 * coreutils, and the agent tries all of it before it offers the runtime.
 */

/** By its path: a task may have one of its own to look for programs in. */
const ENV_PROGRAM = '/usr/bin/env';

/** In place of a folder: find out whether all that it needs is there, and end. */
export const TRIAL_ARGUMENT = 'trial';

/** Files of one stream that are kept, the one that is being written included. */
export const SEGMENTS_KEPT = 8;

/** The end of a task waits for what is left in its pipes: so many looks, 20 ms apart, and as many again for those who are told to leave. */
const OUTPUT_LOOKS_MAX = 250;

/**
 * What lies in a task's folder. Only `work` and `launch` belong to the task's user.
 *
 *     record    what the agent has written about it when it was made
 *     boot      the machine's boot id, right before the supervisor was started
 *     begun/    made by whoever is first: the supervisor, which then starts the task, or the agent that removes the folder
 *     begun/pid the supervisor
 *     launch    a script that becomes the task's command
 *     report    what became of that: `started`, or `unusable` and why
 *     out.N err.N  output, each file of the same length but the last
 *     times     when it was written
 *     exit      the exit code, and how often the kernel has killed something of it for want of memory
 *     work/     the task's own folder
 */
export const SUPERVISOR_PROGRAM = `#!/bin/sh
# Berth's supervisor of one task that runs without a container.
dir=$1
uid=$2
gid=$3
rights=$4
segment=$5
ends=$6
tracking=$7
groups=$8

# So many bytes of the pipe, by a process that can be ended.
copy() {
  [ -z "$over" ] || return 1
  stdbuf -o0 head -c "$1" <&4 &
  copier=$!
  wait "$copier"
}

# Whether there was more to be thrown away.
skip() {
  ([ "$(head -c "$segment" <&4 | wc -c)" -gt 0 ]) &
  copier=$!
  wait "$copier"
}

# One stream of the output: what comes through the pipe, in files of the same length. A disk without room costs output, and no more.
# Ends with the pipe, or when it is told to; then the pipe is gone.
keep() {
  n=0
  over=
  copier=
  trap 'over=yes; kill -KILL "$copier"' TERM
  while [ -z "$over" ]; do
    if true >"$dir/$1.$n"; then
      # Done without a fault and nothing there: the pipe has ended.
      copy 1 >"$dir/$1.$n" && [ ! -s "$dir/$1.$n" ] && break
      rm -f "$dir/$1.$((n - ${SEGMENTS_KEPT}))"
      copy $((segment - 1)) >>"$dir/$1.$n"
    else
      skip || break
      continue
    fi
    n=$((n + 1))
  done
  [ -s "$dir/$1.$n" ] || rm -f "$dir/$1.$n"
  rm -f "$dir/$1.pipe"
}

# Becomes the task, in a session of its own and with nothing that belongs to the supervisor.
become_task() {
  trap - PIPE
  echo 0 >/proc/self/oom_score_adj
  for group in $groups; do
    echo 0 >"$group/cgroup.procs" || { printf "unusable can't be put into %s\\n" "$group" >"$dir/report"; exit 126; }
  done
  umask 022
  exec setsid setpriv --reuid="$uid" --regid="$gid" "$rights" --no-new-privs --inh-caps=-all -- /bin/sh "$dir/launch" 3>"$dir/report"
}

# Every process of the task, those that have left its session too. Where there is no cgroup, its user is its own.
end_tree() {
  if [ -z "$tracking" ]; then
    setpriv --reuid="$uid" --regid="$gid" --clear-groups -- /bin/sh -c 'kill -KILL -1'
    return 0
  fi
  for group in $groups; do
    # Nothing new may be begun while what is there is ended.
    if [ -e "$group/pids.max" ]; then echo 0 >"$group/pids.max"; fi
  done
  while :; do
    if [ -e "$tracking/cgroup.kill" ]; then echo 1 >"$tracking/cgroup.kill"; fi
    alive=
    while read -r pid; do
      alive=yes
      kill -KILL "$pid"
    done <"$tracking/cgroup.procs"
    [ -n "$alive" ] || return 0
    sleep 0.02 || sleep 1
  done
}

# How often the kernel has killed something of the task since it ran out of memory.
count_ooms() {
  ooms=0
  for group in $groups; do
    for file in "$group/memory.events" "$group/memory.oom_control"; do
      [ -r "$file" ] || continue
      while read -r word value; do
        if [ "$word" = oom_kill ]; then ooms=$value; fi
      done <"$file"
    done
  done
}

# A pipe that somebody outside of the task holds open has no end: those who read it are told to leave. Only those who have not left
# yet, since another process may have got their number.
end_output() {
  looks=0
  while [ -e "$dir/out.pipe" ] || [ -e "$dir/err.pipe" ]; do
    if [ "$looks" -ge ${OUTPUT_LOOKS_MAX} ]; then
      signal=TERM
      if [ "$looks" -ge ${2 * OUTPUT_LOOKS_MAX} ]; then signal=KILL; fi
      if [ -e "$dir/out.pipe" ]; then kill -$signal "$out"; fi
      if [ -e "$dir/err.pipe" ]; then kill -$signal "$err"; fi
      if [ $signal = KILL ]; then break; fi
    fi
    looks=$((looks + 1))
    sleep 0.02 || sleep 1
  done
  rm -f "$dir/out.pipe" "$dir/err.pipe"
}

put_on_record() {
  echo "$code $ooms" >"$dir/exit.new" || return 1
  sync "$dir/exit.new" || sync
  mv "$dir/exit.new" "$dir/exit" || return 1
  true >"$ends/\${dir##*/}"
}

main() {
  trap '' PIPE
  umask 077
  # The last to go when memory runs out, and not part of the agent's service, which may be stopped as a whole.
  echo -1000 >/proc/self/oom_score_adj
  for procs in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/systemd/cgroup.procs /sys/fs/cgroup/unified/cgroup.procs; do
    if [ -w "$procs" ]; then echo 0 >"$procs"; fi
  done
  mkdir "$dir/begun" || exit 0
  echo $$ >"$dir/begun/pid"
  # The task's own, since it may open its output anew by way of /dev/stdout.
  mkfifo "$dir/out.pipe" "$dir/err.pipe"
  chown "$uid:$gid" "$dir/out.pipe" "$dir/err.pipe"
  keep out 4<"$dir/out.pipe" &
  out=$!
  keep err 4<"$dir/err.pipe" &
  err=$!
  (become_task) </dev/null >"$dir/out.pipe" 2>"$dir/err.pipe" &
  task=$!
  wait "$task"
  code=$?
  end_tree
  end_output
  count_ooms
  for group in $groups; do rmdir "$group"; done
  # Until there is room for it.
  until put_on_record || [ -e "$dir/exit" ]; do sleep 1; done
}

# Whether a supervisor could do its work here.
try_all() {
  for program in mkfifo chown mkdir mv rm rmdir sleep sync setsid setpriv stdbuf head; do
    command -v "$program" >/dev/null || { echo "there is no $program"; return 1; }
  done
  [ -x ${ENV_PROGRAM} ] || { echo "there is no ${ENV_PROGRAM}"; return 1; }
  copied=$(printf abcdef | { stdbuf -o0 head -c 3; stdbuf -o0 head -c 3; })
  [ "$copied" = abcdef ] || { echo "\\\`head -c\\\` takes more than it gives; it has to be that of GNU coreutils"; return 1; }
  setpriv --reuid="$uid" --regid="$gid" "$rights" --no-new-privs --inh-caps=-all -- /bin/sh -c : || {
    echo "setpriv can't make a process of another user; the agent has to run as root"
    return 1
  }
  setpriv --reuid="$uid" --regid="$gid" "$rights" -- /bin/sh -c 'cd "$1"' sh "$ends" || {
    echo "the tasks' users can't enter $ends; name another folder (--process-dir), or let everybody enter the folders above it"
    return 1
  }
}

if [ "$dir" = ${TRIAL_ARGUMENT} ]; then try_all; else main; fi
`;

export interface Launch {
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDir: string;
  readonly command: readonly string[];
}

/** What a shell can name a variable. */
const SHELL_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** Variables in which dash or bash has a say: it changes them, reads something into them, or takes not every value. */
const SHELL_OWN =
  /^(?:_|BASH.*|COMP_.*|DIRSTACK|EPOCH.*|EUID|FUNC.*|GROUPS|HIST.*|IFS|LINENO|MAIL.*|OLDPWD|OPT(?:ARG|ERR|IND)|PPID|PWD|RANDOM|SECONDS|SHELLOPTS|SHLVL|SRANDOM|UID)$/;

/**
 * A script that becomes the task's command, or another one that it is given as arguments, run by the task's own user. A script and not arguments, since everybody on the machine can
 * read a process's arguments, and variables hold secrets. Only what a shell can't export goes through the arguments of `env`, where
 * others can see it in the moment before that becomes the command: no shell hands on a variable that it has no name for.
 */
export function launchScript({ environment, workingDir, command }: Launch): string {
  const variables = Object.entries(environment);
  const exports = variables.filter(([name]) => isExported(name)).map(assignment);
  const others = variables.filter(([name]) => !isExported(name)).map(assignment);
  const words = [...(others.length === 0 ? [] : [ENV_PROGRAM, ...others]), '"$@"'].join(' ');
  const unusable = (why: string) => `printf 'unusable %s\\n' ${quoted(why)} >&3`;
  return `set -f
if [ $# = 0 ]; then set -- ${command.map(quoted).join(' ')}; fi
${exports.map((each) => `export ${each}\n`).join('')}usable() { [ -f "$1" ] && [ -x "$1" ]; }
found() {
  case $1 in */*) usable "$1"; return ;; esac
  IFS=:
  for folder in $PATH; do
    if usable "\${folder:-.}/$1"; then return 0; fi
  done
  return 1
}
cd ${quoted(workingDir)} || { ${unusable(`the working folder ${workingDir} can't be entered`)}; exit 126; }
unset OLDPWD
(found "$1") || { printf "unusable there is no program %s that the task's user may run\\n" "$1" >&3; exit 127; }
echo started >&3
exec 3>&-
exec ${words}
`;
}

/** Whether a shell hands it on, so that it never stands in arguments. */
export function isExported(name: string): boolean {
  return SHELL_NAME.test(name) && !SHELL_OWN.test(name);
}

function assignment([name, value]: readonly [string, string]): string {
  return isExported(name) ? `${name}=${quoted(value)}` : quoted(`${name}=${value}`);
}

/** One word to a shell, whatever is in it. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
