/**
 * Of several members, those that don't answer are left alone while others do. No call is repeated here; the next one goes elsewhere.
 *
 * A member that stands still, or is cut off from the others, lets every call run into its deadline. So whoever is slow is passed
 * over before that, and is trusted again only when it has answered a question that nobody waits for.
 */
import { invariant, present } from '../../../shared/util/assert.ts';
import { type Clock, sleep } from '../../../shared/util/clock.ts';
import { speaksAgainstHost } from './faults.ts';

export interface HostsOptions {
  readonly hosts: readonly string[];
  readonly clock: Clock;
  readonly closed: AbortSignal;
  /** Asks a member something that it can answer only together with the others; whether it did in time. */
  readonly probe: (host: string) => Promise<boolean>;
}

/** A call that takes longer speaks against its member. It goes on all the same. */
const SUSPICIOUS_MS = 1000;
/** Between two questions to a member that rests. */
const ASK_EVERY_MS = 500;

export class Hosts {
  readonly #options: HostsOptions;
  readonly #resting = new Set<string>();
  #next = 0;

  constructor(options: HostsOptions) {
    invariant(options.hosts.length > 0, 'etcd has at least one host');
    this.#options = options;
  }

  /** Whose turn it is among those that answer, or among all when none does. */
  pick(): string {
    const { hosts } = this.#options;
    const awake = hosts.filter((host) => !this.#resting.has(host));
    const eligible = awake.length === 0 ? hosts : awake;
    this.#next = (this.#next + 1) % eligible.length;
    return present(eligible[this.#next], 'a host');
  }

  /** Sees how a call to `host` fares. */
  async watchOver<T>(host: string, call: () => Promise<T>): Promise<T> {
    const suspicion = this.#options.clock.setTimer(SUSPICIOUS_MS, () => this.distrust(host));
    try {
      return await call();
    } catch (error) {
      if (speaksAgainstHost(error)) this.distrust(host);
      throw error;
    } finally {
      suspicion.cancel();
    }
  }

  /** Leaves a member alone until it answers. */
  distrust(host: string): void {
    if (this.#options.hosts.length === 1 || this.#resting.has(host)) return;
    this.#resting.add(host);
    void this.#askUntilItAnswers(host);
  }

  /** It has answered, together with the others. */
  trust(host: string): void {
    this.#resting.delete(host);
  }

  async #askUntilItAnswers(host: string): Promise<void> {
    const { clock, closed, probe } = this.#options;
    while (!closed.aborted && this.#resting.has(host)) {
      if (await probe(host)) this.trust(host);
      else await sleep(clock, ASK_EVERY_MS, closed);
    }
  }
}
