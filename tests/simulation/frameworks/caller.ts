/**
 * How a framework's process calls the control plane: whichever replica is up, again and again until it is told how it came out, and
 * what changes something under one idempotency key.
 */
import type { Principal } from '../../../control-plane/auth/principal.ts';
import type { Answer, Call, ServiceContext } from '../../../control-plane/services/context.ts';
import { Refusal } from '../../../shared/domain/errors.ts';
import { sleep } from '../../../shared/util/clock.ts';
import { NOWHERE } from '../../support/nowhere.ts';
import { isPassing } from '../client.ts';
import type { Origin } from '../faulty-store.ts';
import type { Network } from '../network.ts';
import type { Plant } from '../plants/plant.ts';
import type { Replica } from '../replica.ts';
import type { SeededRandom } from '../seeded-random.ts';
import type { SimulatedProcess } from '../simulated-process.ts';

/** A framework in one of its sessions. */
export type Acting = NonNullable<Origin['framework']>;

export interface CallerParts {
  readonly name: string;
  readonly process: SimulatedProcess;
  readonly network: Network;
  readonly replicas: readonly Replica[];
  readonly random: SeededRandom;
  readonly plant: Plant;
  readonly tell: (what: string) => void;
}

const ATTEMPTS_MAX = 8;
const TIMEOUT_MS = 20_000;
const RETRY_MS: readonly [number, number] = [50, 1500];

export class Caller {
  readonly principal: Principal;
  readonly #parts: CallerParts;
  readonly #onRefusal: (refusal: Refusal, acting: Acting) => void;
  /** What has no answer yet, by its key. */
  readonly #underway = new Map<string, string>();
  #keys = 0;
  #isClosed = false;

  /** `onRefusal` is told of what is final, of each call that was made in a session. */
  constructor(parts: CallerParts, onRefusal: (refusal: Refusal, acting: Acting) => void) {
    this.#parts = parts;
    this.#onRefusal = onRefusal;
    const grants = [{ roles: ['*'], actions: ['framework:run', 'framework:read'] }];
    this.principal = { kind: 'user', subject: parts.name, tokenId: 'simulated', grants, node: null };
  }

  /** What has no answer yet isn't asked for again. */
  close(): void {
    this.#isClosed = true;
  }

  /** Whether such a write has no answer yet. */
  isWriting(what: string): boolean {
    return [...this.#underway.values()].includes(what);
  }

  /** What it is told, a refusal, or null: it gave up. `acting`: in which session; null: in none. */
  async write<T>(
    acting: Acting | null,
    what: string,
    run: (ctx: ServiceContext, call: Call) => Promise<Answer<T>>,
  ): Promise<T | Refusal | null> {
    this.#keys += 1;
    const { random, process } = this.#parts;
    const key = `${process.name}-${this.#keys}-${random.between(0, 1_000_000_000)}`;
    const call: Call = { principal: this.principal, origin: NOWHERE, idempotency: { key, requestDigest: what } };
    this.#underway.set(key, what);
    const answer = await this.call(acting, what, (ctx) => run(ctx, call));
    this.#underway.delete(key);
    return answer === null || answer instanceof Refusal ? answer : answer.body;
  }

  async call<T>(
    acting: Acting | null,
    what: string,
    run: (ctx: ServiceContext, replica: Replica) => Promise<T>,
  ): Promise<T | Refusal | null> {
    const { process, random, tell } = this.#parts;
    for (let attempt = 1; attempt <= ATTEMPTS_MAX && !this.#isClosed; attempt++) {
      try {
        const answer = await this.#send(acting, run);
        tell(`${what}: done`);
        return answer;
      } catch (error) {
        if (error instanceof Refusal && error.retryAfterSeconds === null && error.code !== 'unavailable') {
          tell(`${what}: ${error.code} (${error.message})`);
          if (acting !== null) this.#onRefusal(error, acting);
          return error;
        }
        if (!isPassing(error)) throw error;
      }
      await sleep(process.clock, random.between(...RETRY_MS));
    }
    tell(`${what}: given up`);
    return null;
  }

  #send<T>(acting: Acting | null, run: (ctx: ServiceContext, replica: Replica) => Promise<T>): Promise<T> {
    const { process, network, random, replicas, plant } = this.#parts;
    const replica = random.pick(replicas);
    return network.call({
      from: process,
      to: replica.process,
      timeoutMs: TIMEOUT_MS,
      work: async () => {
        const ctx = acting === null ? replica.context : replica.contextForFramework(acting);
        if (ctx === null) throw new Refusal('unavailable', 'the replica is starting', { retryAfterSeconds: 1 });
        return run(acting === null ? ctx : (plant.acting?.(ctx, acting) ?? ctx), replica);
      },
    });
  }
}
