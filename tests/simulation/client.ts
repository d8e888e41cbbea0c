/**
 * A client of the API: it sends each request under an idempotency key, again and again and to whichever replica is up, until
 * it is told how it came out; it carries the highest revision that it has seen; and it holds every answer against what it
 * knows.
 *
 * 1. What was accepted is there, and a repetition is told the same.
 * 8. A client's view never goes back in time, whichever replica answers.
 * 9. Nobody changes or sees what belongs to a role that isn't theirs.
 */
import type { Principal } from '../../control-plane/auth/principal.ts';
import type { Answer, Call, ServiceContext } from '../../control-plane/services/context.ts';
import { LeaseGoneError, StoreFullError, StoreUnavailableError } from '../../control-plane/store/contract.ts';
import { Refusal } from '../../shared/domain/errors.ts';
import { sleep } from '../../shared/util/clock.ts';
import { NOWHERE } from '../support/nowhere.ts';
import { type Violation, violation } from './invariants/violation.ts';
import { type Network, NetworkFault } from './network.ts';
import type { Plant } from './plants/plant.ts';
import type { Replica } from './replica.ts';
import type { SeededRandom } from './seeded-random.ts';
import type { SimulatedProcess } from './simulated-process.ts';

export interface ClientParts {
  readonly process: SimulatedProcess;
  /** What its token is for: these roles and those below them; `*` is all. */
  readonly roles: readonly string[];
  readonly network: Network;
  readonly replicas: readonly Replica[];
  readonly random: SeededRandom;
  readonly plant: Plant;
  /** At which the store stands now. */
  readonly revision: () => number;
  readonly trace: (what: string) => void;
  readonly onViolation: (violation: Violation) => void;
}

export interface Write<T> {
  /** Says everything about the request, so that it is its digest as well. */
  readonly what: string;
  readonly key: string;
  /** Whose things it changes; null: nobody's. */
  readonly role: string | null;
  readonly run: (ctx: ServiceContext, call: Call) => Promise<Answer<T>>;
}

export type WriteOutcome<T> =
  | { readonly type: 'answered'; readonly answer: Answer<T> }
  /** `attemptRevision`: at which the store stood when the attempt that was refused began. */
  | { readonly type: 'refused'; readonly refusal: Refusal; readonly attemptRevision: number }
  | { readonly type: 'given-up' };

const ATTEMPTS_MAX = 12;
const TIMEOUT_MS = 20_000;
/** As the API does: how long a replica may take to catch up with what the client has seen. */
const CATCH_UP_MS = 5000;

export class Client {
  readonly #parts: ClientParts;
  readonly #principal: Principal;
  readonly #seenRanks = new Map<string, number>();
  readonly #seenVersions = new Map<string, number>();
  #position = 0;

  constructor(parts: ClientParts) {
    this.#parts = parts;
    const subject = parts.process.name;
    const own = {
      subject,
      tokenId: 'simulated',
      grants: [{ roles: parts.roles, actions: ['*'] }],
      node: null,
      kind: 'user',
    } as const;
    this.#principal = parts.plant.principal?.(own) ?? own;
  }

  get principal(): Principal {
    return this.#principal;
  }

  /** The highest revision seen. */
  get position(): number {
    return this.#position;
  }

  /** Spelled out here by itself: the product's own policy is among what is checked. */
  mayUse(role: string): boolean {
    return this.#parts.roles.some((own) => own === '*' || own === role || role.startsWith(`${own}/`));
  }

