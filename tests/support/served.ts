/** A service whose tasks run, as records in a store: what readers of endpoints are tested against. */
import type { ServiceContext } from '../../control-plane/services/context.ts';
import { keys } from '../../control-plane/store/keys.ts';
import { putRecord } from '../../control-plane/store/records.ts';
import type { Deployment } from '../../shared/domain/deployment.ts';
import type { Job, JobVersion } from '../../shared/domain/job.ts';
import type { Node } from '../../shared/domain/node.ts';
import type { Task, TaskHealth } from '../../shared/domain/task.ts';
import { aGroup, aJob, aLedger, aNode, aTask, T0 } from './builders.ts';
import { caughtUp } from './replica.ts';

/** A service `web` with the port `http`, that is checked for health and readiness. */
export function aService(change: Partial<Job> & { readonly name?: string; readonly role?: string } = {}): Job {
  const { name = 'web', role = 'default', ...rest } = change;
  const check = {
    type: 'http',
    port: 'http',
    path: '/',
    intervalSeconds: 1,
    timeoutSeconds: 1,
    graceSeconds: 0,
    failuresMax: 1,
    successesMin: 1,
  } as const;
  const group = aGroup({
    count: 2,
    ports: [
      { name: 'http', containerPort: 8080, protocol: 'tcp', publish: { mode: 'http', hosts: ['web.example'] } },
      { name: 'stats', protocol: 'udp' },
    ],
    checks: [
      { ...check, name: 'alive', purpose: 'health', onFailure: 'replace' },
      { ...check, name: 'warm', purpose: 'readiness', onFailure: 'none' },
    ],
  });
  const spec = { name, role, kind: 'service', labels: { tier: 'front' }, groups: [group] } as const;
  return aJob({ spec, templates: { main: rest.version ?? 1 }, deployments: rest.version ?? 1, ...rest });
}

export const WELL: TaskHealth = { run: 0, healthy: true, ready: true, sinceMs: T0 + 500, checks: [] };

/** Running on edge-1, with both ports, healthy and ready, unless the change says otherwise. */
export function aServer(job: Job, change: Partial<Task> & { readonly index?: number } = {}): Task {
  const base = 20_000 + 2 * (change.index ?? 0);
  return aTask(job, {
    state: 'running',
    node: 'edge-1',
    ports: { http: base, stats: base + 1 },
    health: WELL,
    ...change,
  });
}

export function versionOf(job: Job, change: Partial<JobVersion> = {}): JobVersion {
  const { uid: jobUid, version, spec, createdBy, templates } = job;
  return { jobUid, version, spec, createdAtMs: T0, createdBy, change: 'created', templates, ...change };
}

/** Puts nodes whose agents are heard of, and what runs there. */
export class Served {
  readonly #ctx: ServiceContext;

  constructor(ctx: ServiceContext) {
    this.#ctx = ctx;
  }

  async nodes(...nodes: readonly (Partial<Node> & { readonly id: string })[]): Promise<void> {
    await this.#write(
      nodes.flatMap((node) => [
        putRecord('nodes', keys.node(node.id), aNode(node)),
        putRecord('epochs', keys.epoch(node.id), { epoch: 1, unreachableSinceMs: null }),
        putRecord('alive', keys.alive(node.id), { epoch: 1 }),
        putRecord('ledger', keys.ledger(node.id), aLedger({ node: node.id })),
      ]),
    );
  }

  /** The node's lease has ended. */
  silence(node: string): Promise<void> {
    return this.#write([{ type: 'delete', key: keys.alive(node) }]);
  }

  async job(job: Job, tasks: readonly Task[] = []): Promise<void> {
    await this.#write([
      putRecord('jobs', keys.job(job.spec), job),
      putRecord('versions', keys.version(job.uid, job.version), versionOf(job)),
      ...tasks.map((task) => putRecord('tasks', keys.task(task.id), task)),
    ]);
  }

  tasks(...tasks: readonly Task[]): Promise<void> {
    return this.#write(tasks.map((task) => putRecord('tasks', keys.task(task.id), task)));
  }

  forget(task: Task): Promise<void> {
    return this.#write([{ type: 'delete', key: keys.task(task.id) }]);
  }

  deployment(deployment: Deployment): Promise<void> {
    return this.#write([putRecord('deployments', keys.deployment(deployment.id), deployment)]);
  }

  async #write(writes: Parameters<ServiceContext['store']['transact']>[0]['writes']): Promise<void> {
    const outcome = await this.#ctx.store.transact({ compares: [], writes });
    if (!outcome.committed) throw new Error('the records could not be put');
    await caughtUp(this.#ctx);
  }
}
