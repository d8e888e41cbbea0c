/**
 * Makes things go wrong that the weather doesn't: it strikes from time to time, and at the worst moments of those who write.
 * Everything that it breaks it mends after a while, and all of it when it is told to stop. Each strike is a decision of its
 * own, drawn from its number, so that a run can be repeated without it and all others stay.
 */
import type { Transaction } from '../../control-plane/store/contract.ts';
import { parseKey } from '../../control-plane/store/keys.ts';
import { type Clock, sleep } from '../../shared/util/clock.ts';
import type { Decisions } from './decisions.ts';
import { FAULT_WEIGHTS, type Fault, type FaultParts, Faults, isClockFault } from './faults.ts';
import type { Commit } from './faulty-store.ts';
import { isClaim } from './invariants/rounds.ts';
import type { Replica } from './replica.ts';
import type { SeededRandom } from './seeded-random.ts';
import type { SimulatedProcess } from './simulated-process.ts';

export interface NemesisParts extends FaultParts {
  readonly clock: Clock;
  readonly random: SeededRandom;
  readonly decisions: Decisions;
  /** Whether clocks may be set. */
  readonly hasClockFaults: boolean;
}

/** How long a replica that is held up right after its claim waits for another one's. */
const STALLED_CLAIM_MAX_MS = 15_000;

/** How likely it is that a run knows a fault at all: each run has a mix of its own, so that some are about one thing. */
const FAULT_CHANCE = 0.7;

/** Everything that is struck at a time of its own, and what is struck because of what has just been written. */
type Struck = Fault | 'stallClaim' | 'loseNodeAtClaim' | 'holdUp' | 'killAtCommit';

export class Nemesis {
  readonly #parts: NemesisParts;
  readonly #faults: Faults;
  readonly #weights: Readonly<Record<Fault, number>>;
  readonly #pauseMs: readonly [number, number];
  readonly #stallClaimChance: number;
  readonly #loseNodeAtClaimChance: number;
  readonly #holdUpChance: number;
  readonly #killAtCommitChance: number;
  readonly #stalled = new Map<string, SimulatedProcess>();
  readonly #counts = new Map<Struck, number>();
  #sent = 0;
  #commits = 0;
  #claims = 0;
  #isStopped = false;

