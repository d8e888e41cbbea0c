import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import type { WireOffer, WireOperationStatus } from '../../../control-plane/facade-mesos/wire/event.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent } from '../../support/api-agent.ts';
import { MesosClient } from '../../support/mesos-client.ts';
import { caughtUp } from '../../support/replica.ts';

let peers: Map<string, TestApi>;
let a: TestApi;
let b: TestApi;

beforeEach(async () => {
  const store = new MemoryStore({ clock: new SystemClock() });
  peers = new Map();
  a = await startApi({ store, id: 'a', peers });
  b = await startApi({ store, id: 'b', peers });
  await ApiAgent.register(a);
  await caughtUp(b.replica.ctx);
});
afterEach(() => {
  for (const berth of peers.values()) berth.stop();
});

async function offered(): Promise<{ client: MesosClient; offer: WireOffer }> {
  const client = await MesosClient.subscribe(a, { role: 'eng' });
  await a.replica.settle();
  const [offer] = (await client.until('OFFERS')).offers.offers;
  if (offer === undefined) throw new Error('there is no offer');
  await caughtUp(b.replica.ctx);
  return { client, offer };
}

const cpus = (value: number, rest: object = {}) => ({ name: 'cpus', type: 'SCALAR', scalar: { value }, ...rest });
const OWN = { role: 'eng', reservation: { principal: 'p' } };

const reserving = (id: string | undefined, ...resources: object[]) => ({
  type: 'RESERVE',
  ...(id !== undefined && { id: { value: id } }),
  reserve: { resources },
});

function accepting(offer: WireOffer, ...operations: object[]): object {
  return { type: 'ACCEPT', accept: { offer_ids: [offer.id], operations } };
}

async function status(client: MesosClient): Promise<WireOperationStatus> {
  return (await client.until('UPDATE_OPERATION_STATUS')).update_operation_status.status;
}

async function reconciled(client: MesosClient, ...names: string[]): Promise<unknown> {
  const operations = names.map((value) => ({ operation_id: { value } }));
  const response = await client.call({ type: 'RECONCILE_OPERATIONS', reconcile_operations: { operations } }, b);
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/json']);
  return response.json();
}

const answer = (...operation_statuses: object[]) => ({
  type: 'RECONCILE_OPERATIONS',
  reconcile_operations: { operation_statuses },
});

describe('an operation with an id', () => {
  it('is told of as finished until it is acknowledged, over any replica', async () => {
    const { client, offer } = await offered();
    await client.accepted(accepting(offer, reserving('op 1', cpus(1, OWN)), reserving(undefined, cpus(1, OWN))), b);
    const told = await status(client);
    expect(told).toMatchObject({
      operation_id: { value: 'op 1' },
      state: 'OPERATION_FINISHED',
      agent_id: { value: 'edge-1' },
    });
    expect(atob(told.uuid?.value ?? '')).toHaveLength(16);
    const known = { operation_id: { value: 'op 1' }, state: 'OPERATION_FINISHED' };
    expect(await reconciled(client)).toMatchObject(answer(known));
    expect(JSON.stringify(await reconciled(client, 'op 1', 'op 2'))).not.toContain('uuid');
    const acknowledge = (uuid: unknown) => ({
      type: 'ACKNOWLEDGE_OPERATION_STATUS',
      acknowledge_operation_status: { agent_id: told.agent_id, uuid, operation_id: told.operation_id },
    });
    await client.accepted(acknowledge(btoa('another operation'.slice(0, 16))), b);
    expect(await reconciled(client, 'op 1')).toMatchObject(answer(known));
    await client.accepted(acknowledge(told.uuid?.value), b);
    await client.accepted(acknowledge(told.uuid?.value), a);
    expect(await reconciled(client, 'op 1')).toMatchObject(
      answer({ operation_id: { value: 'op 1' }, state: 'OPERATION_UNKNOWN' }),
    );
  });

  it('that comes to several is told of once, and one that is wrong is an error without a uuid', async () => {
    const { client, offer } = await offered();
    const labels = { labels: [{ key: 'k', value: 'v' }] };
    const labeled = cpus(0.5, { role: 'eng', reservation: { principal: 'p', labels } });
    const operations = [reserving('wrong', cpus(1000, OWN)), reserving('both', cpus(0.5, OWN), labeled)];
    await client.accepted(accepting(offer, ...operations));
    const all = [await status(client), await status(client)].sort((x, y) => (x.state < y.state ? -1 : 1));
    expect(all).toMatchObject([
      { operation_id: { value: 'wrong' }, state: 'OPERATION_ERROR' },
      { operation_id: { value: 'both' }, state: 'OPERATION_FINISHED' },
    ]);
    expect(all[0]?.uuid).toBeUndefined();
    expect(await reconciled(client)).toMatchObject(answer({ operation_id: { value: 'both' } }));
    const [ledger] = a.replica.ctx.mirror.snapshot.ledgers.values();
    expect(Object.keys(ledger?.reservations ?? {})).toHaveLength(2);
  });

  it('keeps its id for itself until it is acknowledged', async () => {
    const { client, offer } = await offered();
    await client.accepted(accepting(offer, reserving('op', cpus(1, OWN))));
    expect((await status(client)).state).toBe('OPERATION_FINISHED');
    await a.replica.settle();
    await client.accepted({ type: 'REVIVE' });
    await a.replica.settle();
    const [next] = (await client.until('OFFERS')).offers.offers;
    if (next === undefined) throw new Error('there is no offer');
    await client.accepted(accepting(next, reserving('op', cpus(1, OWN))));
    expect(await status(client)).toMatchObject({
      state: 'OPERATION_ERROR',
      message: expect.stringContaining('acknowledge it, or choose another name'),
    });
  });
});