  async write<T>({ what, key, role, run }: Write<T>): Promise<WriteOutcome<T>> {
    const call: Call = { principal: this.#principal, origin: NOWHERE, idempotency: { key, requestDigest: what } };
    const { process, random, trace, revision } = this.#parts;
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      const attemptRevision = revision();
      try {
        const answer = await this.#ask((ctx) => run(ctx, call));
        trace(`${what}: ${answer.status} at ${answer.revision}${answer.replayed ? ', replayed' : ''}`);
        if (!answer.replayed) this.#moveOn(answer.revision, what);
        this.checkRole(role, what);
        return { type: 'answered', answer };
      } catch (error) {
        const isFinal = error instanceof Refusal && error.retryAfterSeconds === null && error.code !== 'unavailable';
        if (isFinal) {
          trace(`${what}: ${error.code}`);
          return { type: 'refused', refusal: error, attemptRevision };
        }
        if (!isPassing(error)) throw error;
      }
      await sleep(process.clock, random.between(50, 1500));
    }
    trace(`${what}: given up`);
    return { type: 'given-up' };
  }

  /** Null: not answered. `refused`: the replica said no. */
  async read<T>(what: string, run: (ctx: ServiceContext) => T): Promise<{ readonly value: T } | Refusal | null> {
    const asked = this.#position;
    try {
      const { value, revision } = await this.#ask((ctx) => Promise.resolve(readNow(ctx, run)));
      if (value instanceof Refusal) {
        if (value.code === 'unavailable') return null;
        this.#moveOn(revision, what, asked);
        return value;
      }
      this.#moveOn(revision, what, asked);
      return { value };
    } catch (error) {
      if (!isPassing(error)) throw error;
      return null;
    }
  }

  /** It was given something of this role. */
  checkRole(role: string | null, what: string): void {
    if (role === null || this.mayUse(role)) return;
    const subject = this.#principal.subject;
    this.#parts.onViolation(violation(9, `${subject} may not use the role ${role}, and "${what}" was done`));
  }

  /** The client sees a job at this version. */
  seesVersion(job: string, version: number): void {
    const seen = this.#seenVersions.get(job) ?? 0;
    if (version < seen) {
      const subject = this.#principal.subject;
      this.#parts.onViolation(violation(8, `${subject} saw job ${job} at version ${seen}, and now at ${version}`));
    }
    this.#seenVersions.set(job, version);
  }

  /** The client sees a task in a state of this rank. */
  seesRank(task: string, rank: number): void {
    const seen = this.#seenRanks.get(task) ?? 0;
    if (rank < seen) this.#parts.onViolation(violation(8, `${this.#principal.subject} saw ${task} go backwards`));
    this.#seenRanks.set(task, rank);
  }

  #moveOn(revision: number, what: string, asked = this.#position): void {
    if (revision < asked) {
      const subject = this.#principal.subject;
      this.#parts.onViolation(
        violation(8, `${subject} had seen revision ${asked}, and "${what}" was answered as of ${revision}`),
      );
    }
    this.#position = Math.max(this.#position, revision);
  }

  #ask<T>(run: (ctx: ServiceContext) => Promise<T>): Promise<T> {
    const { process, network, random, replicas, plant } = this.#parts;
    const replica = random.pick(replicas);
    const position = plant.catchesUp === false ? 0 : this.#position;
    return network.call({
      from: process,
      to: replica.process,
      timeoutMs: TIMEOUT_MS,
      work: async () => {
        const ctx = replica.context;
        if (ctx === null || !(await ctx.mirror.waitFor(position, { timeoutMs: CATCH_UP_MS }))) {
          throw new Refusal('unavailable', 'the replica is behind', { retryAfterSeconds: 1 });
        }
        return run(ctx);
      },
    });
  }
}

/** A refusal is an answer as well, and stands at a revision like any other. */
function readNow<T>(
  ctx: ServiceContext,
  run: (ctx: ServiceContext) => T,
): { readonly value: T | Refusal; readonly revision: number } {
  const { revision } = ctx.mirror;
  try {
    return { value: run(ctx), revision };
  } catch (error) {
    if (error instanceof Refusal) return { value: error, revision };
    throw error;
  }
}

/** What the world may do to a request, as opposed to a bug. */
export function isPassing(error: unknown): boolean {
  return (
    error instanceof NetworkFault ||
    error instanceof Refusal ||
    error instanceof StoreUnavailableError ||
    error instanceof LeaseGoneError ||
    error instanceof StoreFullError
  );
}
