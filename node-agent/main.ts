/**
 * The agent as a process. Settings in, parts put together, signals turned into a clean end. Exit codes: 0 ended on request;
 * 1 it can't go on; 2 the settings are wrong.
 */
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { NO_ENGINE } from '../shared/domain/node.ts';
import { jitteredBackoffMs } from '../shared/util/backoff.ts';
import { sleep } from '../shared/util/clock.ts';
import { HttpControlPlane } from './adapters/control-plane/http-control-plane.ts';
import { DockerRuntime } from './adapters/docker/docker-runtime.ts';
import { ExecutorRuntime } from './adapters/executor/executor-runtime.ts';
import { FileFence } from './adapters/fence/file-fence.ts';
import { FileJournal } from './adapters/journal/file-journal.ts';
import { StateDir, StateDirError } from './adapters/journal/state-dir.ts';
import { DEFAULT_PORTS, detectBoot, detectMachine } from './adapters/machine/detect.ts';
import { detectAddress } from './adapters/machine/detect-address.ts';
import { detectGpus, nvidiaSmi } from './adapters/machine/detect-gpus.ts';
import { isOtherMachine, readMachineIdentity } from './adapters/machine/machine-identity.ts';
import { NetworkProbes } from './adapters/probes/network-probes.ts';
import { ProcessRuntime } from './adapters/process/process-runtime.ts';
import { DEFAULT_USER_IDS } from './adapters/process/user-ids.ts';
import { createLineLog } from './adapters/system/line-log.ts';
import { systemClock } from './adapters/system/system-clock.ts';
import { systemRandom } from './adapters/system/system-random.ts';
import { MEMORY_DIRS, MemoryFiles } from './adapters/task-files/memory-files.ts';
import { FolderVolumes } from './adapters/volumes/folder-volumes.ts';
import { describeNode, newNodeId, usableGpus } from './config/describe.ts';
import type { GpuReport } from './config/gpus.ts';
import { helpText } from './config/option-table.ts';
import { type AgentOptions, parseOptions } from './config/options.ts';
import { namedUserFaults } from './core/named-user.ts';
import { type Agent, createAgent } from './executor/agent.ts';
import { type AgentConfig, type Log, type Runtime, RuntimeFault } from './executor/contracts.ts';
import { ENGINE_BACKOFF } from './executor/engine-view.ts';
import { RoutedRuntime } from './executor/routed-runtime.ts';

const VERSION = '0.1.0';
/** Shared by all agents of a machine; emptied when it is started. */
const USER_IDS_DIR = '/run/berth-user-ids';
/** Where tasks without a container find programs, unless their job says otherwise. */
const TASKS_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const EXIT_CANNOT_GO_ON = 1;
const EXIT_WRONG_SETTINGS = 2;
/** What is under way when the end is asked for gets so long; then it is left to the next agent. */
const END_GRACE_MS = 15_000;

async function main(): Promise<void> {
  const parsed = parseOptions(process.argv.slice(2), process.env);
  switch (parsed.type) {
    case 'help':
      process.stdout.write(helpText());
      return;
    case 'version':
      process.stdout.write(`berth-agent ${VERSION}\n`);
      return;
    case 'faulty':
      return refuse(parsed.faults);
    case 'describe':
      return show(await located(parsed.options));
    case 'run':
      return run(await located(parsed.options));
  }
}

/** With the machine's own idea of its address where the operator has none. */
async function located(options: AgentOptions): Promise<AgentOptions> {
  return { ...options, address: options.address ?? (await detectAddress(options.controlPlane)) };
}

/** What a run would tell the control plane about this machine. Nothing is started, joined or written; the engine may be away. */
async function show(options: AgentOptions): Promise<void> {
  const nodeId = options.nodeId ?? '(made when it joins)';
  const runtime = dockerRuntime(options, nodeId);
  const engine = await (runtime?.describe() ?? withoutEngine(options)).catch((cause: Error) => cause.message);
  const isAway = typeof engine === 'string';
  const { node, faults, warnings } = await described(options, nodeId, isAway ? ENGINE_AWAY : engine);
  const shown = { node, faults, warnings: [...(isAway ? [engine] : []), ...warnings] };
  process.stdout.write(`${JSON.stringify(shown, null, 2)}\n`);
  if (faults.length > 0) process.exitCode = EXIT_WRONG_SETTINGS;
}

