/** The programs that a cluster consists of, started by their paths: `berth control-plane` and `berth agent`, and what runs beside them. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';

const PROGRAMS = {
  'control-plane': new URL('../../main-node.ts', import.meta.url),
  agent: new URL('../../../node-agent/main.ts', import.meta.url),
  dns: new URL('../../main-dns.ts', import.meta.url),
} as const;
export type ProgramName = keyof typeof PROGRAMS;

/** The CLI doesn't import what it starts: a client must not load a server, and an agent has packages of its own. */
export function programPath(name: ProgramName): string {
  return fileURLToPath(PROGRAMS[name]);
}

/** Those whose arguments are not ours to read. */
export function isProgramName(text: string | undefined): text is 'control-plane' | 'agent' {
  return text === 'control-plane' || text === 'agent';
}

/** For help and completion only: their arguments are not ours to read, so `main.ts` passes them on before any parsing. */
export function addProcessCommands(program: Command): void {
  program
    .command('control-plane')
    .summary('run a replica of the control plane')
    .description('Run a replica of the control plane. All arguments are its own: berth control-plane --help.')
    .allowUnknownOption();
  program
    .command('agent')
    .summary('run the agent of a node')
    .description('Run the agent of a node. All arguments are its own: berth agent --help.')
    .allowUnknownOption();
}

/**
 * Becomes the program, or where a process can't, runs it in the foreground and resolves with what it exits with. Becoming it leaves one
 * process: whoever kills the one that they started has killed the program, and not a parent without which it runs on.
 */
export function runProgram(
  name: ProgramName,
  args: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): Promise<number> {
  const command = [programPath(name), ...args];
  const env = { ...process.env, ...variables };
  return process.execve?.(process.execPath, [process.execPath, ...command], env) ?? runChild(command, env);
}

/** It gets the signals that we get. */
function runChild(command: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const child = spawn(process.execPath, command, { stdio: 'inherit', env });
  const pass = (signal: NodeJS.Signals) => child.kill(signal);
  // A terminal's Ctrl-C reaches the child by itself; what is sent to this process alone has to be passed on.
  const ignore = () => {};
  process.on('SIGTERM', pass);
  process.on('SIGINT', process.stdin.isTTY ? ignore : pass);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? 130 : 143)));
  });
}
