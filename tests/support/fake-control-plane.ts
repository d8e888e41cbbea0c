/**
 * A control plane of one node, in memory: the ledger is what a test says, statuses are taken in by the domain's own rule,
 * and the faults of the real one (away, stale epoch, refused token) happen on demand.
 */
import {
  type AssignmentQuery,
  type ControlPlane,
  ControlPlaneFault,
  type ControlPlaneFaultKind,
} from '../../node-agent/executor/contracts.ts';
import { isNewer, isTerminal, type Standing } from '../../shared/domain/task.ts';
import type {
  AssignedTask,
  AssignmentResponse,
  HealthReport,
  HeartbeatResponse,
  ImageReport,
  KeptAsideStop,
  LogLine,
  MessageForTask,
  MessagesRequest,
  MessagesResponse,
  RegisterRequest,
  RegisterResponse,
  SaidMessage,
  StatusesRequest,
  StatusesResponse,
  StreamRequest,
  TaskIdentityResponse,
  TaskSecretsResponse,
  TaskStatus,
} from '../../shared/protocol/agent.ts';
import { type Clock, sleep } from '../../shared/util/clock.ts';

export interface FakeControlPlaneOptions {
  readonly clock: Clock;
  readonly heartbeatIntervalMs?: number;
}

export class FakeControlPlane implements ControlPlane {
  readonly #clock: Clock;
  readonly #heartbeatIntervalMs: number;
  readonly #tasks = new Map<string, AssignedTask>();
  readonly #waiters = new Set<() => void>();
  #streams: readonly StreamRequest[] = [];
  #messages: readonly MessageForTask[] = [];
  #streamsChanges = 0;
  epoch = 0;
  incarnation = 1;
  keptAsideStops: readonly KeptAsideStop[] = [];
  #removingVolumes: readonly string[] = [];
  #images: readonly string[] = [];
  generation = 1;
  /** Every call fails in this way until it is null again. */
  fault: ControlPlaneFaultKind | null = null;
  /** Statuses are taken in, but the answer is lost on its way. */
  losesAnswers = false;
  readonly registrations: RegisterRequest[] = [];
  /** As it arrived, repeated statuses too. */
  readonly received = {
    statuses: [] as TaskStatus[],
    batches: [] as number[],
    /** Ids of messages that executors have taken. */
    taken: [] as string[],
    said: [] as SaidMessage[],
    /** How many came in each request. */
    saidAtOnce: [] as number[],
    released: [] as string[],
    removedVolumes: [] as string[],
    /** As it arrived, repeated reports too. */
    health: [] as HealthReport[],
    images: [] as ImageReport[],
    lines: new Map<string, LogLine[]>(),
    endedStreams: [] as string[],
    /** The agent broke them off. */
    brokenStreams: [] as string[],
  };
  heartbeats = 0;
  /** What tasks are given in confidence. */
  readonly taskSecrets = new Map<string, TaskSecretsResponse>();
  /** Tasks whose tokens were asked for, each time. */
  readonly askedIdentity: string[] = [];
  refusesIdentity = false;
  /** Tasks whose secrets were asked for, each time. */
  readonly askedSecrets: string[] = [];

  constructor(options: FakeControlPlaneOptions) {
    this.#clock = options.clock;
    this.#heartbeatIntervalMs = options.heartbeatIntervalMs ?? 2000;
  }

  /** Puts tasks into the ledger, or changes them there. */
  assign(...tasks: readonly AssignedTask[]): void {
    for (const task of tasks) this.#tasks.set(task.id, task);
    this.#changed();
  }

  change(id: string, change: Partial<AssignedTask>): void {
    const task = this.#tasks.get(id);
    if (task === undefined) throw new Error(`task ${id} is not in the ledger`);
    this.assign({ ...task, ...change });
  }

