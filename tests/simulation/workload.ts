/** What the clients of the simulated world ask for: few names, so that they get into each other's way. */
import { planJob } from '../../control-plane/services/job-plan.ts';
import { deleteJob, getJob, stopJob, submitJob, updateJob } from '../../control-plane/services/jobs.ts';
import { drainNode, listNodes, setEligibility, undrainNode } from '../../control-plane/services/nodes.ts';
import { listTasks, stopTask } from '../../control-plane/services/tasks.ts';
import { Refusal } from '../../shared/domain/errors.ts';
import type { JobKey } from '../../shared/domain/ids.ts';
import type { JobSpec } from '../../shared/domain/job.ts';
import type { JobView } from '../../shared/protocol/views.ts';
import { sleep } from '../../shared/util/clock.ts';
import type { Client, Write } from './client.ts';
import type { Decisions } from './decisions.ts';
import type { Past } from './invariants/past.ts';
import { RANKS } from './invariants/tasks.ts';
import { type Violation, violation } from './invariants/violation.ts';
import { randomService } from './random-service.ts';
import { randomSpec } from './random-spec.ts';
import type { SeededRandom } from './seeded-random.ts';
import { requestOfService, SERVICE_WEIGHTS, servicesOf } from './service-workload.ts';
import type { SimulatedProcess } from './simulated-process.ts';
import type { Truth } from './truth.ts';

export interface WorkloadParts {
  readonly client: Client;
  readonly process: SimulatedProcess;
  readonly random: SeededRandom;
  readonly decisions: Decisions;
  readonly nodes: readonly string[];
  readonly past: Past;
  readonly truth: Truth;
  readonly onViolation: (violation: Violation) => void;
}

const WEIGHTS = {
  submit: 20,
  submitService: 12,
  update: 8,
  updateService: 12,
  upsert: 4,
  stopJob: 6,
  deleteJob: 14,
  stopTask: 6,
  drain: 3,
  undrain: 5,
  close: 2,
  open: 5,
  read: 15,
  plan: 2,
  ...SERVICE_WEIGHTS,
} as const;

const PAUSE_MS: readonly [number, number] = [50, 2500];

/** Some clients ask again although they were answered. */
const REPEAT_CHANCE = 0.3;
const REPEAT_AFTER_MS: readonly [number, number] = [0, 5000];

/** One client's requests, one after the other. */
export class Workload {
  readonly #parts: WorkloadParts;
  /** Of the present request alone, so that it doesn't depend on those before it. */
  #random: SeededRandom;
  #requests = 0;
  #isStopped = false;
  #isIdle = false;

  constructor(parts: WorkloadParts) {
    this.#parts = parts;
    this.#random = parts.random;
  }

  /** Nothing is under way any more. */
  get isIdle(): boolean {
    return this.#isIdle;
  }

  /** No further requests; the one that is under way comes to its end. */
  stop(): void {
    this.#isStopped = true;
  }

  async run(): Promise<void> {
    const { process, decisions } = this.#parts;
    while (!this.#isStopped) {
      this.#requests += 1;
      const name = `${process.name}/${this.#requests}`;
      this.#random = this.#parts.random.split(name);
      await sleep(process.clock, this.#random.between(...PAUSE_MS));
      if (!this.#isStopped && decisions.take(name)) await this.#request();
    }
    this.#isIdle = true;
  }

  async #request(): Promise<void> {
    const kind = this.#random.weighted(WEIGHTS);
    switch (kind) {
      case 'submit':
        return this.#submit(randomSpec(this.#random, { key: this.#key() }));
      case 'submitService':
        return this.#submit(randomService(this.#random, { key: this.#key() }));
      case 'updateService':
        return this.#updateService();
      case 'update':
        return this.#update(false);
      case 'upsert':
        return this.#update(true);
      case 'stopJob':
      case 'deleteJob':
        return this.#endJob(kind);
      case 'stopTask':
        return this.#stopTask();
      case 'drain':
      case 'undrain':
      case 'close':
      case 'open':
        return this.#changeNode(kind);
      case 'read':
        return this.#read();
      case 'plan':
        return this.#plan();
      default:
        return this.#ofServices(kind);
    }
  }

  #ofServices(kind: keyof typeof SERVICE_WEIGHTS): Promise<void> {
    const { client, truth } = this.#parts;
    return requestOfService(kind, { client, truth, random: this.#random, key: this.#key() });
  }

  #key(): string {
    return `${this.#parts.process.name}-${this.#requests}`;
  }

  async #submit(spec: JobSpec): Promise<void> {
    const { process } = this.#parts;
    const random = this.#random;
    const key = this.#key();
    await this.#submitOnce(key, spec);
    if (!random.chance(REPEAT_CHANCE)) return;
    await sleep(process.clock, random.between(...REPEAT_AFTER_MS));
    await this.#submitOnce(key, spec);
  }

