/**
 * A cluster with nodes, agents and a scheduler that are as simple as can be, for what only shows over many passes: the pass under test
 * sees the state, its plan is applied, and what it asks for happens a moment later.
 */

import type { PassPlan } from '../../../../control-plane/reconcile/actions.ts';
import { planNodeHealth } from '../../../../control-plane/reconcile/node-health-pass.ts';
import { trialOf } from '../../../../control-plane/reconcile/service/job-facts.ts';
import { planServicePass } from '../../../../control-plane/reconcile/service/service-pass.ts';
import { type ChangeFacts, type DraftedChange, runningOf } from '../../../../control-plane/services/service-changes.ts';
import type { ClusterView } from '../../../../shared/domain/cluster.ts';
import type { Deployment, DeploymentCause } from '../../../../shared/domain/deployment.ts';
import { deploymentId } from '../../../../shared/domain/deployment.ts';
import type { Job, JobSpec, JobVersion } from '../../../../shared/domain/job.ts';
import { nextTemplates } from '../../../../shared/domain/job-template.ts';
import { addEntries, removeEntries } from '../../../../shared/domain/ledger.ts';
import { advance, isTerminal, type Task } from '../../../../shared/domain/task.ts';
import { isReady } from '../../../../shared/domain/task-health.ts';
import { present } from '../../../../shared/util/assert.ts';
import { applyPass, literalOf } from '../../../support/apply-plan.ts';
import { aDeployment, aNode, anEntry, clusterOf, T0 } from '../../../support/builders.ts';

export const STEP_MS = 1000;

/** Of an image: whether its tasks come to be healthy, run without being so, or end at once. */
export type Behaviour = 'good' | 'sick' | 'crashing';

export class SmallCluster {
  cluster: ClusterView;
  nowMs = T0;
  readonly behaviours = new Map<string, Behaviour>();
  /** Called with the state before and after each plan of the pass under test. */
  onPass: (before: ClusterView, plan: PassPlan, after: ClusterView) => void = () => {};

  constructor(nodes: readonly string[]) {
    this.cluster = clusterOf({ nodes: nodes.map((id) => aNode({ id })) });
  }

  /** What the API writes for a new job, or for a change of one. */
  submit(job: Job, spec: JobSpec, cause: DeploymentCause, { restart = false } = {}): void {
    const literal = literalOf(this.cluster);
    const isNew = this.cluster.jobs.get(job.uid) === undefined;
    const version = isNew ? 1 : job.version + 1;
    const templates = nextTemplates(isNew ? null : { spec: job.spec, templates: job.templates }, spec, version, {
      restart,
    });
    const after: Job = { ...job, version, spec, templates, deployments: job.deployments + 1 };
    const deployment = aDeployment(after, {
      cause,
      fromVersion: isNew ? null : job.version,
      fromTemplates: isNew ? {} : job.templates,
      createdAtMs: this.nowMs,
      startedAtMs: null,
      progressAtMs: this.nowMs,
    });
    const earlier = literal.deployments.map((one) =>
      one.jobUid === job.uid && one.state === 'running'
        ? { ...one, state: 'cancelled' as const, endedAtMs: this.nowMs }
        : one,
    );
    this.cluster = clusterOf({
      ...literal,
      jobs: [...literal.jobs.filter(({ uid }) => uid !== job.uid), after],
      deployments: [...earlier, deployment],
    });
  }

  /** What the API writes for anything that is done to a job that stands, by force. */
  change(uid: string, draft: (job: Job, facts: ChangeFacts) => DraftedChange): void {
    const before = this.job(uid);
    const [running, trial] = [runningOf(this.cluster.deploymentsOfJob(uid)), trialOf(this.cluster, before)];
    const change = draft(before, { nowMs: this.nowMs, by: 'alice', running, trial, force: true });
    const literal = literalOf(this.cluster);
    const changed = new Set(change.deployments.map(({ id }) => id));
    this.cluster = clusterOf({
      ...literal,
      jobs: literal.jobs.map((job) => (job.uid === uid ? change.job : job)),
      versions: [...literal.versions, ...(change.version === null ? [] : [change.version])],
      deployments: [...literal.deployments.filter(({ id }) => !changed.has(id)), ...change.deployments],
    });
  }

