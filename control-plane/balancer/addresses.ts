/** The IP addresses of nodes that are known by name only. haproxy is given addresses, so that it never waits for a resolver. */
import { lookup } from 'node:dns/promises';
import type { EndpointView } from '../../shared/protocol/endpoints.ts';
import { type Clock, sleep } from '../../shared/util/clock.ts';
import { type Addresses, namesToLookUp } from './served-endpoint.ts';

/** A resolver that is slower is not waited for: the name is one of those that are looked up again. */
const LOOK_UP_TIMEOUT_MS = 2000;

export class NameLookups {
  readonly #clock: Clock;
  readonly #found = new Map<string, string>();
  readonly #failed = new Set<string>();
  #stale = new Set<string>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Looks up what hasn't been yet. A name that can't be found now keeps the address that it had. */
  async find(endpoints: readonly EndpointView[]): Promise<Addresses> {
    const names = namesToLookUp(endpoints);
    const open = names.filter((name) => this.#stale.has(name) || !(this.#found.has(name) || this.#failed.has(name)));
    await Promise.all(open.map((name) => this.#lookUp(name)));
    const wanted = new Set(names);
    for (const name of this.#found.keys()) if (!wanted.has(name)) this.#found.delete(name);
    return new Map(this.#found);
  }

  /** Has every name looked up again. */
  forget(): void {
    this.#stale = new Set(this.#found.keys());
    this.#failed.clear();
  }

  async #lookUp(name: string): Promise<void> {
    this.#stale.delete(name);
    const found = lookup(name).then(
      ({ address }) => address,
      () => null,
    );
    const address = await Promise.race([found, sleep(this.#clock, LOOK_UP_TIMEOUT_MS).then(() => null)]);
    if (address !== null) this.#found.set(name, address);
    else if (!this.#found.has(name)) this.#failed.add(name);
  }
}
