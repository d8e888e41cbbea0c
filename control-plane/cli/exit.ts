/** How the CLI ends: its exit codes, and how a failure is told to a person. */
import { ApiError, UnexpectedAnswerError, UnreachableError } from '../../shared/client/errors.ts';
import type { Fault } from '../../shared/domain/errors.ts';
import { printable } from './output/text.ts';

/** Also documented in `berth --help`. */
export const EXIT = {
  ok: 0,
  /** Berth refused, or what was waited for failed. */
  failed: 1,
  /** The command line or a job file is wrong. */
  usage: 2,
  /** No control plane answers, or it can't serve now. */
  unreachable: 3,
  /** The token is missing, wrong or not enough. */
  denied: 4,
  /** `logs`: some of the output that was asked for can't be had. */
  outputMissing: 5,
  /** `berth run`: anything but the container's own exit code. */
  notTheContainer: 125,
  interrupted: 130,
  /** Whoever read the output has stopped reading, as `head` does. */
  outputGone: 141,
  terminated: 143,
} as const;

/** A failure that the CLI itself has found. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitCode: number;
  /** What the reader can do about it. */
  readonly remedy: string | null;
  /** Further lines, such as a child's last words or the faults in a file. */
  readonly lines: readonly string[];

  constructor(message: string, options: { exitCode?: number; remedy?: string; lines?: readonly string[] } = {}) {
    super(message);
    this.exitCode = options.exitCode ?? EXIT.failed;
    this.remedy = options.remedy ?? null;
    this.lines = options.lines ?? [];
  }
}

export interface Failure {
  readonly exitCode: number;
  readonly message: string;
  readonly lines: readonly string[];
  readonly remedy: string | null;
}

/** Null for what is a bug: it is shown with its stack. */
export function describeFailure(error: unknown): Failure | null {
  if (error instanceof CliError) {
    return { exitCode: error.exitCode, message: error.message, lines: error.lines, remedy: error.remedy };
  }
  if (error instanceof ApiError) return describeRefusal(error);
  if (error instanceof UnreachableError) {
    return {
      exitCode: EXIT.unreachable,
      message: error.message,
      lines: [],
      remedy: 'Start one here with `berth dev`, or name another with --address or BERTH_ADDR.',
    };
  }
  if (error instanceof UnexpectedAnswerError) {
    return {
      exitCode: EXIT.unreachable,
      message: error.message,
      lines: [],
      remedy: 'Check that --address or BERTH_ADDR names a Berth control plane.',
    };
  }
  return null;
}

function describeRefusal(error: ApiError): Failure {
  const { status, requestId } = error.problem;
  const lines = error.faults.map(faultLine);
  if (status >= 500 && requestId !== '') lines.push(`request id: ${requestId}`);
  return {
    exitCode: refusalExitCode(error),
    message: printable(withoutFaults(error)),
    lines,
    remedy: remedyFor(error),
  };
}

/** Many refusals name their faults, or the first of them, in the sentence as well; each gets a line of its own here. */
function withoutFaults({ message, faults }: ApiError): string {
  const said = faults.map((fault) => `${fault.path} ${fault.message}`);
  const [first, ...others] = said;
  if (first === undefined) return message;
  const more = others.length > 0 ? `, and ${others.length} more` : '';
  const told = [`: ${said.join('; ')}`, `: ${first}${more}`].find((text) => message.includes(text));
  return told === undefined ? message : message.replace(told, '');
}

export function faultLine(fault: Fault): string {
  return printable(fault.path === '' ? fault.message : `${fault.path}: ${fault.message}`);
}

function refusalExitCode(error: ApiError): number {
  switch (error.code) {
    case 'invalid-request':
      return EXIT.usage;
    case 'unauthenticated':
    case 'forbidden':
      return EXIT.denied;
    case 'unavailable':
      return EXIT.unreachable;
    default:
      return EXIT.failed;
  }
}

function remedyFor(error: ApiError): string | null {
  switch (error.code) {
    case 'unauthenticated':
      return 'Give a token with --token, --token-file or BERTH_TOKEN. `berth token create` makes one.';
    case 'forbidden':
      return 'Ask for a token that allows it: `berth token create --role ... --action ...` by somebody who may.';
    case 'revision-mismatch':
      return error.repeated
        ? 'The call was sent twice, so the change may be your own: look before you repeat it.'
        : 'Somebody changed it in between: read it again, then repeat the command.';
    case 'conflict':
      return error.message.includes('force=true') ? 'On the command line that is --force.' : null;
    case 'history-gone':
    case 'history-changed':
      return 'Start again without --after.';
    default:
      return null;
  }
}
