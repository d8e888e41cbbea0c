/** What a container's end means for its task. */
import type { TaskId } from '../../shared/domain/ids.ts';
import type { AssignedTask } from '../../shared/protocol/agent.ts';
import { unreachable } from '../../shared/util/assert.ts';
import type { Container, Ending, LocalTask, StopCause } from './model.ts';
import { isRestartedTooOften } from './restart.ts';

/** Exit codes by which shells and engines say that a command can't be run: not executable, not found. */
export const UNUSABLE_EXIT_CODES = [126, 127, 128];
const SIGNAL_EXIT_BASE = 128;
const SIGNALS: Readonly<Record<number, string>> = {
  1: 'SIGHUP',
  2: 'SIGINT',
  3: 'SIGQUIT',
  4: 'SIGILL',
  6: 'SIGABRT',
  7: 'SIGBUS',
  8: 'SIGFPE',
  9: 'SIGKILL',
  11: 'SIGSEGV',
  13: 'SIGPIPE',
  14: 'SIGALRM',
  15: 'SIGTERM',
};

/**
 * `task` is what the journal knows of it, if it knows it; `container` has ended. `isFenced`: the dead-man has killed something of it,
 * perhaps while it was about to end by itself.
 */
export function endingOf(task: LocalTask | undefined, container: Container, isFenced = false): Ending {
  const { exitCode } = container;
  const stop = task?.stop ?? null;
  if (stop !== null) return stoppedEnding(stop.cause, stop.message, container);
  if (container.ending !== undefined) return container.ending;
  if (isFenced && exitCode !== 0) return ending('failed', 'disconnected', FENCED, exitCode);
  if (exitCode === null) {
    return ending('lost', 'engine-error', 'the engine no longer knows how the container ended', null);
  }
  if (exitCode === 0) return ending('finished', 'exited', 'exited with code 0', 0);
  if (container.outOfMemory) {
    return ending('failed', 'out-of-memory', `used more memory than its limit (exit code ${exitCode})`, exitCode);
  }
  if (container.error !== '' && UNUSABLE_EXIT_CODES.includes(exitCode)) {
    return ending('error', 'command-unusable', container.error, exitCode);
  }
  return ending('failed', 'exited', `exited with code ${exitCode}${signalName(exitCode)}`, exitCode);
}

const FENCED =
  'the node had been cut off from the control plane for as long as its job allows, and its dead-man killed it';

function stoppedEnding(cause: StopCause, message: string, { exitCode }: Pick<Container, 'exitCode'>): Ending {
  switch (cause) {
    case 'timed-out':
    case 'disconnected':
    case 'unhealthy':
      return ending('failed', cause, message, exitCode);
    case 'unguarded':
      return ending('error', 'refused-by-node', message, exitCode);
    case 'stop-requested':
    case 'unassigned': {
      const words = exitCode === null ? message : `${message} (exit code ${exitCode})`;
      return ending('killed', 'stop-requested', words, exitCode);
    }
    default:
      return unreachable(cause);
  }
}

/** For a task whose node went down under it, and that isn't started again. `container`: what is left of it, if anything is. */
export function fallenEnding(task: LocalTask, container: Container | undefined): Ending {
  const isGone = container === undefined;
  const what = isGone ? 'its container was lost when its node went down' : 'ended when its node went down under it';
  const again = `: the ${task.restarts + 1}th time in a row, so it is not started again; see whether it takes its node down`;
  const message = isRestartedTooOften(task) ? `${what}${again}` : what;
  return ending(isGone ? 'lost' : 'failed', 'node-rebooted', message, container?.exitCode ?? null);
}

/** For a container that is no longer there although it was started. */
export function vanishedEnding(task: LocalTask): Ending {
  const { stop } = task;
  if (stop === null) {
    return ending('lost', 'not-found-on-node', 'its container was removed from the engine by somebody else', null);
  }
  return stoppedEnding(stop.cause, stop.message, { exitCode: null });
}

/** For a task that was told to stop before anything of it ran. */
export function neverStartedEnding(assigned: AssignedTask | undefined): Ending {
  const why = assigned?.stop?.reason;
  return ending('killed', 'stop-requested', `stopped before it was started${why ? `: ${why}` : ''}`, null);
}

/** For one whose start was asked for, and of which nothing is left. */
export function maybeRunEnding(): Ending {
  const message = 'its container was gone after its start had been asked for; nobody knows whether it ran';
  return ending('lost', 'not-found-on-node', message);
}

/** For one that an executor was to run. */
export function executorOverEnding(executor: TaskId | undefined): Ending {
  const message = `was not started: its executor "${executor}" does not run on this node any more`;
  return ending('failed', 'executor-ended', message);
}

/** For one of which others say that it has begun. */
export function notFoundEnding(): Ending {
  const message = 'the node has neither a container nor a record of it';
  return ending('lost', 'not-found-on-node', message);
}

export function ending(
  state: Ending['state'],
  reason: Ending['reason'],
  message: string,
  exitCode: number | null = null,
): Ending {
  return { state, reason, message, exitCode };
}

function signalName(exitCode: number): string {
  const name = SIGNALS[exitCode - SIGNAL_EXIT_BASE];
  return name === undefined ? '' : ` (${name})`;
}