  stop(id: string, graceMs: number, delayMs?: number): void {
    this.change(id, { stop: { atMs: this.#clock.now(), graceMs, delayMs, reason: 'stopped by a test' } });
  }

  /** Takes entries out of the ledger. */
  sweep(...ids: readonly string[]): void {
    for (const id of ids) this.#tasks.delete(id);
    this.#changed();
  }

  /** Takes out what has ended, as rounds do. */
  sweepEnded(): void {
    const ended = [...this.#tasks.values()].filter((task) => isTerminal(task.state) && !task.disowned);
    if (ended.length > 0) this.sweep(...ended.map((task) => task.id));
  }

  /** Asks for the end of volumes. */
  removeVolumes(...ids: readonly string[]): void {
    this.#removingVolumes = ids;
    this.#changed();
  }

  /** Asks for images to be had; each is asked for until it has been told of. */
  wantImages(...images: readonly string[]): void {
    this.#images = images;
    this.#streamsChanges += 1;
    this.#wake();
  }

  /** What readers want now, in place of what they wanted before. */
  wantStreams(streams: readonly StreamRequest[]): void {
    this.#streams = streams;
    this.#streamsChanges += 1;
    this.#wake();
  }

  /** Somebody raises the node's epoch: the session is over. */
  raiseEpoch(): void {
    this.epoch += 1;
    this.#wake();
  }

  stateOf(id: string): AssignedTask['state'] | undefined {
    return this.#tasks.get(id)?.state;
  }

  /** Every status of the task that changed something, in order. */
  historyOf(id: string): readonly TaskStatus[] {
    const history: TaskStatus[] = [];
    let known: Standing = { state: 'staging', run: 0 };
    for (const status of this.received.statuses) {
      if (status.task !== id || !isNewer(known, status)) continue;
      known = status;
      history.push(status);
    }
    return history;
  }

  async register(request: RegisterRequest): Promise<RegisterResponse> {
    await this.#check(null);
    this.registrations.push(request);
    this.raiseEpoch();
    return {
      nodeToken: `node-token-${this.epoch}`,
      epoch: this.epoch,
      incarnation: this.incarnation,
      heartbeatIntervalMs: this.#heartbeatIntervalMs,
      leaseTtlMs: 10_000,
    };
  }

  async assignment(epoch: number, query: AssignmentQuery, signal: AbortSignal): Promise<AssignmentResponse | null> {
    await this.#check(epoch);
    const deadlineMs = this.#clock.monotonicMs() + query.waitMs;
    while (!this.#differs(query) && !signal.aborted) {
      const leftMs = deadlineMs - this.#clock.monotonicMs();
      if (leftMs <= 0) return null;
      await this.#change(leftMs, signal);
      await this.#check(epoch);
    }
    return {
      position: { incarnation: this.incarnation, generation: this.generation },
      tasks: [...this.#tasks.values()],
      streamsVersion: String(this.#streamsChanges),
      streams: this.#streams,
      messages: this.#messages,
      keptAsideStops: this.keptAsideStops,
      ...(this.#removingVolumes.length > 0 && { removingVolumes: this.#removingVolumes }),
      ...(this.#images.length > 0 && { images: this.#images }),
    };
  }

  async heartbeat(epoch: number): Promise<HeartbeatResponse> {
    await this.#check(epoch);
    this.heartbeats += 1;
    return { nodeToken: null };
  }

  async statuses(epoch: number, request: StatusesRequest): Promise<StatusesResponse> {
    await this.#check(epoch);
    this.received.batches.push(request.statuses.length);
    const results = request.statuses.map((status) => this.#take(status));
    for (const id of request.released) {
      this.received.released.push(id);
      this.#tasks.delete(id);
    }
    if (request.released.length > 0) this.#changed();
    this.received.health.push(...(request.health ?? []));
    const { removedVolumes = [] } = request;
    this.received.removedVolumes.push(...removedVolumes);
    if (removedVolumes.length > 0)
      this.removeVolumes(...this.#removingVolumes.filter((id) => !removedVolumes.includes(id)));
    const { images = [] } = request;
    this.received.images.push(...images);
    const told = new Set(images.map(({ image }) => image));
    const left = this.#images.filter((image) => !told.has(image));
    if (left.length < this.#images.length) this.wantImages(...left);
    if (this.losesAnswers) throw new ControlPlaneFault('away', 'the answer was lost');
    return { results };
  }

  /** Messages for tasks, listed until the agent has said that they are taken. */
  send(message: MessageForTask): void {
    this.#messages = [...this.#messages, message];
    this.#streamsChanges += 1;
    this.#wake();
  }

  /** Its time is over. */
  forget(message: string): void {
    if (!this.#messages.some(({ id }) => id === message)) return;
    this.#messages = this.#messages.filter(({ id }) => id !== message);
    this.#streamsChanges += 1;
    this.#wake();
  }

  async messages(epoch: number, { taken, said }: MessagesRequest): Promise<MessagesResponse> {
    await this.#check(epoch);
    this.received.taken.push(...taken);
    this.received.said.push(...said);
    this.received.saidAtOnce.push(said.length);
    for (const id of taken) this.forget(id);
    if (this.losesAnswers) throw new ControlPlaneFault('away', 'the answer was lost');
    return { results: said.map(() => 'relayed') };
  }

  /** Each time others. Which of the task's wishes they are for is read off its assignment. */
  async identity(epoch: number, task: string): Promise<TaskIdentityResponse> {
    await this.#check(epoch);
    if (this.refusesIdentity) throw new ControlPlaneFault('refused', `task ${task} gets no tokens`);
    this.askedIdentity.push(task);
    const count = this.askedIdentity.filter((asked) => asked === task).length;
    const issuedAtMs = this.#clock.now();
    const tokens = (this.#tasks.get(task)?.group.identity ?? []).map(({ name, ttlSeconds }) => {
      return { name, token: `${name}-${count}`, issuedAtMs, expiresAtMs: issuedAtMs + ttlSeconds * 1000 };
    });
    return { tokens };
  }

  async secrets(epoch: number, task: string): Promise<TaskSecretsResponse> {
    await this.#check(epoch);
    this.askedSecrets.push(task);
    const known = this.taskSecrets.get(task);
    if (known === undefined) throw new ControlPlaneFault('refused', `task ${task} is given nothing`);
    return known;
  }

  async stream(epoch: number, id: string, lines: AsyncIterable<readonly LogLine[]>): Promise<void> {
    await this.#check(epoch);
    const kept: LogLine[] = [];
    this.received.lines.set(id, kept);
    try {
      for await (const batch of lines) kept.push(...batch);
      this.received.endedStreams.push(id);
    } catch {
      this.received.brokenStreams.push(id);
    }
  }

  #take(status: TaskStatus): StatusesResponse['results'][number] {
    this.received.statuses.push(status);
    const task = this.#tasks.get(status.task);
    if (task === undefined) return 'unknown';
    if (!isNewer(task, status)) return 'known';
    // As with the real one: a status changes the task's record, not the ledger's generation.
    this.#tasks.set(status.task, { ...task, state: status.state, run: status.run });
    return 'committed';
  }

  async #check(epoch: number | null): Promise<void> {
    await Promise.resolve();
    if (this.fault !== null) throw new ControlPlaneFault(this.fault, `the control plane is told to be ${this.fault}`);
    if (epoch !== null && epoch !== this.epoch) {
      throw new ControlPlaneFault('stale-epoch', `epoch ${epoch} is over; ${this.epoch} is current`);
    }
  }

  #differs({ position, streamsVersion }: AssignmentQuery): boolean {
    return (
      position?.incarnation !== this.incarnation ||
      position.generation !== this.generation ||
      streamsVersion !== String(this.#streamsChanges)
    );
  }

  async #change(timeoutMs: number, signal: AbortSignal): Promise<void> {
    const woken = new AbortController();
    const wake = () => woken.abort();
    this.#waiters.add(wake);
    await sleep(this.#clock, timeoutMs, AbortSignal.any([signal, woken.signal]));
    this.#waiters.delete(wake);
  }

  #changed(): void {
    this.generation += 1;
    this.#wake();
  }

  #wake(): void {
    for (const wake of [...this.#waiters]) wake();
  }
}
