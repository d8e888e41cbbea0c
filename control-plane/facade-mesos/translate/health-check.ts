/**
 * A task's health check, as a check that the agent makes. What differs from Mesos stands in the door's README: probes begin with the
 * task, and failures count from the end of its delay or its grace on, whichever is later. Pure.
 */
import type { WireCommandInfo, WireHealthCheck } from '../wire/task-info.ts';
import { dockerProgram, imageProgram, processProgram } from './command.ts';
import type { LaunchedTask } from './native-operation.ts';
import { prefixed, unsupported } from './task-checks.ts';
import { WireFault } from './wire-fault.ts';

type Checks = NonNullable<LaunchedTask['checks']>;
type Port = NonNullable<LaunchedTask['ports']>[number];

interface CheckedTask {
  readonly ports: readonly Port[];
  /** A command of its check is told as that of the task itself. */
  readonly runs: keyof typeof PROGRAMS;
}

const PROGRAMS = {
  'in-engine': (command: WireCommandInfo) => dockerProgram(command, undefined),
  'in-image': imageProgram,
  'as-process': processProgram,
} as const;

/** Berth's bounds, in seconds. */
const DAY = 86_400;
const INTERVAL = { min: 0.1, max: DAY };
const TIMEOUT = { min: 0.1, max: 3600 };
const FAILURES = { min: 1, max: 1000 };
const SECONDS = ['delay_seconds', 'grace_period_seconds', 'interval_seconds', 'timeout_seconds'] as const;

/** What is wrong with it is thrown in the words of Mesos's master. */
export function checksOf(check: WireHealthCheck, task: CheckedTask): Checks {
  return prefixed('Task uses invalid health check: ', () => {
    const probe = probeOf(check, task);
    const negative = SECONDS.find((field) => check[field] < 0);
    if (negative !== undefined) throw new WireFault(`Expecting '${negative}' to be non-negative`);
    const { delay_seconds: delay, grace_period_seconds: grace, timeout_seconds: timeout } = check;
    return [
      {
        name: 'health',
        ...probe,
        intervalSeconds: within(check.interval_seconds, INTERVAL),
        // With Mesos, none is as long as it takes.
        timeoutSeconds: within(timeout === 0 ? TIMEOUT.max : timeout, TIMEOUT),
        graceSeconds: Math.min(Math.max(delay, grace), DAY),
        failuresMax: within(check.consecutive_failures, FAILURES),
        onFailure: 'replace',
      },
    ];
  });
}

function within(value: number, { min, max }: { readonly min: number; readonly max: number }): number {
  return Math.min(Math.max(value, min), max);
}

type Probe = Pick<Checks[number], 'type' | 'port' | 'path' | 'statuses' | 'command'>;

function probeOf({ type, ...check }: WireHealthCheck, task: CheckedTask): Probe {
  switch (type) {
    case undefined:
      throw new WireFault("HealthCheck must specify 'type'");
    case 'UNKNOWN':
      throw new WireFault("'UNKNOWN' is not a valid health check type");
    case 'COMMAND':
      return { type: 'command', command: commandOf(given(check, 'command'), task) };
    case 'TCP':
      return { type: 'tcp', port: portOf('tcp', given(check, 'tcp').port, task) };
    case 'HTTP': {
      const { scheme = 'http', path = '/', port, statuses } = given(check, 'http');
      if (scheme !== 'http' && scheme !== 'https') {
        throw new WireFault(`Unsupported HTTP health check scheme: '${scheme}'`);
      }
      if (!path.startsWith('/')) throw new WireFault(`The path '${path}' of HTTP health check must start with '/'`);
      const ranges = statuses.map((status) => ({ first: status, last: status }));
      const expected = ranges.length > 0 && { statuses: ranges };
      return { type: scheme, port: portOf('http', port, task), path, ...expected };
    }
  }
}

function given<F extends 'command' | 'http' | 'tcp'>(
  check: Omit<WireHealthCheck, 'type'>,
  field: F,
): NonNullable<WireHealthCheck[F]> {
  const found = check[field];
  if (found !== undefined) return found;
  throw new WireFault(`Expecting '${field}' to be set for ${field.toUpperCase()} health check`);
}

/** The one that leads to where the task listens. One that it doesn't hold may be anybody's. */
function portOf(field: 'http' | 'tcp', number: number, { ports }: CheckedTask): string {
  const isMeant = ({ hostPort, containerPort = hostPort, protocol = 'tcp' }: Port) =>
    containerPort === number && protocol === 'tcp';
  const port = ports.find(isMeant);
  if (port !== undefined) return port.name;
  const remedy = "name one of TCP that is among the task's resources, or that one of those is mapped to";
  throw unsupported(`health_check.${field}.port ${number}`, remedy);
}

/** It runs as the task does: with its user and its environment, and without a container in its folder. */
function commandOf(check: WireCommandInfo, { runs }: CheckedTask): string[] {
  if (check.value === undefined) {
    throw new WireFault(`Command health check must contain ${check.shell ? "'shell command'" : "'executable path'"}`);
  }
  if ((check.environment?.variables.length ?? 0) > 0) throw unsupported('health_check.command.environment');
  if (check.uris.length > 0) throw unsupported('health_check.command.uris');
  if (check.user !== undefined && check.user !== '') throw unsupported('health_check.command.user');
  const { command = [], args = [] } = PROGRAMS[runs](check);
  return [...command, ...args];
}