  async #submitOnce(key: string, spec: JobSpec): Promise<void> {
    const what = `submit ${spec.role}:${spec.name} under ${key}`;
    await this.#make({ what, key, role: spec.role, run: (ctx, call) => submitJob(ctx, call, spec) });
  }

  /** Whatever happened to the same request before, it makes one version of one job and is told of that one. */
  async #make(write: Write<JobView>): Promise<void> {
    const { client, past, onViolation } = this.#parts;
    const { what, key } = write;
    const outcome = await client.write(write);
    const made = past.madeByIdempotencyKey.get(key);
    if (outcome.type === 'answered') {
      const { body, revision } = outcome.answer;
      const isAsMade = made?.uid === body.uid && made.version === body.version && made.revision === revision;
      const told = `version ${body.version} of job ${body.uid} at ${revision}`;
      if (!outcome.answer.replayed) client.seesVersion(body.uid, body.version);
      if (!isAsMade) onViolation(violation(1, `"${what}" was answered with ${told}; made was ${JSON.stringify(made)}`));
    }
    if (outcome.type === 'refused' && made !== undefined && made.revision <= outcome.attemptRevision) {
      const { code } = outcome.refusal;
      onViolation(violation(1, `"${what}" was refused as ${code}, though it had made job ${made.uid}`));
    }
  }

  async #update(mayCreate: boolean): Promise<void> {
    const { process, truth } = this.#parts;
    const random = this.#random;
    const job = this.#pickJob();
    const key = this.#key();
    const fresh = randomSpec(random, { key });
    const spec = job === null || mayCreate ? fresh : { ...fresh, name: job.name, role: job.role };
    const standing = truth.snapshot.jobByKey(spec);
    const ifVersion = standing !== undefined && random.chance(0.3) ? standing.version : null;
    const what = `update ${spec.role}:${spec.name}${ifVersion === null ? '' : ` from version ${ifVersion}`}`;
    const options = { ifVersion, onlyCreate: mayCreate && random.chance(0.5) };
    const write: Write<JobView> = {
      what,
      key,
      role: spec.role,
      run: (ctx, call) => updateJob(ctx, call, spec, options),
    };
    await this.#make(write);
    if (!random.chance(REPEAT_CHANCE)) return;
    await sleep(process.clock, random.between(...REPEAT_AFTER_MS));
    await this.#make(write);
  }

  /** As often as not by force: others may have a deployment under way. */
  async #updateService(): Promise<void> {
    const random = this.#random;
    const standing = servicesOf(this.#parts.truth, () => true);
    if (standing.length === 0) return;
    const key = this.#key();
    const { spec: like } = random.pick(standing);
    const spec = randomService(random, { key, like });
    const force = random.chance(0.5);
    await this.#make({
      what: `update ${spec.role}:${spec.name}${force ? ' by force' : ''}`,
      key,
      role: spec.role,
      run: (ctx, call) => updateJob(ctx, call, spec, { ifVersion: null, onlyCreate: false, force }),
    });
  }

  async #endJob(kind: 'stopJob' | 'deleteJob'): Promise<void> {
    const { client } = this.#parts;
    const key = this.#pickJob();
    if (key === null) return;
    const what = `${kind} ${key.role}:${key.name}`;
    await client.write({
      what,
      key: this.#key(),
      role: key.role,
      run: (ctx, call) =>
        kind === 'stopJob'
          ? stopJob(ctx, call, key, { reason: 'enough', ifVersion: null })
          : deleteJob(ctx, call, key, { ifVersion: null }),
    });
  }

  async #stopTask(): Promise<void> {
    const { client, truth } = this.#parts;
    const live = [...truth.snapshot.tasks.values()].filter((task) => RANKS[task.state] < 4);
    if (live.length === 0) return;
    const { id, role } = this.#random.pick(live.sort((a, b) => (a.id < b.id ? -1 : 1)));
    const run: Parameters<typeof client.write<unknown>>[0]['run'] = (ctx, call) =>
      stopTask(ctx, call, id, { reason: 'enough' });
    await client.write({ what: `stop ${id}`, key: this.#key(), role, run });
  }

  async #changeNode(kind: 'drain' | 'undrain' | 'close' | 'open'): Promise<void> {
    const { client, nodes } = this.#parts;
    const random = this.#random;
    const node = random.pick(nodes);
    const deadlineSeconds = random.chance(0.5) ? random.between(0, 20) : null;
    await client.write({
      what: `${kind} ${node}`,
      key: this.#key(),
      role: null,
      run: (ctx, call) => {
        if (kind === 'drain') return drainNode(ctx, call, node, { deadlineSeconds });
        if (kind === 'undrain') return undrainNode(ctx, call, node);
        return setEligibility(ctx, call, node, { eligible: kind === 'open' });
      },
    });
  }

  /** A job that is on record all the while must be found, and what is seen of tasks only goes forward. */
  async #read(): Promise<void> {
    const { client, truth, past, onViolation } = this.#parts;
    const key = this.#pickJob();
    const before = key === null ? undefined : truth.snapshot.jobByKey(key);
    const { position } = client;
    if (key !== null && before !== undefined) {
      const found = await client.read(`job ${key.name}`, (ctx) => getJob(ctx, client.principal, key));
      const isStanding = truth.snapshot.jobByKey(key)?.uid === before.uid;
      const wasKnown = (past.jobsMade.get(before.uid) ?? 0) <= position;
      if (found !== null && !(found instanceof Refusal)) {
        client.checkRole(key.role, `read job ${key.name}`);
        client.seesVersion(found.value.uid, found.value.version);
      }
      if (found instanceof Refusal && isStanding && wasKnown && client.mayUse(key.role)) {
        onViolation(violation(8, `job ${before.uid} was not found by a client that had seen a later revision`));
      }
    }
    const all = { job: null, framework: null, role: null, node: null, states: null };
    const list = await client.read('tasks', (ctx) =>
      listTasks(ctx, client.principal, all, { limit: 1000, after: null }),
    );
    if (list === null || list instanceof Refusal) return;
    for (const { id, state, role } of list.value.items) {
      client.seesRank(id, RANKS[state]);
      client.checkRole(role, `list ${id}`);
    }
  }

  async #plan(): Promise<void> {
    const { client } = this.#parts;
    const spec = randomSpec(this.#random, { key: null });
    await client.read('plan', (ctx) => planJob(ctx, client.principal, spec));
    await client.read('nodes', (ctx) =>
      listNodes(ctx, client.principal, { states: null }, { limit: 100, after: null }),
    );
  }

  /** One of the jobs that are there, or null. */
  #pickJob(): JobKey | null {
    const jobs = [...this.#parts.truth.snapshot.jobs.values()];
    const found = jobs.map(({ spec }) => ({ role: spec.role, name: spec.name }));
    if (found.length === 0) return null;
    return this.#random.pick(found.sort((a, b) => (`${a.role}:${a.name}` < `${b.role}:${b.name}` ? -1 : 1)));
  }
}