interface Engine {
  readonly engine: string;
  readonly rootDir: string;
}

/** An engine that is there and doesn't answer. */
const ENGINE_AWAY: Engine = { engine: '', rootDir: '/' };

async function withoutEngine({ processes, stateDir }: AgentOptions): Promise<Engine> {
  return { engine: NO_ENGINE, rootDir: processes.dir ?? stateDir };
}

async function described(options: AgentOptions, nodeId: string, { engine, rootDir }: Engine) {
  const [machine, gpus, passwd] = await Promise.all([
    detectMachine(rootDir).catch(() => detectMachine('/')),
    findGpus(options),
    readFile('/etc/passwd', 'utf8').catch(() => ''),
  ]);
  const found = { ...machine, ports: [DEFAULT_PORTS], gpus };
  const description = describeNode({ nodeId, found, engine, agentVersion: VERSION, options });
  return { ...description, faults: [...description.faults, ...namedUserFaults(passwd, options.processes.users)] };
}

/** An operator who wants none of them is told nothing about them. */
async function findGpus({ gpus }: AgentOptions): Promise<GpuReport> {
  return gpus === 'none' ? { type: 'absent' } : detectGpus(nvidiaSmi(systemClock));
}

/** Every fault at once, and nothing started. */
function refuse(faults: readonly string[]): void {
  for (const fault of faults) process.stderr.write(`berth-agent: ${fault}\n`);
  process.stderr.write('berth-agent: see berth-agent --help\n');
  process.exitCode = EXIT_WRONG_SETTINGS;
}

async function run(options: AgentOptions): Promise<void> {
  const log = createLineLog({
    level: options.logLevel,
    write: (line) => void process.stderr.write(line),
    now: () => systemClock.now(),
  });
  const ending = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => ending.abort());
  }
  const stateDir = await StateDir.open({ path: options.stateDir, pid: process.pid, isRunning });
  try {
    const faults = await unreadableFiles(options, stateDir);
    if (faults.length > 0) return refuse(faults);
    await serve({ options, stateDir, log, ending: ending.signal });
  } finally {
    await stateDir.close();
  }
}

interface Surroundings {
  readonly options: AgentOptions;
  readonly stateDir: StateDir;
  readonly log: Log;
  readonly ending: AbortSignal;
}

async function serve(surroundings: Surroundings): Promise<void> {
  const { options, stateDir, log, ending } = surroundings;
  await checkMachine(options, stateDir);
  const nodeId = await identity(options, stateDir);
  const engine = dockerRuntime(options, nodeId);
  const config = await describe(surroundings, engine, nodeId);
  if (config === null) return;
  const machine = await runtimeOf(surroundings, { engine, nodeId, bootId: config.boot.id });
  if (machine === null) return;
  // A process has to be able to enter it, as it has to enter its own folder.
  const dir = options.processes.dir === null ? stateDir.executorsDir : join(options.processes.dir, '.executors');
  const runtime = await ExecutorRuntime.open({ machine, dir, clock: systemClock, random: systemRandom });
  const journal = new FileJournal(stateDir.journalPath);
  const volumes = new FolderVolumes(stateDir.volumesDir);
  const files = await MemoryFiles.open(options.secretsDir === null ? MEMORY_DIRS : [options.secretsDir], nodeId);
  if (files.refusal !== null) log.info('the node takes no tasks with secrets', { cause: files.refusal });
  const fence = await openFence(stateDir, log);
  const userAgent = `berth-agent/${VERSION}`;
  const https = () => process.getBuiltinModule('node:https');
  const controlPlane = new HttpControlPlane({
    urls: options.controlPlane,
    tokens: {
      readNodeToken: () => stateDir.readNodeToken(),
      writeNodeToken: (token) => stateDir.writeNodeToken(token),
      readJoinToken: () => joinToken(options),
    },
    userAgent,
    https,
    log,
  });
  const system = { clock: systemClock, random: systemRandom, log };
  const gpus = async () => usableGpus(await findGpus(options), options.gpus);
  const probes = new NetworkProbes({ https, userAgent });
  const runtimes = { runtime, executors: runtime, probes, volumes, files };
  const agent = createAgent({ controlPlane, ...runtimes, journal, fence, config, gpus, ...system });
  await agent.start();
  if (journal.damagedLines > 0) log.warn('the journal had damaged lines', { lines: journal.damagedLines });
  log.info('the agent has started', { node: nodeId, engine: config.node.engine, version: VERSION });
  await untilAborted(ending);
  await end(agent, log);
  controlPlane.close();
}

