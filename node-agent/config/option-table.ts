/** Every option of the agent, in the order in which help shows them. */
export interface OptionInfo {
  readonly isFlag: boolean;
  /** May be given more than once; separated by commas in the environment. */
  readonly isList: boolean;
  readonly value: string;
  readonly help: string;
}

const one = (value: string, help: string): OptionInfo => ({ isFlag: false, isList: false, value, help });
const many = (value: string, help: string): OptionInfo => ({ isFlag: false, isList: true, value, help });
const flag = (help: string): OptionInfo => ({ isFlag: true, isList: false, value: '', help });

export const OPTIONS = {
  'control-plane': many('URL', "the control plane's address; more than one are tried in turn"),
  'join-token': one('TOKEN', 'lets this node join; better in the environment or in a file'),
  'join-token-file': one('PATH', 'a file that holds the join token; read again at each attempt'),
  'state-dir': one('PATH', "the agent's own folder (default /var/lib/berth-agent)"),
  'state-dir-moved': flag(
    'the state folder was brought here from another machine on purpose, and\nthat one no longer uses it',
  ),
  'node-id': one('ID', 'the name of this node (default: made once from the host name)'),
  address: one(
    'HOST',
    'where others reach the ports of tasks here: an IP address or a name\n(default: the address by which the machine goes to the control plane)',
  ),
  attributes: many('NAME=VALUE', 'what constraints can ask for'),
  resources: one(
    'LIST',
    'what the node has, in place of what is found: cpus=4,memMiB=8192,\ndiskMiB=100000,ports=20000-21000+30000,custom.licenses=3',
  ),
  gpus: many(
    'LIST',
    'which GPUs tasks may be given: all (the default), none, or a list of\nUUIDs and of places as nvidia-smi numbers them (0, or 0:1 for an\ninstance on a card in MIG mode)',
  ),
  reserve: one('LIST', 'what of it is kept back, written in the same way'),
  reservations: one(
    'LIST',
    'what of it only some roles may use: eng/ml:cpus=2,memMiB=1024;ops:diskMiB=5000\n(may be given more than once)',
  ),
  'docker-socket': one('PATH', "the engine's socket (default /var/run/docker.sock); none: there is no engine"),
  'registry-config': one('PATH', "credentials for registries: a config.json of Docker's client"),
  'allow-host-network': flag("tasks may use the node's network"),
  'allow-host-mount': many('PATH', 'tasks may mount this path and what lies below it'),
  'allow-privileged': flag('tasks may be privileged'),
  'allow-device': many('PATH', 'tasks may use this device'),
  'allow-capability': many('NAME', 'tasks may be given this capability'),
  'allow-executors': flag("frameworks' tasks may be executors, which run further tasks here"),
  'allow-process-runtime': flag('tasks may run without a container, each as a user of its own; needs root'),
  'process-user': many('NAME', 'such tasks may run as this user of the machine'),
  'process-uids': one('FIRST-LAST', 'the users that they are given otherwise (default 1880000000-1880009999)'),
  'process-dir': one(
    'PATH',
    'where their folders are (default tasks in the state folder); everybody must be\nable to enter it',
  ),
  'secrets-dir': one(
    'PATH',
    'where what tasks are given in confidence is kept, in a file system that is\nmemory (default /run/berth-secrets, or else /dev/shm/berth-secrets)',
  ),
  'start-concurrency': one('N', 'containers that are started at a time (default 4)'),
  'keep-ended-seconds': one('N', 'how long ended containers are kept for their output (default 3600)'),
  'keep-ended-max': one('N', 'and how many of them at most (default 50)'),
  'log-max-mib': one('N', "what is kept of each task's output at most, in MiB (default 96)"),
  'log-level': one('LEVEL', 'debug, info, warn or error (default info)'),
} satisfies Record<string, OptionInfo>;

export type OptionName = keyof typeof OPTIONS;

const COLUMN = 34;

export function helpText(): string {
  const lines = Object.entries(OPTIONS).flatMap(([name, { value, help }]) => {
    const left = `  --${name}${value === '' ? '' : ` ${value}`}`;
    const [first, ...more] = help.split('\n');
    return [`${left.padEnd(COLUMN)}  ${first}`, ...more.map((text) => `${''.padEnd(COLUMN)}  ${text}`)];
  });
  return `usage: berth-agent --control-plane URL [options]

Runs the tasks that Berth's control plane places on this machine, in its container engine.

${lines.join('\n')}
  --describe                          show as JSON what the agent would tell the control plane about this
                                      machine, and what is wrong, and end
  --version                           what this is
  --help                              this

Each option is also a variable: --node-id is BERTH_NODE_ID. Lists are separated by commas there.
A signal to end (SIGTERM, SIGINT) leaves the tasks running; the next agent takes them up.
`;
}
