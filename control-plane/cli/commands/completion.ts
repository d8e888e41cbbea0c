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
  /** What its arguments name, so that they can be asked for: `job`, `deployment`, `task`, `node`, `role`, `framework`, `secret` or `policy`; `file` for a path. */
  readonly argument: ArgumentKind | null;
}

const ARGUMENT_KINDS = ['job', 'deployment', 'task', 'node', 'role', 'framework', 'secret', 'policy', 'file'] as const;
type ArgumentKind = (typeof ARGUMENT_KINDS)[number];

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
  return ARGUMENT_KINDS.find((kind) => kind === name) ?? null;
}

export function completionScript(shell: Shell, program: Command): string {
  const script = bashScript(completionNodes(program));
  // zsh understands bash's completion functions; one generator for both can't drift apart.
  return shell === 'bash' ? script : `${ZSH_BRIDGE}${script}`;
}

const ZSH_BRIDGE = `(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
autoload -U +X bashcompinit && bashcompinit
`;

function bashScript(nodes: readonly CompletionNode[]): string {
  const places = nodes.map(({ path, commands, flags, argument }) => {
    return `    '${path}') subcommands='${commands.join(' ')}' flags='${flags.join(' ')}' names='${argument ?? ''}' ;;`;
  });
  const values = valuePatterns(nodes);
  const choices = [...values].filter(([words]) => words !== '');
  return `# Completion for berth. Made from its command tree by: berth completion bash
_berth_takes_value() {
  case "$1 $2" in
  ${[...values.values()].flat().join('|')}) return 0 ;;
  esac
  return 1
}
_berth() {
  local word="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" at skip=""
  # Not called path or commands, which mean something to zsh.
  local sofar="" subcommands="" flags="" names=""
  COMPREPLY=()
  for ((at = 1; at < COMP_CWORD; at++)); do
    if [ -n "$skip" ]; then skip=""; continue; fi
    case "\${COMP_WORDS[at]}" in
    --) return 0 ;;
    -*) if _berth_takes_value "$sofar" "\${COMP_WORDS[at]}"; then skip=1; fi ;;
    *) case "\${sofar:+$sofar }\${COMP_WORDS[at]}" in
      ${nodes.flatMap(({ path }) => (path === '' ? [] : [`'${path}'`])).join('|')}) sofar="\${sofar:+$sofar }\${COMP_WORDS[at]}" ;;
      esac ;;
    esac
  done
  case "$sofar $previous" in
${choices.map(([words, patterns]) => `  ${patterns.join('|')}) COMPREPLY=($(compgen -W '${words}' -- "$word")); return 0 ;;`).join('\n')}
  *' --file'|'run -f'|*' --token-file'|*' --ca'|*' --client-cert'|*' --client-key'|*' --data-dir'|*' --from-file'|*' --id-token-file'|*' --claims') COMPREPLY=($(compgen -f -- "$word")); return 0 ;;
  esac
  if [ -n "$skip" ]; then return 0; fi
  case "$sofar" in
${places.join('\n')}
  esac
  if [[ "$word" == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$word"))
  elif [ -n "$subcommands" ]; then
    COMPREPLY=($(compgen -W "$subcommands" -- "$word"))
  elif [ "$names" = file ]; then
    COMPREPLY=($(compgen -f -- "$word"))
  elif [ -n "$names" ]; then
    COMPREPLY=($(compgen -W "$("\${COMP_WORDS[0]}" "$names" list -o name 2>/dev/null)" -- "$word"))
  fi
}
complete -F _berth berth
`;
}

/**
 * Where a flag takes a value, as patterns over "the words so far, the flag", by the values that it may have (none: anything).
 * The same letter may take a value in one command and none in another.
 */
function valuePatterns(nodes: readonly CompletionNode[]): Map<string, string[]> {
  const globals = nodes.find(({ path }) => path === '')?.values ?? {};
  const patterns = new Map<string, string[]>();
  const add = (values: readonly string[], pattern: string) => {
    const words = values.join(' ');
    patterns.set(words, [...(patterns.get(words) ?? []), pattern]);
  };
  for (const [flag, values] of Object.entries(globals)) add(values, `*' ${flag}'`);
  for (const { path, values } of nodes) {
    for (const [flag, words] of Object.entries(values)) if (!(flag in globals)) add(words, `'${path} ${flag}'`);
  }
  return patterns;
}
