/** `npm run demo`: starts what it needs, tells the story, and stops all that it started. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { brokenError, type Cluster, startCluster } from '../../control-plane/cli/dev/cluster.ts';
import { describeFailure, EXIT } from '../../control-plane/cli/exit.ts';
import type { Interruption, Io } from '../../control-plane/cli/io.ts';
import { durationText } from '../../control-plane/cli/output/text.ts';
import { processIo } from '../../control-plane/cli/process-io.ts';
import { createNarrator, type Narrator } from './narrator.ts';
import { tellStory } from './story.ts';

const SETUP = fileURLToPath(new URL('../bootstrap/setup.sh', import.meta.url));
const AGENTS = 2;

/** The set-up script says `started` on stdout when the engine is from now on ours to stop. */
async function engineStartedHere(): Promise<boolean> {
  return (await setUp('engine')).includes('started');
}

function setUp(what: 'engine' | 'stop-engine'): Promise<string> {
  // In a process group of its own: an interruption must not cut off the engine's start or end.
  const child = spawn('bash', [SETUP, what], { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
  return new Promise((resolve, reject) => {
    let said = '';
    child.stdout.on('data', (bytes: Buffer) => {
      said += bytes.toString('utf8');
    });
    child.once('error', reject);
    child.once('close', (code) =>
      code === 0 ? resolve(said) : reject(new Error(`${SETUP} ${what} exited with ${code}`)),
    );
  });
}

async function demonstrate(io: Io, narrator: Narrator, interrupted: AbortSignal): Promise<void> {
  narrator.chapter('A cluster on this machine');
  const startedMs = performance.now();
  const onStep = (text: string) => narrator.tell(text);
  const cluster = await startCluster(io, { port: 0, agents: AGENTS, dataDir: null, onStep });
  try {
    interrupted.throwIfAborted();
    narrator.tell(
      `${narrator.paint('green', 'ready')} at ${cluster.address} after ${durationText(performance.now() - startedMs)}`,
    );
    const { address, token: adminToken } = cluster;
    await Promise.race([tellStory({ address, adminToken, narrator, signal: interrupted }), failWhenBroken(cluster)]);
  } finally {
    narrator.chapter('Stopping all that was started');
    await cluster.stop();
    narrator.tell('agents, containers, control plane, etcd and their folder: gone');
  }
}

async function failWhenBroken(cluster: Cluster): Promise<never> {
  throw await brokenError(await cluster.broken);
}

async function main(): Promise<number> {
  const io = processIo();
  const narrator = createNarrator();
  const stopping = new AbortController();
  let signal: Interruption | null = null;
  io.onInterruption((given) => {
    signal = given;
    stopping.abort();
  });
  const startedMs = performance.now();
  const engineIsOurs = await engineStartedHere();
  try {
    await demonstrate(io, narrator, stopping.signal);
    narrator.chapter(`Done in ${durationText(performance.now() - startedMs)}`);
    narrator.tell('npm run dev keeps such a cluster up; README.md goes on from here.');
    return EXIT.ok;
  } catch (error) {
    if (signal !== null) return signal === 'SIGINT' ? EXIT.interrupted : EXIT.terminated;
    const failure = describeFailure(error);
    const lines =
      failure === null ? [String(error instanceof Error ? error.stack : error)] : [failure.message, ...failure.lines];
    process.stderr.write(`\nThe demo failed: ${lines.join('\n  ')}\n${failure?.remedy ?? ''}\n`);
    return EXIT.failed;
  } finally {
    if (engineIsOurs) await setUp('stop-engine');
  }
}

const code = await main();
await new Promise((done) => process.stdout.write('', done));
process.exit(code);