async function end(agent: Agent, log: Log): Promise<void> {
  log.info('the agent ends; tasks run on');
  const giveUp = new AbortController();
  const isDone = agent.stop().then(() => true);
  const isLate = sleep(systemClock, END_GRACE_MS, giveUp.signal).then(() => false);
  if (!(await Promise.race([isDone, isLate]))) log.warn('something under way did not end; the next agent sees to it');
  giveUp.abort();
}

/** Null: the node has none. */
function dockerRuntime(options: AgentOptions, nodeId: string): DockerRuntime | null {
  if (options.dockerSocket === null) return null;
  return new DockerRuntime({
    socketPath: options.dockerSocket,
    owner: { nodeId, hostname: hostname(), address: options.address, logMaxMiB: options.logMaxMiB },
    registryConfig: options.registryConfig,
    clock: systemClock,
    random: systemRandom,
  });
}

interface Found {
  readonly engine: DockerRuntime | null;
  readonly nodeId: string;
  readonly bootId: string | null;
}

/** What tasks run in. Null: the machine lacks what tasks without a container need. */
async function runtimeOf(
  { options, stateDir, log }: Surroundings,
  { engine, nodeId, bootId }: Found,
): Promise<Runtime | null> {
  const { users, userIds } = options.processes;
  const dir = options.processes.dir ?? stateDir.tasksDir;
  // What was started when it was allowed is seen to its end.
  if (!options.consent.processRuntime && !(await ProcessRuntime.hasTasks(dir))) return engine;
  if (options.processes.dir === null) await stateDir.letPass();
  try {
    const process = await ProcessRuntime.open({
      dir,
      userIdsDir: USER_IDS_DIR,
      userIds: userIds ?? DEFAULT_USER_IDS,
      users,
      place: { nodeId, hostname: hostname(), address: options.address },
      bootId,
      logMaxMiB: options.logMaxMiB,
      mountsFile: '/proc/self/mounts',
      shell: '/bin/sh',
      path: TASKS_PATH,
      clock: systemClock,
      random: systemRandom,
      log,
    });
    if (process.unlimited.length > 0) {
      log.warn('the machine has no cgroups to hold tasks without a container to', {
        missing: process.unlimited.join(', '),
      });
    }
    return new RoutedRuntime({ docker: engine, process });
  } catch (cause) {
    if (!(cause instanceof RuntimeFault)) throw cause;
    refuse([`--allow-process-runtime can't be used: ${cause.message}`]);
    return null;
  }
}

/** A copy of the folder on another machine would speak for this node and know nothing of what runs on it. */
async function checkMachine({ isStateDirMoved, stateDir: path }: AgentOptions, stateDir: StateDir): Promise<void> {
  const machine = await readMachineIdentity();
  const before = await stateDir.readMachine();
  if (before !== null && isOtherMachine(before, machine) === true && !isStateDirMoved) {
    throw new StateDirError(
      `the state folder ${path} was made on another machine, so this one may be a clone of it; to make this machine a node of its own, start with an empty --state-dir; if the disk was moved here and nothing else uses that state, add --state-dir-moved once`,
    );
  }
  const known = isStateDirMoved ? machine : { ...before, ...machine };
  if (before === null || JSON.stringify(known) !== JSON.stringify(before)) await stateDir.writeMachine(known);
}

