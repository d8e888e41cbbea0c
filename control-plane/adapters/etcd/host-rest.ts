/**
 * Of several members, those that don't answer are left alone while others do. No call is repeated here; the next one goes elsewhere.
 *
 * A member that is gone says so at once. One that stands still, or is cut off from the others, lets every call run into its deadline,
 * and a caller that makes one call after the other would spend most of its time there. So whoever is slow is passed over before the
 * deadline, and is trusted again only when it has answered a question that nobody waits for.
 */
import { type IOptions, isRecoverableError } from 'etcd3';
import { InvariantError } from '../../../shared/util/assert.ts';

export type Policy = ReturnType<NonNullable<NonNullable<IOptions['faultHandling']>['host']>>;

const NEVER_FIRES = () => ({ dispose: () => undefined });
const UNUSED_SIGNAL = new AbortController().signal;

/** A policy in the package's terms around a way to call. */
export function policy(around: <T>(call: () => PromiseLike<T> | T) => Promise<T>): Policy {
  return {
    get _altReturn(): never {
      throw new InvariantError('this property exists for the compiler only');
    },
    onSuccess: NEVER_FIRES,
    onFailure: NEVER_FIRES,
    execute: (call, signal = UNUSED_SIGNAL) => around(() => call({ signal })),
  };
}

export const CALL_ONCE = policy(async (call) => call());

/** A call that takes longer speaks against its member. It goes on all the same. */
const SUSPICIOUS_MS = 1000;
/** Between two questions to a member that rests. */
const ASK_EVERY_MS = 500;

/** Asks one member something that it can answer only together with the others. */
export interface Probe {
  /** Resolves with whether it answered in time. */
  ask(): Promise<boolean>;
  close(): void;
}

export class HostRest {
  readonly #hosts: readonly string[];
  readonly #openProbe: (host: string) => Probe;
  readonly #resting = new Set<string>();
  #isClosed = false;

  constructor(hosts: readonly string[], openProbe: (host: string) => Probe) {
    this.#hosts = hosts;
    this.#openProbe = openProbe;
  }

  policyOf(host: string): Policy {
    return policy(async (call) => {
      if (this.#passesOver(host)) throw new Error(`${host} has not answered lately`);
      const suspicion = setTimeout(() => this.#rest(host), SUSPICIOUS_MS);
      try {
        const answer = await call();
        if (!isStream(answer)) this.#resting.delete(host);
        return answer;
      } catch (error) {
        if (error instanceof Error && isRecoverableError(error)) this.#rest(host);
        throw error;
      } finally {
        clearTimeout(suspicion);
      }
    });
  }

  close(): void {
    this.#isClosed = true;
  }

  #passesOver(host: string): boolean {
    return this.#resting.has(host) && this.#resting.size < this.#hosts.length;
  }

  #rest(host: string): void {
    if (this.#hosts.length === 1 || this.#resting.has(host)) return;
    this.#resting.add(host);
    void this.#askUntilItAnswers(host);
  }

  async #askUntilItAnswers(host: string): Promise<void> {
    const probe = this.#openProbe(host);
    while (!this.#isClosed && this.#resting.has(host)) {
      if (await probe.ask()) this.#resting.delete(host);
      else await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS));
    }
    probe.close();
  }
}

/** A stream is there before anything of it has been answered. */
function isStream(answer: unknown): boolean {
  return typeof answer === 'object' && answer !== null && 'cancel' in answer;
}
