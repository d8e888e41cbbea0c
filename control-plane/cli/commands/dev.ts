/** `berth dev`: a whole cluster on this machine, for as long as the command runs. */
import { access, constants } from 'node:fs/promises';
import { delimiter, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Command, InvalidArgumentError } from 'commander';
import { wholeNumber } from '../arguments.ts';
import { AGENTS_MAX, brokenError, type Cluster, startCluster } from '../dev/cluster.ts';
import { removeDevContext, writeDevContext } from '../dev/context-file.ts';
import { defaultDataDir } from '../dev/data-dir.ts';
import { EXIT } from '../exit.ts';
import type { Io } from '../io.ts';
import { type Paint, painter, wantsColour } from '../output/paint.ts';
import { contextFile } from '../settings.ts';

interface DevFlags {
  readonly port: number;
  readonly agents: number;
  readonly dataDir?: string;
  readonly ephemeral?: boolean;
  readonly dns?: string;
}

const DEFAULT_PORT = 7878;
const HELP = `
Examples:
  berth dev
  berth dev --ephemeral --port 0 --agents 3

It starts etcd, one replica of the control plane and the agents as processes of their own; their logs are files in the data
folder. If one of them dies, the command says so and ends. At the end it removes the containers of its nodes; jobs stay on
record in the data folder. While it runs, berth in other terminals finds it by itself.
`;

export function addDevCommand(program: Command, io: Io, finish: (exitCode: number) => void): void {
  program
    .command('dev')
    .summary('run a whole cluster on this machine')
    .description('Run etcd, a control plane and agents on this machine until interrupted.')
    .option('--port <port>', 'where the API listens; 0 takes a free one', portNumber, DEFAULT_PORT)
    .option('--agents <n>', 'how many nodes', agentCount, 2)
    .option('--data-dir <path>', 'where state and logs are kept (default: ~/.local/share/berth/dev)')
    .option('--dns <host:port>', 'answer names of services there, such as 127.0.0.1:5353')
    .option('--ephemeral', 'keep nothing: a temporary folder, gone at the end')
    .addHelpText('after', HELP)
    .action(async (flags: DevFlags, self: Command) => {
      const colour = self.optsWithGlobals<{ color: boolean }>().color;
      finish(await runDev(io, flags, painter(wantsColour(io.out, io.env, colour))));
    });
}

function portNumber(text: string): number {
  const port = wholeNumber(text);
  if (port <= 65_535) return port;
  throw new InvalidArgumentError('A port is a number from 0 to 65535.');
}

function agentCount(text: string): number {
  const count = wholeNumber(text);
  if (count >= 1 && count <= AGENTS_MAX) return count;
  throw new InvalidArgumentError(`It must be from 1 to ${AGENTS_MAX}.`);
}

async function runDev(io: Io, flags: DevFlags, paint: Paint): Promise<number> {
  const note = (text: string) => io.err.write(`${text}\n`);
  const interrupted = Promise.withResolvers<null>();
  let cluster: Cluster | null = null;
  let signals = 0;
  const restore = io.onInterruption((signal) => {
    signals += 1;
    if (signals === 1) return interrupted.resolve(null);
    note('ending at once; containers of this cluster may be left');
    cluster?.kill();
    io.exitNow(signal === 'SIGINT' ? EXIT.interrupted : EXIT.terminated);
  });
  const dataDir = flags.ephemeral === true ? null : resolve(flags.dataDir ?? defaultDataDir(io.env));
  const context = contextFile(io.env);
  try {
    const { port, agents, dns = null } = flags;
    cluster = await startCluster(io, { port, agents, dataDir, dns, onStep: note });
    const found = signals === 0 && (await writeDevContext(context, cluster));
    if (signals === 0) io.out.write(await welcome(io, cluster, { found, paint }));
    const end = await Promise.race([interrupted.promise, cluster.broken]);
    note('stopping');
    await cluster.stop();
    if (end !== null) throw await brokenError(end);
    return EXIT.ok;
  } finally {
    await removeDevContext(context);
    restore();
  }
}

/** The image that the set-up script builds; elsewhere one that a registry has. */
const OWN_IMAGE = 'berth/busybox:local';
const PUBLIC_IMAGE = 'busybox:1.36';

async function welcome(
  io: Io,
  { address, token, nodes, engine, dataDir, logsDir }: Cluster,
  { found, paint }: { found: boolean; paint: Paint },
): Promise<string> {
  const image = (await engine.hasImage(OWN_IMAGE)) ? OWN_IMAGE : PUBLIC_IMAGE;
  const reach = found ? '' : `  export BERTH_ADDR=${address} BERTH_TOKEN_FILE=${join(dataDir, 'admin-token')}\n`;
  const job = `{"name":"hello-'$RANDOM'","groups":[{"image":"${image}","args":["echo","hello from Berth"]}]}`;
  return `
${paint('green', 'Berth is up.')} ${paint('bold', address)}, API docs at ${address}/docs
nodes ${nodes.join(', ')}; data in ${dataDir}; logs in ${logsDir}

Run a container, in another terminal:

${reach}  ${await launcher(io)} run ${image} -- echo "hello from Berth"

The same as one REST call:

  curl -sS ${address}/v1/jobs \\
    -H 'Authorization: Bearer ${token}' \\
    -H 'Content-Type: application/json' -H "Idempotency-Key: $RANDOM$RANDOM" \\
    -d '${job}'

The token, which may do everything here:

  ${token}

Ctrl-C ends the cluster.
`;
}

/** As a person would have to type it here: `berth` where it is on PATH, else the way to the launcher. */
async function launcher({ env }: Io): Promise<string> {
  for (const folder of (env['PATH'] ?? '').split(delimiter)) {
    const isThere = await access(join(folder, 'berth'), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (folder !== '' && isThere) return 'berth';
  }
  return relative(process.cwd(), fileURLToPath(new URL('../berth', import.meta.url)));
}