  job(uid: string): Job {
    return present(this.cluster.jobs.get(uid), `job ${uid}`);
  }

  deployment(uid: string): Deployment {
    const id = deploymentId(uid, this.job(uid).deployments);
    return present(this.cluster.deployments.get(id), `deployment ${id}`);
  }

  versionOf(uid: string): JobVersion {
    return present(this.cluster.version(uid, this.job(uid).version), `version of ${uid}`);
  }

  live(uid: string): Task[] {
    return [...this.cluster.tasksOfJob(uid)].filter(({ state }) => !isTerminal(state));
  }

  ready(uid: string, cluster = this.cluster): Task[] {
    return [...cluster.tasksOfJob(uid)].filter((task) => {
      const group = cluster.version(uid, task.jobVersion)?.spec.groups.find(({ name }) => name === task.group);
      const isReached = task.node !== null && (cluster.epochs.get(task.node)?.unreachableSinceMs ?? null) === null;
      return isReached && task.stop === null && group !== undefined && isReady(task, group);
    });
  }

  changeJob(uid: string, change: Partial<Job>): void {
    const literal = literalOf(this.cluster);
    const jobs = literal.jobs.map((job) => (job.uid === uid ? { ...job, ...change } : job));
    this.cluster = clusterOf({ ...literal, jobs });
  }

  changeDeployment(uid: string, change: Partial<Deployment>): void {
    const literal = literalOf(this.cluster);
    const { id } = this.deployment(uid);
    const deployments = literal.deployments.map((one) => (one.id === id ? { ...one, ...change } : one));
    this.cluster = clusterOf({ ...literal, deployments });
  }

  changeTask(id: string, change: (task: Task) => Task): void {
    const literal = literalOf(this.cluster);
    this.cluster = clusterOf({
      ...literal,
      tasks: literal.tasks.map((task) => (task.id === id ? change(task) : task)),
    });
  }

  drain(node: string, deadlineMs: number | null): void {
    this.#changeLedger(node, { drain: { startedAtMs: this.nowMs, deadlineMs, by: 'alice' } });
  }

  undrain(node: string): void {
    this.#changeLedger(node, { drain: null });
  }

  kill(node: string): void {
    const literal = literalOf(this.cluster);
    this.cluster = clusterOf({ ...literal, dead: [...literal.dead, node] });
  }

  /** The agent is back, and whatever was given up there is gone. */
  revive(node: string): void {
    const literal = literalOf(this.cluster);
    const ended = (id: string) => isTerminal(this.cluster.tasks.get(id)?.state ?? 'lost');
    this.cluster = clusterOf({
      ...literal,
      dead: literal.dead.filter((one) => one !== node),
      ledgers: literal.ledgers.map((one) =>
        one.node === node ? removeEntries(one, Object.keys(one.entries).filter(ended)) : one,
      ),
    });
  }

  /** One pass, and a second in which everything that was asked for happens. */
  step(): void {
    this.pass();
    this.#health();
    this.#fetch();
    this.#agents();
    this.#schedule();
    this.nowMs += STEP_MS;
  }

  steps(count: number): void {
    for (let step = 0; step < count; step += 1) this.step();
  }

  plan(): PassPlan {
    return planServicePass({ cluster: this.cluster, nowMs: this.nowMs, unseenEndsForMs: new Map() });
  }

  pass(): void {
    const before = this.cluster;
    const plan = this.plan();
    this.cluster = applyPass(before, plan);
    this.onPass(before, plan, this.cluster);
  }