  constructor(parts: NemesisParts) {
    const random = parts.random.split('mix');
    this.#parts = parts;
    this.#faults = new Faults(parts);
    const kept = Object.entries(FAULT_WEIGHTS).map(([fault, weight]) => {
      const isKept = random.chance(FAULT_CHANCE) && (parts.hasClockFaults || !isClockFault(fault as Fault));
      return [fault, isKept ? weight : 0];
    });
    // One kind is always left, so that there is something to pick from.
    this.#weights = { ...(Object.fromEntries(kept) as Record<Fault, number>), crashAgent: FAULT_WEIGHTS.crashAgent };
    this.#pauseMs = random.pick([
      [200, 2000],
      [500, 6000],
      [2000, 20_000],
    ] as const);
    this.#stallClaimChance = random.pick([0, 0.02, 0.1]);
    this.#loseNodeAtClaimChance = random.pick([0, 0.05, 0.15]);
    this.#holdUpChance = random.pick([0, 0.01, 0.03]);
    this.#killAtCommitChance = random.pick([0, 0.005, 0.02]);
  }

  /** How often each fault has struck. */
  get counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  async run(): Promise<void> {
    const { clock, random, decisions } = this.#parts;
    for (let number = 1; !this.#isStopped; number++) {
      const chance = random.split(`strike ${number}`);
      await sleep(clock, chance.between(...this.#pauseMs));
      if (this.#isStopped || !decisions.take(`nemesis/${number}`)) continue;
      const fault = chance.weighted(this.#weights);
      this.#count(fault);
      this.#faults.strike(fault, chance);
    }
  }

  /** No further faults, and everything is mended. */
  stop(): void {
    this.#isStopped = true;
    this.#parts.tell('all faults end');
    this.#faults.mend();
  }

  /** What was decided a while ago is no good any more. */
  holdUpMs(transaction: Transaction, by: string): number {
    if (this.#isStopped) return 0;
    this.#sent += 1;
    const chance = this.#parts.random.split(`sent ${this.#sent}`);
    const node = givenUpBy(transaction);
    const likely = node === null ? this.#holdUpChance : GIVE_UP_HOLD_UP_CHANCE;
    if (!chance.chance(likely) || !this.#parts.decisions.take(`hold-up/${this.#sent}`)) return 0;
    const delayMs = chance.between(...(node === null ? HOLD_UP_MS : GIVE_UP_HOLD_UP_MS));
    this.#count('holdUp');
    this.#parts.tell(`a transaction of ${by} is held up for ${delayMs} ms`);
    if (node !== null) this.#onGiveUp(node, delayMs);
    return delayMs;
  }

  /** The worst moment for a node to be heard of again is when it is being given up. */
  #onGiveUp(node: string, delayMs: number): void {
    this.#parts.tell(`${node}, which it gives up, is heard of again`);
    this.#faults.letSpeak(node, delayMs);
  }

  /** A node that goes just before a round is claimed must not get anything from it. */
  onArrival(transaction: Transaction, by: string): void {
    if (this.#isStopped || !isClaim(transaction)) return;
    this.#claims += 1;
    const { random, machines, replicas, decisions, clock, tell } = this.#parts;
    const chance = random.split(`claim ${this.#claims}`);
    const machine = chance.pick(machines);
    if (!chance.chance(this.#loseNodeAtClaimChance) || !decisions.take(`before-claim/${this.#claims}`)) return;
    tell(`the lease of ${machine.name} ends just before ${by} claims a round`);
    this.#count('loseNodeAtClaim');
    this.#faults.endLeaseOf(machine.name);
    const claimer = replicas.find(({ name }) => name === by);
    if (claimer) claimer.link.watchStalledUntilMs = clock.monotonicMs() + chance.between(0, 500);
  }

  /** The worst moments of a replica are those right after the store has carried something out, before it hears of that. */
  onCommit(commit: Commit): void {
    if (this.#isStopped) return;
    this.#commits += 1;
    const chance = this.#parts.random.split(`commit ${this.#commits}`);
    const replica = this.#parts.replicas.find(({ name }) => name === commit.origin.replica);
    if (isClaim(commit.transaction)) this.#onClaim(replica, chance);
    if (replica === undefined || !chance.chance(this.#killAtCommitChance)) return;
    if (!this.#parts.decisions.take(`commit/${this.#commits}`)) return;
    this.#parts.tell(`${replica.name} is killed before it hears of what it wrote`);
    this.#count('killAtCommit');
    this.#faults.killReplica(replica, chance.between(100, 5000));
  }

  /**
   * The dangerous moment of a round is between its claim and its commit: now and then the replica is held up just there,
   * until another one has claimed the next.
   */
  #onClaim(replica: Replica | undefined, chance: SeededRandom): void {
    for (const [stalled, process] of this.#stalled) {
      if (stalled !== replica?.name) this.#later(chance.between(0, 40), () => process.resume());
    }
    this.#stalled.clear();
    const process = replica?.process ?? null;
    if (replica === undefined || process === null || !chance.chance(this.#stallClaimChance)) return;
    if (!this.#parts.decisions.take(`after-claim/${this.#commits}`)) return;
    this.#parts.tell(`${replica.name} is held up after its claim`);
    this.#count('stallClaim');
    process.pause();
    this.#stalled.set(replica.name, process);
    this.#later(STALLED_CLAIM_MAX_MS, () => process.resume());
  }

  #count(struck: Struck): void {
    this.#counts.set(struck, (this.#counts.get(struck) ?? 0) + 1);
  }

  #later(afterMs: number, work: () => void): void {
    this.#parts.clock.setTimer(afterMs, work);
  }
}

const HOLD_UP_MS: readonly [number, number] = [10, 8000];
/** Nodes are given up a few times in a run, and that is when most can go wrong: long enough for an agent to try again. */
const GIVE_UP_HOLD_UP_CHANCE = 0.8;
const GIVE_UP_HOLD_UP_MS: readonly [number, number] = [2000, 9000];

/** The node whose epoch it raises while it ends tasks there; null for every other transaction. */
function givenUpBy({ writes }: Transaction): string | null {
  const written = writes.flatMap(({ key }) => {
    const parsed = parseKey(key);
    return parsed === null ? [] : [parsed];
  });
  const [, node] = written.find(([kind]) => kind === 'epochs') ?? [];
  return written.some(([kind]) => kind === 'tasks') ? (node ?? null) : null;
}
