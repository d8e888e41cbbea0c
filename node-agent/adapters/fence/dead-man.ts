/**
 * The dead-man: a small shell program in a session of its own, which outlives the agent. It trusts nobody: neither that the agent
 * lives, nor that the engine answers. Twice a second it reads how long ago the control plane was last in touch, and kills every
 * process of each container that may not run without it: again and again, so that one that a hung engine starts late is
 * killed too. It knows a container's processes by their cgroup, which names the container (cgroup v1 and v2).
 *
 * It obeys the life of the fence's folder that it was started for. If the folder is taken away, or another agent has made a new one
 * there, it goes by what it knew last, beside whatever watches for that agent. It leaves when another one has taken over; or when its
 * agent is gone and there is nothing to watch, or every deadline has been past for ten minutes in which it found nothing. A hung engine
 * that starts something later than that goes unnoticed. Without an agent it looks every five seconds once it has found nothing for a
 * minute.
 *
 * A shell, since there is one on every machine and it takes hardly any memory. While it waits it starts nothing but `sleep`, and to
 * kill it starts nothing at all, so that a machine without a process or a byte to spare can't stop it; a shell that gives up for
 * want of one begins anew (the trap).
 */

/** In place of the life: find out whether all that it needs is there, and end. */
export const TRIAL_ARGUMENT = 'trial';

/** A dead-man without an agent leaves when every deadline has been past for so long, and nothing was found. */
export const DEAD_MAN_STAYS_MS = 600_000;
/** From then on it looks less often. */
const DEAD_MAN_IDLE_MS = 60_000;

/**
 * Arguments: the fence's folder, where the kernel shows processes (`/proc`), and the life of the folder. The folder's files are
 * described in `fence-state.ts`. The whole of it is a function, so that it is read whole before anything is done.
 */
export const DEAD_MAN_PROGRAM = `#!/bin/sh
# Berth's dead-man: kills containers that may not run while their node is cut off from the control plane.
dir=$1
proc=$2
life=$3
keeper=0
agent=
confirmed=0
armed=
whole=
owned=
begun=
now=0
since=
quiet=0

# What the agent wrote last. A file that is missing, not whole, or of another life of the folder changes nothing but who is in charge.
read_state() {
  whole=
  if [ ! -e "$dir/state" ]; then
    owned=
    return 0
  fi
  new_life= new_keeper=0 new_agent= new_confirmed= new_armed=
  while read -r word value id; do
    case $word in
      life) new_life=$value ;;
      agent) new_agent=$value ;;
      keeper) new_keeper=$value ;;
      confirmed) new_confirmed=$value ;;
      # Never a short id: it would be part of other names.
      stop) case $id in ????????????*) new_armed="$new_armed $value:$id" ;; esac ;;
      end) whole=yes ;;
    esac
  done <"$dir/state"
  [ "$whole" = yes ] || return 0
  if [ "$new_life" != "$life" ]; then
    owned=
    return 0
  fi
  owned=yes
  if [ "$new_armed" != "$armed" ]; then since=; fi
  keeper=$new_keeper agent=$new_agent confirmed=$new_confirmed armed=$new_armed
}

# Milliseconds since the machine started, suspended or not.
read_clock() {
  read -r up idle <"$proc/uptime" || return 1
  seconds=\${up%.*}
  hundredths=\${up#*.}
  now=$((seconds * 1000 + (1$hundredths - 100) * 10))
}

find_expired() {
  age=$((now - confirmed))
  for entry in $armed; do
    if [ "$age" -lt 0 ] || [ "$age" -ge "\${entry%%:*}" ]; then expired="$expired \${entry#*:}"; else pending=yes; fi
  done
}

kill_process() {
  kill -0 "$1" || return 0
  true >"$dir/stopped/$2"
  kill -KILL "$1"
  found=yes
}

kill_expired() {
  for folder in "$proc"/[0-9]*; do
    while read -r line; do
      for id in $expired; do
        case $line in
          *"$id"*)
            kill_process "\${folder##*/}" "$id"
            break 2
            ;;
        esac
      done
    done <"$folder/cgroup"
  done
}

# For how long every deadline has been past, and nothing was found.
measure_quiet() {
  if [ -n "$pending" ] || [ -n "$found" ] || [ -z "$since" ] || [ "$now" -lt "$since" ]; then since=$now; fi
  quiet=$((now - since))
}

# There is somebody who could bring more to watch.
is_led() {
  [ -n "$owned" ] && kill -0 "$agent"
}

is_done() {
  if [ -n "$owned" ] && [ "$keeper" != 0 ] && [ "$keeper" != $$ ] && kill -0 "$keeper"; then return 0; fi
  if is_led; then return 1; fi
  [ -z "$armed" ] || [ "$quiet" -ge ${DEAD_MAN_STAYS_MS} ] || { [ -z "$owned" ] && ! read_clock; }
}

pause() {
  if [ -z "$armed" ]; then
    sleep 2
  elif [ "$quiet" -ge ${DEAD_MAN_IDLE_MS} ] && ! is_led; then
    sleep 5
  else
    sleep 0.5 || sleep 1
  fi
}

# Whether a dead-man could do its work here.
try_all() {
  read_clock && kill -0 $$ && { sleep 0.01 || sleep 1; }
}

main() {
  trap 'exec /bin/sh "$0" "$dir" "$proc" "$life"' EXIT
  umask 077
  # The last to go when memory runs out, and not part of the agent's service, which may be stopped as a whole.
  echo -1000 >/proc/self/oom_score_adj
  for procs in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/systemd/cgroup.procs /sys/fs/cgroup/unified/cgroup.procs; do
    if [ -w "$procs" ]; then echo 0 >"$procs"; fi
  done
  while :; do
    read_state
    if [ -z "$begun" ] && [ -n "$owned" ] && echo $$ >"$dir/watching"; then begun=yes; fi
    expired= pending= found=
    if [ -n "$armed" ] && read_clock; then
      find_expired
      if [ -n "$expired" ]; then kill_expired; fi
      measure_quiet
    fi
    if is_done; then
      trap - EXIT
      exit 0
    fi
    pause
  done
}

if [ "$life" = ${TRIAL_ARGUMENT} ]; then try_all; else main; fi
`;

/** How often it looks while it watches something. */
export const DEAD_MAN_LOOK_MS = 500;
