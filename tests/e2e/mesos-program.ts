/**
 * A framework on the npm package `mesos-framework`, as a program of its own: it launches containers, or comes back with an id, asks
 * how its tasks stand and kills them. What it is told it prints, a line of JSON each.
 */
import type { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';

interface Told {
  readonly event: string;
  readonly framework?: string;
  readonly task?: string;
  readonly state?: string;
  readonly agent?: string;
  readonly reason?: string;
  readonly message?: string;
}

interface Status {
  readonly task_id: { readonly value: string };
  readonly agent_id?: { readonly value: string };
  readonly state: string;
  readonly reason?: string;
  readonly message?: string;
}

interface Scheduler extends EventEmitter {
  frameworkId: string | null;
  subscribe(): void;
  reconcile(task?: string, agent?: string): void;
  kill(task: string, agent: string): void;
}

/** The package has no types; these are of what is used here. */
interface Package {
  readonly Scheduler: new (options: object) => Scheduler;
  readonly Mesos: { getMesos(): Messages };
  readonly helpers: { stringifyEnumsRecursive(message: object): object };
}

interface Messages {
  readonly CommandInfo: new (...values: unknown[]) => object;
  readonly ContainerInfo: (new (
    ...values: unknown[]
  ) => object) & {
    readonly Type: { readonly DOCKER: number };
    readonly DockerInfo: (new (...values: unknown[]) => object) & { readonly Network: { readonly BRIDGE: number } };
  };
}

const { Scheduler, Mesos, helpers } = createRequire(import.meta.url)('mesos-framework') as Package;

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '5050' },
    name: { type: 'string', default: 'painter' },
    image: { type: 'string', default: '' },
    count: { type: 'string', default: '10' },
    'log-folder': { type: 'string', default: '.' },
    /** Of an earlier life: how its tasks stand is asked for, and they are killed. */
    id: { type: 'string' },
  },
});
const count = Number(values.count);

function tell(told: Told): void {
  process.stdout.write(`${JSON.stringify(told)}\n`);
}

function sleeper(): object {
  const { CommandInfo, ContainerInfo } = Mesos.getMesos();
  const { DockerInfo } = ContainerInfo;
  const docker = new DockerInfo(values.image, DockerInfo.Network.BRIDGE, null, false, null, false, null);
  return {
    priority: 1,
    instances: count,
    // As its own documentation builds them: URIs, environment, whether it is for a shell, the line, arguments, user.
    commandInfo: new CommandInfo(null, null, true, 'sleep 600', null, null),
    containerInfo: helpers.stringifyEnumsRecursive(new ContainerInfo(ContainerInfo.Type.DOCKER, null, null, docker)),
    resources: { cpus: 0.1, mem: 32, disk: 0, ports: 1 },
    portMappings: [{ port: 80, protocol: 'tcp' }],
  };
}

const scheduler = new Scheduler({
  ...{ masterUrl: '127.0.0.1', port: Number(values.port), frameworkName: values.name },
  logging: { path: values['log-folder'], fileName: 'mesos-framework.log', level: 'error' },
  ...(values.id === undefined && { tasks: { sleeper: sleeper() } }),
});
if (values.id !== undefined) scheduler.frameworkId = values.id;

const killed = new Set<string>();

scheduler.on('error', (error: unknown) => {
  const message = error instanceof Error ? error.message : JSON.stringify(error);
  tell({ event: 'error', message });
});
scheduler.on('subscribed', ({ frameworkId }: { frameworkId: string }) => {
  tell({ event: 'subscribed', framework: frameworkId });
  if (values.id !== undefined) scheduler.reconcile();
});
scheduler.on('update', ({ status }: { status: Status }) => {
  const [task, agent] = [status.task_id.value, status.agent_id?.value ?? ''];
  tell({
    event: 'update',
    task,
    agent,
    state: status.state,
    reason: status.reason ?? '',
    message: status.message ?? '',
  });
  if (values.id === undefined || status.state !== 'TASK_RUNNING' || killed.has(task)) return;
  killed.add(task);
  scheduler.kill(task, agent);
});
scheduler.on('ready', () => scheduler.subscribe());
