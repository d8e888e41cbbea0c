/**
 * A framework as its users know it: processes that follow each other, crash with or without their memory, are held up, or go on
 * though another one has taken their place. It outlives them all, until it leaves for good.
 */

import type { Snapshot } from '../../../control-plane/store/snapshot.ts';
import type { SubscriptionInput } from '../../../shared/protocol/framework.ts';
import type { Clock } from '../../../shared/util/clock.ts';
import { sleep } from '../../../shared/util/clock.ts';
import type { Decisions } from '../decisions.ts';
import { offersRoom } from '../invariants/convergence.ts';
import { SimulatedProcess } from '../simulated-process.ts';
import { Life, type LifeParts, type Memory } from './life.ts';
import { type Deed, MANNERS, subscriptionOf } from './wishes.ts';

export interface ActorParts
  extends Pick<LifeParts, 'name' | 'network' | 'replicas' | 'random' | 'truth' | 'plant' | 'tell' | 'onViolation'> {
  /** The world's. */
  readonly clock: Clock;
  readonly decisions: Decisions;
  readonly onBug: (name: string, error: unknown) => void;
}

const FATES = { crash: 5, crashForgetting: 2, crashForgettingAll: 1, hold: 4, replace: 4, cut: 3, leave: 1 } as const;
type Fate = keyof typeof FATES;

const FATE_PAUSE_MS: readonly [number, number] = [4000, 50_000];
const RESTART_MS = 2000;
const DEED_PAUSE_MS: readonly [number, number] = [100, 2500];

export class FrameworkActor {
  readonly name: string;
  readonly #parts: ActorParts;
  readonly #wishes: SubscriptionInput;
  readonly #manners: Readonly<Record<Deed, number>>;
  /** The processes that may still be at it; the last one is the one that should. */
  readonly #lives: Life[] = [];
  #memory: Memory = { id: null, tasks: new Set() };
  #starts = 0;
  #deeds = 0;
  #names = 0;
  #hasLeft = false;
  #isCalm = false;

  constructor(parts: ActorParts) {
    const { name, random } = parts;
    this.name = name;
    this.#parts = parts;
    this.#wishes = subscriptionOf(name, random.split('wishes'));
    this.#manners = random.split('manners').pick(Object.values(MANNERS));
  }

  run(): Promise<void> {
    this.#start();
    return Promise.all([this.#acting(), this.#suffering()]).then(() => undefined);
  }

  /** Nothing befalls it any more, and it does nothing new but ask for one more offer. */
  calm(): void {
    this.#isCalm = true;
    for (const { process } of this.#lives) process.resume();
    if (this.#hasLeft) return;
    const life = this.#lives.at(-1);
    if (life?.process.isAlive && !life.isOver) this.#watched(life.calm());
    this.#watched(this.#supervise());
  }

  /** A subscription of an earlier process may arrive late, and take the session from the present one. */
  async #supervise(): Promise<void> {
    for (;;) {
      const life = this.#lives.at(-1);
      if (!life?.process.isAlive || life.isOver) this.#start();
      await sleep(this.#parts.clock, RESTART_MS);
    }
  }

  /** What still has to happen until it is at rest. */
  unsettled(now: Snapshot): string[] {
    const life = this.#lives.at(-1);
    if (this.#hasLeft || life === undefined) return [];
    if (life.isOver) return [`${this.name} has lost its session to itself`];
    const { id } = this.#memory;
    if (id === null || !now.isConnected(id)) return [`${this.name} is not connected`];
    if (life.isFed) return [];
    return [...now.ledgers.values()]
      .filter((ledger) => offersRoom(ledger, now))
      .map(({ node }) => `${this.name} waits for an offer, and ${node} has room for one`);
  }

  #start(): void {
    const { name, clock, random, onBug } = this.#parts;
    this.#starts += 1;
    const process = new SimulatedProcess(name, clock);
    const life = new Life({
      ...this.#parts,
      process,
      memory: this.#memory,
      wishes: this.#wishes,
      random: random.split(`start ${this.#starts}`),
      newName: () => {
        this.#names += 1;
        return `t${this.#names}`;
      },
      onBug: (error) => onBug(name, error),
    });
    this.#lives.push(life);
    this.#watched(life.run());
    if (this.#isCalm) this.#watched(life.calm());
  }

  async #acting(): Promise<void> {
    const { clock, name, random, decisions } = this.#parts;
    while (!this.#isCalm) {
      this.#deeds += 1;
      const deed = `${name}/${this.#deeds}`;
      const chance = random.split(deed);
      await sleep(clock, chance.between(...DEED_PAUSE_MS));
      if (this.#isCalm || !decisions.take(deed)) continue;
      for (const life of this.#lives) {
        const what = chance.weighted(this.#manners);
        if (life.process.isAlive && !life.isOver) {
          life.process.deliver(() => this.#watched(life.act(what, chance.split(String(this.#lives.indexOf(life))))));
        }
      }
    }
  }

  async #suffering(): Promise<void> {
    const { clock, name, random, decisions } = this.#parts;
    for (let number = 1; !this.#isCalm && !this.#hasLeft; number++) {
      const fate = `fate-of-${name}/${number}`;
      const chance = random.split(fate);
      await sleep(clock, chance.between(...FATE_PAUSE_MS));
      if (this.#isCalm || !decisions.take(fate)) continue;
      const what = chance.weighted(FATES);
      this.#parts.tell(`suffers this: ${what}`);
      await this.#suffer(what, chance.between(100, chance.pick([3000, 40_000])));
    }
  }

  async #suffer(fate: Fate, forMs: number): Promise<void> {
    const { clock, network, replicas, name } = this.#parts;
    const life = this.#lives.at(-1);
    switch (fate) {
      case 'crash':
      case 'crashForgetting':
      case 'crashForgettingAll':
        for (const { process } of this.#lives) process.kill();
        if (fate !== 'crash') {
          this.#memory = { id: fate === 'crashForgetting' ? this.#memory.id : null, tasks: new Set() };
        }
        await sleep(clock, forMs);
        return this.#isCalm ? undefined : this.#start();
      case 'hold':
        life?.process.pause();
        clock.setTimer(forMs, () => life?.process.resume());
        return;
      case 'replace':
        // Its predecessor knows nothing of it, and goes on, now or when it is no longer held up.
        this.#memory = { id: this.#memory.id, tasks: new Set(this.#memory.tasks) };
        if (forMs < 1500) life?.process.pause();
        clock.setTimer(forMs * 3, () => life?.process.resume());
        return this.#start();
      case 'cut':
        for (const replica of replicas) network.cut(name, replica.name);
        clock.setTimer(forMs, () => {
          for (const replica of replicas) network.join(name, replica.name);
        });
        return;
      case 'leave':
        this.#hasLeft = true;
        for (const { process } of this.#lives) process.kill();
        return;
      default:
        return fate satisfies never;
    }
  }

  #watched(work: Promise<void>): void {
    work.catch((error: unknown) => this.#parts.onBug(this.name, error));
  }
}
