import { afterEach, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { runRound } from '../../../control-plane/controllers/round.ts';
import { registerNode } from '../../../control-plane/services/agents.ts';
import { subscribe } from '../../../control-plane/services/frameworks.ts';
import { FrameworkReader, type Side, startSide, subscriptionOf } from '../../support/frameworks.ts';
import { callOf, caughtUp, JOINER, nodeOf } from '../../support/replica.ts';

const sides: Side[] = [];
afterEach(() => {
  for (const side of sides.splice(0)) side.stop();
});

it('offers what a node has got since on top of what stands, by an offer with an id of its own', async () => {
  const side = await startSide(new MemoryStore({ clock: new SystemClock() }), 'a');
  sides.push(side);
  const { ctx } = side.replica;
  const register = (cpus: number) => {
    const { resources } = nodeOf('edge-1');
    const node = nodeOf('edge-1', { resources: { ...resources, cpus, memMiB: cpus * 1024 } });
    return registerNode(ctx, JOINER, { node, seen: null, tasks: [] });
  };
  await register(4);
  const { id } = (await subscribe(ctx, callOf(), subscriptionOf())).body;
  await caughtUp(ctx);
  await (await FrameworkReader.open(side, id, 1)).next();
  await caughtUp(ctx);
  await runRound(ctx);
  await caughtUp(ctx);
  await side.hand.ledger('edge-1', (ledger) => ({ ...ledger, total: { ...ledger.total, cpus: 8, memMiB: 8192 } }));
  await runRound(ctx);
  await caughtUp(ctx);
  const offers = Object.values(ctx.mirror.snapshot.ledgers.get('edge-1')?.offers ?? {});
  expect(offers.map(({ resources }) => resources.cpus)).toEqual([4, 4]);
});
