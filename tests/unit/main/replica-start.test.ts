import { describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { CryptoRandom } from '../../../control-plane/adapters/random/crypto-random.ts';
import { createReplica } from '../../../control-plane/app.ts';
import { type RangeRequest, StoreUnavailableError, type Transaction } from '../../../control-plane/store/contract.ts';
import { SILENT_LOGGER } from '../../../shared/util/log.ts';

/** Away for the first call of each kind, and for every one until it is told to come back. */
class StoreThatComesBack extends MemoryStore {
  readonly #called = new Set<string>();
  isBack = true;

  override async get(key: string) {
    this.#fail('get');
    return super.get(key);
  }

  override async range(request: RangeRequest) {
    this.#fail('range');
    return super.range(request);
  }

  override async transact(transaction: Transaction) {
    this.#fail('transact');
    return super.transact(transaction);
  }

  override async status() {
    this.#fail('status');
    return super.status();
  }

  #fail(call: string): void {
    const isFirst = !this.#called.has(call);
    this.#called.add(call);
    if (isFirst || !this.isBack) throw new StoreUnavailableError(`${call}: no answer`);
  }
}

function start(store: StoreThatComesBack, signal: AbortSignal) {
  return createReplica({
    ...{ store, clock: new SystemClock(), random: new CryptoRandom(), log: SILENT_LOGGER, signal, fetch },
    replica: { id: 'replica-1', url: 'http://127.0.0.1:1' },
    config: { leaseTtlMs: 10_000, heartbeatIntervalMs: 2500, version: '0.0.0-test' },
    outsideIssuers: [],
    clientAddress: () => null,
  });
}

describe('the start of a replica', () => {
  it('outlives a store that goes away in the middle of it', async () => {
    const ending = new AbortController();
    const replica = await start(new StoreThatComesBack({ clock: new SystemClock() }), ending.signal);
    expect((await replica.api.request('/readyz')).status).toBe(200);
    ending.abort();
  });

  it('is given up when its end is asked for', async () => {
    const ending = new AbortController();
    const store = new StoreThatComesBack({ clock: new SystemClock() });
    store.isBack = false;
    const starting = start(store, ending.signal);
    ending.abort();
    await expect(starting).rejects.toBeInstanceOf(StoreUnavailableError);
  });
});
