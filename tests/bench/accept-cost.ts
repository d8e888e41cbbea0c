/** What accepting an offer costs a replica, over a store in memory: in a large cluster against a small one. */
import { SystemClock } from '../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../control-plane/adapters/memory/memory-store.ts';
import { acceptOffers } from '../../control-plane/services/offers.ts';
import type { Write } from '../../control-plane/store/contract.ts';
import { keys } from '../../control-plane/store/keys.ts';
import { putRecord } from '../../control-plane/store/records.ts';
import { acceptSchema } from '../../shared/protocol/offers.ts';
import { aFramework, aLedger, aNode, anOffer } from '../support/builders.ts';
import { ADMIN, callOf, caughtUp, startReplica } from '../support/replica.ts';
import { usedMs } from './processor-time.ts';

const ACCEPTS = 60;
const WARM_UP = 20;
const OFFERS_PER_NODE = 2;
const WRITES_MAX = 100;
const FRAMEWORK = 'f000000000001';

/** The mean processor time of one accept that launches a task. */
export async function costOfAccept(nodes: number): Promise<number> {
  const store = new MemoryStore({ clock: new SystemClock() });
  const replica = await startReplica({ store });
  try {
    await fill(store, nodes);
    await caughtUp(replica.ctx);
    let took = 0;
    for (let number = 0; number < WARM_UP + ACCEPTS; number += 1) {
      const offers = [offerId(Math.floor((number * nodes) / (WARM_UP + ACCEPTS)), 0)];
      const tasks = [{ task: `t${number}`, image: 'x', resources: { cpus: 0.5, memMiB: 64 } }];
      const request = acceptSchema.parse({ session: 1, offers, operations: [{ type: 'launch', tasks }] });
      const beganAtMs = usedMs();
      await acceptOffers(replica.ctx, callOf(), FRAMEWORK, request);
      if (number >= WARM_UP) took += usedMs() - beganAtMs;
    }
    return took / ACCEPTS;
  } finally {
    replica.stop();
    await store.close();
  }
}

async function fill(store: MemoryStore, nodes: number): Promise<void> {
  const nowMs = Date.now();
  const writes = Array.from({ length: nodes }, (_, at): Write[] => {
    const id = `node-${at}`;
    const offers = Array.from({ length: OFFERS_PER_NODE }, (_one, place) =>
      anOffer({ id: offerId(at, place), framework: FRAMEWORK, madeAtMs: nowMs, expiresAtMs: nowMs + 600_000 }),
    );
    return [
      putRecord('nodes', keys.node(id), aNode({ id })),
      putRecord('epochs', keys.epoch(id), { epoch: 1, unreachableSinceMs: null }),
      putRecord('alive', keys.alive(id), { epoch: 1 }),
      putRecord('ledger', keys.ledger(id), aLedger({ node: id, offers })),
    ];
  }).flat();
  const own = aFramework({ id: FRAMEWORK, principal: ADMIN.subject });
  writes.push(putRecord('frameworks', keys.framework(FRAMEWORK), own));
  writes.push(putRecord('connections', keys.connection(FRAMEWORK), { session: own.session, replica: 'replica-1' }));
  for (let from = 0; from < writes.length; from += WRITES_MAX) {
    await store.transact({ compares: [], writes: writes.slice(from, from + WRITES_MAX) });
  }
}

function offerId(node: number, place: number): string {
  return `1-0-${OFFERS_PER_NODE * node + place}`;
}