  #health(): void {
    const { cluster, nowMs } = this;
    const unreachableForMs = new Map<string, number>();
    const facts = { leasesCountFromMs: 0, unreachableForMs, unseenEndsForMs: new Map<string, number>() };
    this.cluster = applyPass(cluster, planNodeHealth({ cluster, nowMs, ...facts }));
  }

  #fetch(): void {
    const literal = literalOf(this.cluster);
    const imageFetches = literal.imageFetches.map((fetch) => ({ ...fetch, state: 'ready' as const }));
    this.cluster = clusterOf({ ...literal, imageFetches });
  }

  #agents(): void {
    const literal = literalOf(this.cluster);
    const tasks = literal.tasks.map((task) => this.#moved(task));
    const ended = new Set(tasks.filter(({ state }) => isTerminal(state)).map(({ id }) => id));
    const ledgers = literal.ledgers.map((ledger) => {
      const gone = Object.values(ledger.entries).filter(({ task, disowned }) => ended.has(task) && !disowned);
      return removeEntries(
        ledger,
        gone.map(({ task }) => task),
      );
    });
    this.cluster = clusterOf({ ...literal, tasks, ledgers });
  }

  #moved(task: Task): Task {
    const { nowMs, cluster } = this;
    if (task.node === null || isTerminal(task.state) || !cluster.isAlive(task.node)) return task;
    const became = (state: Task['state'], reason: 'started' | 'exited' | 'stop-requested') => {
      const exitCode = isTerminal(state) ? 1 : null;
      return advance(task, { state, atMs: nowMs, reason, message: `it has ${state}` }, { exitCode });
    };
    if (task.stop !== null) return became('killed', 'stop-requested');
    const image = cluster
      .version(task.jobUid, task.jobVersion)
      ?.spec.groups.find(({ name }) => name === task.group)?.image;
    const behaviour = this.behaviours.get(image ?? '') ?? 'good';
    if (task.state === 'staging') return became('running', 'started');
    if (behaviour === 'crashing') return became('failed', 'exited');
    if (task.health !== null) return task;
    const healthy = behaviour === 'good';
    const check = { name: 'up', passing: healthy, message: healthy ? 'it answers' : 'connection refused', atMs: nowMs };
    return { ...task, health: { run: task.run, healthy, ready: true, sinceMs: nowMs, checks: [check] } };
  }

  #schedule(): void {
    for (const task of [...this.cluster.pendingTasks()]) {
      const node = task.notBeforeMs <= this.nowMs ? this.#nodeFor(task) : undefined;
      if (node === undefined) continue;
      const literal = literalOf(this.cluster);
      const entry = anEntry(this.job(task.jobUid), task);
      this.cluster = clusterOf({
        ...literal,
        ledgers: literal.ledgers.map((one) => (one.node === node ? addEntries(one, [entry]) : one)),
        tasks: literal.tasks.map((one) =>
          one.id === task.id
            ? advance(
                one,
                { state: 'staging', atMs: this.nowMs, reason: 'placed', message: 'there was room' },
                { node },
              )
            : one,
        ),
      });
    }
  }

  /** The one with the fewest tasks that takes any. */
  #nodeFor(task: Task): string | undefined {
    const open = [...this.cluster.ledgers.values()].filter(
      ({ node, drain, eligible }) => drain === null && eligible && this.cluster.isAlive(node),
    );
    const wanted = open.find(({ node }) => node === task.target?.node);
    if (wanted !== undefined || task.target?.required === true) return wanted?.node;
    const load = (entries: object) => Object.keys(entries).length;
    return open.sort((a, b) => load(a.entries) - load(b.entries))[0]?.node;
  }

  #changeLedger(node: string, change: object): void {
    const literal = literalOf(this.cluster);
    this.cluster = clusterOf({
      ...literal,
      ledgers: literal.ledgers.map((one) => (one.node === node ? { ...one, ...change } : one)),
    });
  }
}
