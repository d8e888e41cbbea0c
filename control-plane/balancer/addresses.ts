/** The IP addresses of nodes that are known by name only. haproxy is given addresses, so that it never waits for a resolver. */
import { lookup } from 'node:dns/promises';
import type { EndpointView } from '../../shared/protocol/endpoints.ts';
import { type Clock, sleep } from '../../shared/util/clock.ts';
import { type Addresses, namesToLookUp } from './served-endpoint.ts';

/** So long a change waits for a new name; what a slower resolver finds makes a change of its own. */
const PATIENCE_MS = 100;

export type LookUp = (name: string) => Promise<string>;

export interface NameLookupOptions {
  readonly clock: Clock;
  /** Called when an address has been found, or another one than before, after `find` has answered. */
  readonly onNews: () => void;
  /** The system's resolver, unless it is said otherwise. Rejects where the name has no address. */
  readonly lookUp?: LookUp;
}

export class NameLookups {
  readonly #options: Required<NameLookupOptions>;
  readonly #found = new Map<string, string>();
  readonly #pending = new Map<string, Promise<void>>();
  /** Looked up since the last `forget`. */
  readonly #tried = new Set<string>();

  constructor(options: NameLookupOptions) {
    this.#options = { lookUp: async (name) => (await lookup(name)).address, ...options };
  }

  /** A name that can't be found now keeps the address that it had. */
  async find(endpoints: readonly EndpointView[]): Promise<Addresses> {
    const names = namesToLookUp(endpoints);
    for (const name of names) if (!this.#tried.has(name) && !this.#pending.has(name)) this.#begin(name);
    const unknown = names.filter((name) => !this.#found.has(name)).flatMap((name) => this.#pending.get(name) ?? []);
    if (unknown.length > 0) await Promise.race([Promise.all(unknown), sleep(this.#options.clock, PATIENCE_MS)]);
    const wanted = new Set(names);
    for (const name of [...this.#tried, ...this.#found.keys()]) if (!wanted.has(name)) this.#forgetName(name);
    return new Map(this.#found);
  }

  /** Has every name looked up again. */
  forget(): void {
    for (const name of this.#tried) if (!this.#pending.has(name)) this.#tried.delete(name);
  }

  #forgetName(name: string): void {
    this.#tried.delete(name);
    this.#found.delete(name);
  }

  #begin(name: string): void {
    this.#tried.add(name);
    const done = this.#options.lookUp(name).then(
      (address) => {
        this.#pending.delete(name);
        if (this.#found.get(name) === address) return;
        this.#found.set(name, address);
        this.#options.onNews();
      },
      () => void this.#pending.delete(name),
    );
    this.#pending.set(name, done);
  }
}
