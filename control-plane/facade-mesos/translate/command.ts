/** What a task's command runs, which differs by who runs it: a container engine, Mesos's own runtime of images, or a process. */
import type { WireCommandInfo } from '../wire/task-info.ts';
import type { LaunchedTask } from './native-operation.ts';
import { WireFault } from './wire-fault.ts';

type Program = Pick<LaunchedTask, 'command' | 'args'>;

/** As `docker run` is called: a shell takes the entrypoint's place, everything else is an argument of the entrypoint. */
export function dockerProgram(command: WireCommandInfo, entrypoint: string | undefined): Program {
  const args = command.shell ? ['-c', shellValue(command)] : [...[command.value ?? []].flat(), ...command.arguments];
  if (entrypoint !== undefined) return { command: [entrypoint], args };
  if (command.shell) return { command: ['/bin/sh', ...args] };
  return args.length === 0 ? {} : { args };
}

/** A value takes the entrypoint's place; without one, arguments take that of the image's own arguments. */
export function imageProgram(command: WireCommandInfo): Program {
  if (command.shell) return { command: ['/bin/sh', '-c', shellValue(command)] };
  if (command.value !== undefined) return { command: [command.value, ...command.arguments.slice(1)] };
  return command.arguments.length === 0 ? {} : { args: command.arguments };
}

/** The first of the arguments is the name by which the program is to see itself; it sees that of its file. */
export function processProgram(command: WireCommandInfo): Program {
  if (command.shell) return { command: inSandbox(['/bin/sh', '-c', shellValue(command)]) };
  if (command.value === undefined || command.value === '') {
    throw new WireFault("Executable of task is not specified: set 'command.value'");
  }
  return { command: inSandbox([command.value, ...command.arguments.slice(1)]) };
}

/** Only the node knows the folder that a process begins in. The shell puts the program into its own place. */
function inSandbox(program: readonly string[]): string[] {
  return ['/bin/sh', '-c', 'export MESOS_SANDBOX="$PWD" MESOS_DIRECTORY="$PWD"; exec "$@"', 'sh', ...program];
}

function shellValue({ value }: WireCommandInfo): string {
  if (value === undefined) throw new WireFault('Shell specified but no command value provided');
  return value;
}
