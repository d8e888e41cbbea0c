/** Clients that come and go all the while, a bounded number at a time. */
import { statusViewSchema } from '../../../shared/protocol/views.ts';
import type { SeededRandom } from '../../simulation/seeded-random.ts';
import { type PlannedJob, type RequestRecord, steadyMs } from '../history.ts';
import type { World } from '../world/world.ts';
import { Client, pause } from './client.ts';
import { runErrand } from './errands.ts';

const CLIENTS = 6;
/** Between two errands of one client. */
const PAUSE_MIN_MS = 1000;
const PAUSE_MAX_MS = 6000;
/** Nobody comes while so many tasks wait for a place: what is asked for has to be done soon after the faults are over. */
const WAITING_TASKS_MAX = 6;
const LOOK_AGAIN_MS = 1000;
const LOOK_TIMEOUT_MS = 2000;

export class Workload {
  readonly jobs: PlannedJob[] = [];
  readonly requests: RequestRecord[] = [];
  /** The longest time in which clients waited and none of them got an answer. */
  longestOutageMs = 0;
  #waiting = 0;
  #nobodyHelpedSinceMs = 0;
  #requestIds = 0;
  #jobNumbers = 0;
  readonly #world: World;
  readonly #random: SeededRandom;
  readonly #closing = new AbortController();
  readonly #givingUp = new AbortController();
  #clients: Promise<void>[] = [];

  constructor(world: World, random: SeededRandom) {
    this.#world = world;
    this.#random = random;
  }

  start(): void {
    this.#clients = Array.from({ length: CLIENTS }, (_, at) => this.#run(this.#random.split(`client-${at}`)));
  }

  /** No new errands; resolves when those under way are over. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all(this.#clients);
  }

  /** What has no answer yet gets none. */
  giveUp(): void {
    this.#closing.abort();
    this.#givingUp.abort();
  }

  async #run(random: SeededRandom): Promise<void> {
    const client = new Client({
      ...{ addresses: this.#world.replicas.map(({ url }) => url), token: this.#world.token, random },
      signal: this.#givingUp.signal,
      record: (request) => this.requests.push(request),
      nextId: () => {
        this.#requestIds += 1;
        return this.#requestIds;
      },
      onAsk: () => this.#asked(),
      onAnswer: () => this.#answered(),
    });
    for (;;) {
      while (!this.#closing.signal.aborted && (await this.#isCrowded(random))) {
        await pause(LOOK_AGAIN_MS, this.#closing.signal);
      }
      if (this.#closing.signal.aborted) return;
      this.#jobNumbers += 1;
      await runErrand(`job-${this.#jobNumbers}`, {
        ...{ client, random, witnessFolder: this.#world.witnessFolder, signal: this.#closing.signal },
        plan: (job) => this.jobs.push(job),
      });
      await pause(random.between(PAUSE_MIN_MS, PAUSE_MAX_MS), this.#closing.signal);
    }
  }

  /** Where nobody says, it isn't: trouble is when clients are wanted most. */
  async #isCrowded(random: SeededRandom): Promise<boolean> {
    const { url } = random.pick(this.#world.replicas);
    const answer = await fetch(`${url}/v1/status`, {
      headers: { Authorization: `Bearer ${this.#world.token}` },
      signal: AbortSignal.timeout(LOOK_TIMEOUT_MS),
    }).catch(() => null);
    if (answer === null || !answer.ok) return false;
    const { tasks } = statusViewSchema.parse(await answer.json());
    return tasks.pending > WAITING_TASKS_MAX;
  }

  #asked(): void {
    if (this.#waiting === 0) this.#nobodyHelpedSinceMs = steadyMs();
    this.#waiting += 1;
  }

  #answered(): void {
    const nowMs = steadyMs();
    this.#waiting -= 1;
    this.longestOutageMs = Math.max(this.longestOutageMs, nowMs - this.#nobodyHelpedSinceMs);
    this.#nobodyHelpedSinceMs = nowMs;
  }
}
