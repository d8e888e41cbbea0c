/**
 * `npm run dev:edge`: a whole cluster on this machine whose only control plane is the edge entry, in the runtime that it has on Cloudflare:
 * etcd, the tunnel before it, the Worker, and agents on the container engine. Ctrl-C ends all of it.
 */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { brokenError, type Cluster, startCluster } from '../../control-plane/cli/dev/cluster.ts';
import { removeDevContext, writeDevContext } from '../../control-plane/cli/dev/context-file.ts';
import { CliError } from '../../control-plane/cli/exit.ts';
import { processIo } from '../../control-plane/cli/process-io.ts';
import { contextFile } from '../../control-plane/cli/settings.ts';
import { sleep } from '../../shared/util/clock.ts';
import { startEdge } from './local.ts';
import { CRON_PATH } from './parts.ts';

const PORT_DEFAULT = '7880';
const CRON_EVERY_MS = 60_000;
const DATA_DIR = join(homedir(), '.local', 'share', 'berth', 'dev-edge');

const io = processIo();
const note = (text: string) => io.err.write(`${text}\n`);

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: PORT_DEFAULT },
      agents: { type: 'string', default: '1' },
      ephemeral: { type: 'boolean', default: false },
    },
  });
  const over = new AbortController();
  const interrupted = Promise.withResolvers<null>();
  let cluster: Cluster | null = null;
  let signals = 0;
  const restore = io.onInterruption(() => {
    signals += 1;
    if (signals === 1) return interrupted.resolve(null);
    note('ending at once; containers of this cluster may be left');
    cluster?.kill();
    io.exitNow(1);
  });
  const context = contextFile(io.env);
  try {
    cluster = await startCluster(io, {
      port: Number(values.port),
      agents: Number(values.agents),
      dataDir: values.ephemeral ? null : DATA_DIR,
      onStep: note,
      controlPlane: startEdge,
    });
    void callTrigger(cluster.address, over.signal);
    const isFound = signals === 0 && (await writeDevContext(context, cluster));
    if (signals === 0) io.out.write(welcome(cluster, isFound));
    const end = await Promise.race([interrupted.promise, cluster.broken]);
    note('stopping');
    over.abort();
    await cluster.stop();
    if (end !== null) throw await brokenError(end);
    return 0;
  } finally {
    over.abort();
    await removeDevContext(context);
    restore();
  }
}

/** As the platform does every minute. Each call lasts as long as the turn, and nobody waits for it. */
async function callTrigger(address: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    io.fetch(`${address}${CRON_PATH}`, { signal }).catch(() => undefined);
    await sleep(io.clock, CRON_EVERY_MS, signal);
  }
}

function welcome({ address, token, nodes, dataDir, logsDir }: Cluster, isFound: boolean): string {
  const reach = isFound ? '' : `  export BERTH_ADDR=${address} BERTH_TOKEN=${token}\n`;
  return `
The edge entry is up, in workerd: ${address}
nodes ${nodes.join(', ')}; data in ${dataDir}; logs in ${logsDir}

In another terminal:

${reach}  control-plane/cli/berth run berth/busybox:local -- echo "hello from the edge"
  control-plane/cli/berth status

The token, which may do everything here:

  ${token}

Ctrl-C ends the cluster.
`;
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    if (error instanceof CliError) {
      for (const line of [error.message, ...(error.lines ?? []), error.remedy ?? '']) if (line !== '') note(line);
    } else note(error instanceof Error ? (error.stack ?? error.message) : String(error));
    process.exit(1);
  },
);
