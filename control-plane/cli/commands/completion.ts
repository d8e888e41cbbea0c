/** `berth completion`: what a shell needs to complete command lines, made from the command tree itself. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Io } from '../io.ts';

const SHELLS = ['bash', 'zsh'] as const;
type Shell = (typeof SHELLS)[number];

export function addCompletionCommand(program: Command, io: Io): void {
  program
    .command('completion')
    .summary('print a completion script for bash or zsh')
    .description('Print a script that teaches a shell to complete berth.')
    .argument('<shell>', 'bash or zsh', (text) => {
      const shell = SHELLS.find((each) => each === text);
      if (shell === undefined) throw new InvalidArgumentError('It must be bash or zsh.');
      return shell;
    })
    .addHelpText(
      'after',
      '\nExamples:\n  berth completion bash > ~/.local/share/bash-completion/completions/berth\n  source <(berth completion zsh)\n',
    )
    .action((shell: Shell) => io.out.write(completionScript(shell, program)));
}

/** One place on the command line: what may follow the words so far. */
export interface CompletionNode {
  /** The words so far without flags, such as `job list`; empty for the program itself. */
  readonly path: string;
  readonly commands: readonly string[];
  readonly flags: readonly string[];
  /** Flags that take a value, with the values where they are known. */
  readonly values: Readonly<Record<string, readonly string[]>>;
  /** What its arguments name, so that they can be asked for: `job`, `task` or `node`; `file` for a path. */
  readonly argument: 'job' | 'task' | 'node' | 'file' | null;
}

export function completionNodes(program: Command): CompletionNode[] {
  const globals = program.options;
  const walk = (command: Command, path: readonly string[]): CompletionNode[] => {
    const visible = command.commands.filter((child) => child.name() !== 'help');
    const node = completionNode(command, path, [...command.options, ...(command === program ? [] : globals)]);
    return [node, ...visible.flatMap((child) => walk(child, [...path, child.name()]))];
  };
  return walk(program, []);
}

function completionNode(command: Command, path: readonly string[], options: readonly Option[]): CompletionNode {
  const shown = [...options, new Option('-h, --help')].filter((option) => !option.hidden);
  const names = (option: Option) => [option.short, option.long].filter((name) => name !== undefined && name !== null);
  return {
    path: path.join(' '),
    commands: command.commands.map((child) => child.name()),
    flags: shown.flatMap(names),
    values: Object.fromEntries(
      shown
        .filter((option) => option.required)
        .flatMap((option) => names(option).map((name) => [name, option.argChoices ?? []] as const)),
    ),
    argument: argumentKind(command),
  };
}

function argumentKind(command: Command): CompletionNode['argument'] {
  const name = command.registeredArguments[0]?.name();
  return name === 'job' || name === 'task' || name === 'node' || name === 'file' ? name : null;
}

export function completionScript(shell: Shell, program: Command): string {
  const script = bashScript(completionNodes(program));
  // zsh understands bash's completion functions; one generator for both can't drift apart.
  return shell === 'bash' ? script : `autoload -U +X bashcompinit && bashcompinit\n${script}`;
}

function bashScript(nodes: readonly CompletionNode[]): string {
  const cases = (lineOf: (node: CompletionNode) => string | null) =>
    nodes
      .map(lineOf)
      .filter((line) => line !== null)
      .map((line) => `    ${line}\n`)
      .join('');
  const takesValue = [...new Set(nodes.flatMap((node) => Object.keys(node.values)))];
  const fixedValues = new Map(
    nodes.flatMap((node) => Object.entries(node.values)).filter(([, values]) => values.length > 0),
  );
  return `# Completion for berth. Made from its command tree by: berth completion bash
_berth() {
  local word="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" path="" at skip=""
  COMPREPLY=()
  for ((at = 1; at < COMP_CWORD; at++)); do
    if [ -n "$skip" ]; then skip=""; continue; fi
    case "\${COMP_WORDS[at]}" in
    --) return 0 ;;
    ${takesValue.join('|')}) skip=1 ;;
    -*) ;;
    *) case "\${path:+$path }\${COMP_WORDS[at]}" in
      ${nodes.flatMap((node) => (node.path === '' ? [] : [`'${node.path}'`])).join('|')}) path="\${path:+$path }\${COMP_WORDS[at]}" ;;
      esac ;;
    esac
  done
  case "$previous" in
${[...fixedValues].map(([flag, values]) => `  ${flag}) COMPREPLY=($(compgen -W '${values.join(' ')}' -- "$word")); return 0 ;;\n`).join('')}  -f|--file|--token-file|--data-dir) COMPREPLY=($(compgen -f -- "$word")); return 0 ;;
  ${takesValue.join('|')}) return 0 ;;
  esac
  local commands="" flags="" names=""
  case "$path" in
${cases((node) => `'${node.path}') commands='${node.commands.join(' ')}' flags='${node.flags.join(' ')}' names='${node.argument ?? ''}' ;;`)}  esac
  if [[ "$word" == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$word"))
  elif [ -n "$commands" ]; then
    COMPREPLY=($(compgen -W "$commands" -- "$word"))
  elif [ "$names" = file ]; then
    COMPREPLY=($(compgen -f -- "$word"))
  elif [ -n "$names" ]; then
    COMPREPLY=($(compgen -W "$("\${COMP_WORDS[0]}" "$names" list -o name 2>/dev/null)" -- "$word"))
  fi
}
complete -F _berth berth
`;
}