async function openFence(stateDir: StateDir, log: Log): Promise<FileFence> {
  const machine = { procDir: '/proc', shell: '/bin/sh', path: process.env['PATH'] ?? '' };
  const fence = await FileFence.open({ dir: stateDir.fenceDir, pid: process.pid, ...machine, log });
  const cause = await fence.refusal();
  if (cause !== null) log.info('the node takes no tasks with stopAfterDisconnectSeconds', { cause });
  return fence;
}

async function identity(options: AgentOptions, stateDir: StateDir): Promise<string> {
  const kept = await stateDir.readNodeId();
  const id = options.nodeId ?? kept ?? newNodeId(hostname(), systemRandom);
  if (kept !== null && kept !== id) {
    throw new StateDirError(
      `--node-id is "${id}", and the state folder belongs to node "${kept}"; give this node a folder of its own`,
    );
  }
  if (kept === null) await stateDir.writeNodeId(id);
  return id;
}

/** Null: the end was asked for, or the settings don't fit the machine. */
async function describe(
  { options, log, ending }: Surroundings,
  runtime: DockerRuntime | null,
  nodeId: string,
): Promise<AgentConfig | null> {
  const engine = runtime === null ? await withoutEngine(options) : await answeringEngine(runtime, log, ending);
  if (engine === null) return null;
  const { node, faults, warnings } = await described(options, nodeId, engine);
  for (const cause of warnings) log.warn('something is wrong with GPUs', { cause });
  if (faults.length > 0) {
    refuse(faults);
    return null;
  }
  const boot = await detectBoot(systemClock);
  return { node, startConcurrency: options.startConcurrency, retention: options.retention, boot };
}

/** At boot the engine may come up after the agent. */
async function answeringEngine(runtime: DockerRuntime, log: Log, ending: AbortSignal): Promise<Engine | null> {
  for (let retry = 0; !ending.aborted; retry += 1) {
    try {
      return await runtime.describe();
    } catch (cause) {
      if (!(cause instanceof RuntimeFault)) throw cause;
      if (retry === 0) log.warn('waiting for the container engine', { cause: cause.message });
      await sleep(systemClock, jitteredBackoffMs(ENGINE_BACKOFF, retry, systemRandom.next()), ending);
    }
  }
  return null;
}

/**
 * Files that settings name. They are read when they are needed; a mistyped path is told at once. A node that has joined may go
 * without its join token, which its operator has thrown away.
 */
async function unreadableFiles({ joinTokenFile, registryConfig }: AgentOptions, stateDir: StateDir): Promise<string[]> {
  const faults: string[] = [];
  if (joinTokenFile !== null && (await stateDir.readNodeToken()) === null) {
    await readFile(joinTokenFile, 'utf8').catch((cause) => faults.push(unusable('join-token-file', cause)));
  }
  if (registryConfig !== null) {
    await readFile(registryConfig, 'utf8')
      .then((text) => JSON.parse(text))
      .catch((cause) => faults.push(unusable('registry-config', cause)));
  }
  return faults;
}

function unusable(setting: string, cause: unknown): string {
  return `--${setting} can't be used: ${cause instanceof Error ? cause.message : cause}`;
}

async function joinToken(options: AgentOptions): Promise<string | null> {
  if (options.joinTokenFile === null) return options.joinToken;
  const token = (await readFile(options.joinTokenFile, 'utf8')).trim();
  return token === '' ? null : token;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (cause) {
    // Somebody else's process: it runs.
    return cause instanceof Error && 'code' in cause && cause.code === 'EPERM';
  }
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

// Connections that the engine keeps open would keep the process.
const done = () => process.exit();

main().then(done, (cause: unknown) => {
  const isExpected = cause instanceof StateDirError;
  const words = cause instanceof Error ? (isExpected ? cause.message : (cause.stack ?? cause.message)) : String(cause);
  process.stderr.write(`berth-agent: ${words}\n`);
  process.exit(isExpected ? EXIT_WRONG_SETTINGS : EXIT_CANNOT_GO_ON);
});
