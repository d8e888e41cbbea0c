/** The command tree, and how one command line is carried out. */
import { Command, CommanderError } from 'commander';
import { addAuditCommand } from './commands/audit.ts';
import { addBalancerCommands } from './commands/balancer.ts';
import { addClusterCommands } from './commands/cluster.ts';
import { addCompletionCommand } from './commands/completion.ts';
import { addDeploymentCommands } from './commands/deployment.ts';
import { addDevCommand } from './commands/dev.ts';
import { addDnsCommand } from './commands/dns.ts';
import { addEndpointsCommand } from './commands/endpoints.ts';
import { addFrameworkCommands } from './commands/framework.ts';
import { addJobCommands } from './commands/job.ts';
import { addLoginCommands } from './commands/login.ts';
import { addNodeCommands } from './commands/node.ts';
import { addOfferCommands } from './commands/offer.ts';
import { addPolicyCommands } from './commands/policy.ts';
import { addProcessCommands } from './commands/processes.ts';
import { addVolumeCommands } from './commands/reservation.ts';
import { addRoleCommands } from './commands/role.ts';
import { addRunCommand } from './commands/run.ts';
import { addSecretCommands } from './commands/secret.ts';
import { addSettingsCommands } from './commands/settings.ts';
import { addTaskCommands } from './commands/task.ts';
import { describeFailure, EXIT } from './exit.ts';
import type { Io } from './io.ts';
import { painter, wantsColour } from './output/paint.ts';
import { addGlobalFlags } from './session.ts';

const EPILOGUE = `
Examples:
  berth dev                                 a whole cluster on this machine
  berth run alpine:3.20 -- echo hello       run a container to its end
  berth job apply job.yaml                  create or change a job
  berth task logs -f hello-main-0           follow its output

Exit codes:
  0    done
  1    Berth refused, or what was waited for failed
  2    the command line or a job file is wrong
  3    no control plane answers, or it can't serve now
  4    the token is missing, wrong or not enough
  5    logs: some of the output can't be had
  125  berth run: Berth failed, not the container; any other code of it is the container's own
  130  interrupted
  141  the reader of the output went away
  143  terminated
`;

export function createProgram(io: Io, version: string, finish: (exitCode: number) => void): Command {
  const program = new Command('berth');
  program
    .description(
      'Berth puts containers on the machines of a fleet that have room for them, and says why when it can not.',
    )
    .version(version, '-V, --version')
    .helpCommand(false)
    .showHelpAfterError('See --help.')
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .configureOutput({
      writeOut: (text) => io.out.write(text),
      writeErr: (text) => io.err.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'berth: ')),
      getOutHelpWidth: () => io.out.columns ?? 100,
      getErrHelpWidth: () => io.err.columns ?? 100,
      getOutHasColors: () => wantsColour(io.out, io.env, undefined),
      getErrHasColors: () => wantsColour(io.err, io.env, undefined),
    })
    .exitOverride()
    .addHelpText('after', EPILOGUE);
  addGlobalFlags(program);
  addRunCommand(program, io, finish);
  addJobCommands(program, io, finish);
  addDeploymentCommands(program, io, finish);
  addTaskCommands(program, io);
  addEndpointsCommand(program, io);
  addNodeCommands(program, io, finish);
  addVolumeCommands(program, io);
  addRoleCommands(program, io);
  addSecretCommands(program, io);
  addFrameworkCommands(program, io);
  addOfferCommands(program, io);
  addClusterCommands(program, io);
  addAuditCommand(program, io);
  addSettingsCommands(program, io);
  addPolicyCommands(program, io, finish);
  addLoginCommands(program, io);
  addBalancerCommands(program, io);
  addDevCommand(program, io, finish);
  addProcessCommands(program);
  addDnsCommand(program, io, finish);
  addCompletionCommand(program, io);
  return program;
}

/** Carries out one command line (without the program's own name) and returns the exit code. */
export async function runCommandLine(args: readonly string[], io: Io, version: string): Promise<number> {
  let exitCode: number = EXIT.ok;
  const program = createProgram(io, version, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync([...args], { from: 'user' });
    return exitCode;
  } catch (error) {
    const code = error instanceof CommanderError ? usageExitCode(error) : tellFailure(error, args, io);
    // A script that runs a container must be able to tell the container's failures from ours.
    return code !== EXIT.ok && args.find((arg) => !arg.startsWith('-')) === 'run' ? EXIT.notTheContainer : code;
  }
}

/** Commander has said what there is to say; help and version aren't failures. */
function usageExitCode(error: CommanderError): number {
  return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
}

function tellFailure(error: unknown, args: readonly string[], io: Io): number {
  const failure = describeFailure(error);
  const paint = painter(wantsColour(io.err, io.env, args.includes('--no-color') ? false : undefined));
  const label = `${paint('red', 'berth')}: `;
  if (failure === null) {
    io.err.write(`${label}this is a bug in berth:\n${error instanceof Error ? error.stack : String(error)}\n`);
    return EXIT.failed;
  }
  io.err.write(`${label}${failure.message}\n`);
  for (const line of failure.lines) io.err.write(`  ${line}\n`);
  if (failure.remedy !== null) io.err.write(`${failure.remedy}\n`);
  return failure.exitCode;
}
