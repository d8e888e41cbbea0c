import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Principal } from '../../../control-plane/auth/principal.ts';
import { registerNode } from '../../../control-plane/services/agents.ts';
import { submitJob } from '../../../control-plane/services/jobs.ts';
import {
  createVolumeOnNode,
  deleteVolumeOnNode,
  listReservations,
  listVolumes,
  reserveOnNode,
  unreserveOnNode,
} from '../../../control-plane/services/reservations.ts';
import { setRole } from '../../../control-plane/services/roles.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import { claimRound } from '../../../control-plane/store/round-claim.ts';
import { INDEX_PLACEHOLDER } from '../../../shared/domain/job.ts';
import type { Ledger } from '../../../shared/domain/ledger.ts';
import type { StaticReservation } from '../../../shared/domain/reservation.ts';
import { NO_SCALARS } from '../../../shared/domain/resources.ts';
import type { ScalarAmounts } from '../../../shared/domain/role.ts';
import { aJob, anEntry, anOffer, aReservation, aTask } from '../../support/builders.ts';
import {
  ADMIN,
  callOf,
  caughtUp,
  granted,
  JOINER,
  nodeOf,
  specOf,
  startReplica,
  type TestReplica,
} from '../../support/replica.ts';

let replica: TestReplica;

beforeEach(async () => {
  replica = await startReplica();
  await register();
});
afterEach(() => replica.stop());

const NODE = 'edge-1';
const ALL = { limit: 100, after: null };
const EVERYWHERE = { node: null, role: null };

/** A node with 4 cores and 10,000 MiB of disk. */
async function register(reservations: readonly StaticReservation[] = [], principal = JOINER): Promise<void> {
  await registerNode(replica.ctx, principal, { node: nodeOf(NODE, { reservations }), seen: null, tasks: [] });
  await caughtUp(replica.ctx);
}

function ledgerNow(): Ledger {
  const ledger = replica.ctx.mirror.snapshot.ledgers.get(NODE);
  if (ledger === undefined) throw new Error('the node has no ledger');
  return ledger;
}

/** Puts something into the ledger as others do. */
async function ledgerWith(change: Partial<Ledger>): Promise<void> {
  const writes = [putRecord('ledger', keys.ledger(NODE), { ...ledgerNow(), ...change })];
  await replica.ctx.store.transact({ compares: [], writes });
  await caughtUp(replica.ctx);
}

async function reserve(role: string, amounts: ScalarAmounts, id = 'r1', principal: Principal = ADMIN) {
  const request = { id, role, amounts: { ...amounts }, labels: {} };
  const answer = await reserveOnNode(replica.ctx, callOf(principal), NODE, request);
  await caughtUp(replica.ctx);
  return answer;
}

async function limit(role: string, cpus: number): Promise<void> {
  const terms = { weight: 1, limit: { cpus }, guarantee: {}, force: false };
  await setRole(replica.ctx, callOf(), role, terms, { ifVersion: null, onlyCreate: false });
  await caughtUp(replica.ctx);
}

async function guarantee(role: string, cpus: number): Promise<void> {
  const terms = { weight: 1, limit: {}, guarantee: { cpus }, force: true };
  await setRole(replica.ctx, callOf(), role, terms, { ifVersion: null, onlyCreate: false });
  await caughtUp(replica.ctx);
}

async function createVolume(sizeMiB: number, id = 'data', principal: Principal = ADMIN) {
  const request = { id, reservation: 'r1', sizeMiB, labels: { app: 'db' } };
  const answer = await createVolumeOnNode(replica.ctx, callOf(principal), NODE, request);
  await caughtUp(replica.ctx);
  return answer;
}

describe('a reservation', () => {
  it('is kept for its role, listed, and given back', async () => {
    const { status, body } = await reserve('eng/ml', { cpus: 2, diskMiB: 100 });
    expect([status, body]).toMatchObject([
      201,
      { node: NODE, id: 'r1', role: 'eng/ml', source: 'dynamic', amounts: { cpus: 2 }, free: { cpus: 2 }, by: 'admin' },
    ]);
    expect(listReservations(replica.ctx, ADMIN, { node: NODE, role: 'eng' }, ALL).items).toEqual([body]);
    expect(listReservations(replica.ctx, ADMIN, { node: null, role: 'ops' }, ALL).items).toEqual([]);
    const given = await unreserveOnNode(replica.ctx, callOf(), NODE, 'r1');
    expect(given).toMatchObject({ status: 200, body: { id: 'r1', amounts: { cpus: 2 } } });
    await caughtUp(replica.ctx);
    expect(ledgerNow().reservations).toEqual({});
    await expect(unreserveOnNode(replica.ctx, callOf(), NODE, 'r1')).rejects.toMatchObject({ code: 'not-found' });
  });

  it('gets a name of its own where none is given', async () => {
    const request = { role: 'eng', amounts: { cpus: 1 }, labels: {} };
    const { body } = await reserveOnNode(replica.ctx, callOf(), NODE, request);
    expect(body.id).toMatch(/^r-[a-z0-9]{10}$/);
  });

  it('takes no more than is free, and no name twice', async () => {
    await reserve('eng', { cpus: 3 });
    await expect(reserve('ops', { cpus: 2 }, 'r2')).rejects.toMatchObject({
      code: 'conflict',
      faults: [{ path: '/amounts/cpus', message: 'asks for 2, and 1 are free on node "edge-1"' }],
    });
    await expect(reserve('ops', { cpus: 1 })).rejects.toMatchObject({ code: 'already-exists' });
    await expect(
      reserveOnNode(replica.ctx, callOf(), 'edge-9', { role: 'a', amounts: { cpus: 1 }, labels: {} }),
    ).rejects.toMatchObject({
      code: 'not-found',
    });
  });

  it('takes the newest offers back that stand in its way, and no others', async () => {
    const offers = [
      anOffer({ id: '1-1-0', resources: { cpus: 2 }, madeAtMs: 1 }),
      anOffer({ id: '1-2-0', resources: { cpus: 2 }, madeAtMs: 2 }),
    ];
    await ledgerWith({ offers: Object.fromEntries(offers.map((offer) => [offer.id, offer])) });
    await reserve('eng', { cpus: 1 });
    expect(Object.keys(ledgerNow().offers)).toEqual(['1-1-0']);
    await expect(reserve('ops', { cpus: 4 }, 'r2')).rejects.toMatchObject({ code: 'conflict' });
    expect(Object.keys(ledgerNow().offers)).toEqual(['1-1-0']);
  });

  it('is charged to its role and those above, within their limits', async () => {
    await limit('eng', 2);
    await reserve('eng/ml', { cpus: 1 });
    await expect(reserve('eng/web', { cpus: 1.5 }, 'r2')).rejects.toMatchObject({
      code: 'conflict',
      faults: [{ path: '/amounts/cpus', message: 'brings what role "eng" holds to 2.5, beyond its limit of 2' }],
    });
    expect((await reserve('eng/web', { cpus: 1 }, 'r2')).status).toBe(201);
    // What the limit doesn't name has no bound.
    expect((await reserve('eng/web', { memMiB: 1000 }, 'r3')).status).toBe(201);
  });

  it('takes the offers of its role back that its limit has no room for', async () => {
    await limit('eng', 2);
    const offer = anOffer({ role: 'eng/ml', resources: { cpus: 1.5 } });
    await ledgerWith({ offers: { [offer.id]: offer } });
    await reserve('eng', { cpus: 1 });
    expect(ledgerNow().offers).toEqual({});
  });

  it('leaves what guarantees of other roles are short of, and says whose', async () => {
    await guarantee('prod', 3);
    await expect(reserve('greedy', { cpus: 1.5 })).rejects.toMatchObject({
      code: 'conflict',
      faults: [
        {
          path: '/amounts/cpus',
          message:
            'asks for 1.5, and 1 can be reserved for role "greedy": 4 are unallocated in the cluster, and kept for guarantees that are not met yet are 3 for role "prod"',
        },
      ],
    });
    // What the guarantee doesn't name isn't kept.
    expect((await reserve('greedy', { cpus: 1, diskMiB: 10_000 })).status).toBe(201);
    await expect(reserve('greedy', { cpus: 0.5 }, 'r2')).rejects.toMatchObject({ code: 'conflict' });
    expect((await reserve('prod/web', { cpus: 3 }, 'r3')).status).toBe(201);
  });

  it('leaves other guarantees what tasks of others have left of it', async () => {
    await guarantee('prod', 3);
    const job = aJob({ spec: { role: 'ops' } });
    const task = aTask(job, { state: 'running', node: NODE });
    const entry = anEntry(job, task, { resources: { ...NO_SCALARS, cpus: 2, ports: [] } });
    await ledgerWith({ entries: { [task.id]: entry } });
    await expect(reserve('greedy', { cpus: 0.5 })).rejects.toMatchObject({ code: 'conflict' });
    expect((await reserve('prod', { cpus: 2 })).status).toBe(201);
  });

  it('takes back offers that guarantees have no room for beside it, in the same step', async () => {
    await guarantee('prod', 2);
    const offers = [
      anOffer({ id: '1-1-0', role: 'ops', resources: { cpus: 1 }, madeAtMs: 1 }),
      anOffer({ id: '1-2-0', role: 'prod', resources: { cpus: 0.5 }, madeAtMs: 2 }),
    ];
    await ledgerWith({ offers: Object.fromEntries(offers.map((offer) => [offer.id, offer])) });
    await reserve('greedy', { cpus: 1.5 });
    expect(Object.keys(ledgerNow().offers)).toEqual(['1-2-0']);
    await expect(reserve('greedy', { cpus: 1 }, 'r2')).rejects.toMatchObject({ code: 'conflict' });
  });

  it('takes the fence from a round that was planned before it', async () => {
    const fence = await claimRound(replica.ctx);
    await reserve('eng', { cpus: 1 });
    const late = await replica.ctx.store.transact({ compares: fence === null ? [] : [fence], writes: [] });
    expect([fence === null, late.committed]).toEqual([false, false]);
  });

  it('and another one of the same role never pass its limit together', async () => {
    await limit('eng', 2);
    const outcomes = await Promise.allSettled([reserve('eng', { cpus: 1.5 }, 'a'), reserve('eng', { cpus: 1.5 }, 'b')]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  });

  it('stays while something uses it, and says what', async () => {
    await reserve('eng', { cpus: 2, diskMiB: 500 });
    const job = aJob({ spec: { role: 'eng' } });
    const task = aTask(job, { state: 'running', node: NODE });
    const entry = anEntry(job, task, { reserved: { r1: { ...NO_SCALARS, cpus: 1 } } });
    await ledgerWith({ entries: { [task.id]: entry } });
    await createVolume(100);
    await expect(unreserveOnNode(replica.ctx, callOf(), NODE, 'r1')).rejects.toMatchObject({
      code: 'conflict',
      message: `reservation "r1" on node "edge-1" is in use by task ${task.id}, volume data; end that first`,
    });
  });

  it('goes with what is offered of it', async () => {
    await reserve('eng', { cpus: 2 });
    const offer = anOffer({ role: 'eng', resources: { cpus: 1 }, reserved: { r1: { ...NO_SCALARS, cpus: 1 } } });
    await ledgerWith({ offers: { [offer.id]: offer } });
    await unreserveOnNode(replica.ctx, callOf(), NODE, 'r1');
    await caughtUp(replica.ctx);
    expect(ledgerNow()).toMatchObject({ offers: {}, reservations: {} });
  });

  it('is seen and changed as far as the token reaches', async () => {
    await reserve('eng/ml', { cpus: 1 });
    await reserve('ops', { cpus: 1 }, 'r2');
    const reader: Principal = { ...ADMIN, grants: [{ roles: ['eng'], actions: ['reservation:read'] }] };
    expect(listReservations(replica.ctx, reader, EVERYWHERE, ALL).items.map(({ id }) => id)).toEqual(['r1']);
    await expect(reserve('eng', { cpus: 1 }, 'r3', reader)).rejects.toMatchObject({ code: 'forbidden' });
    const unreserve = (id: string, principal: Principal) => unreserveOnNode(replica.ctx, callOf(principal), NODE, id);
    await expect(unreserve('r1', reader)).rejects.toMatchObject({ code: 'forbidden' });
    const said = async (id: string, principal: Principal) => String(await unreserve(id, principal).catch((e) => e));
    // What is another role's is answered to the letter as what isn't there.
    expect((await said('r2', reader)).replace('r2', 'r9')).toBe(await said('r9', reader));
    await expect(unreserve('r2', reader)).rejects.toMatchObject({ code: 'not-found' });
    const writer: Principal = granted(reader, { actions: ['reservation:*'] });
    expect((await unreserve('r1', writer)).status).toBe(200);
    await expect(unreserve('r2', writer)).rejects.toMatchObject({ code: 'not-found' });
  });
});

describe('what an agent was told to keep for roles', () => {
  const wanted = (role: string, cpus: number): StaticReservation => ({ role, scalars: { ...NO_SCALARS, cpus } });

  it('stands in the ledger when it registers, and is given back only there', async () => {
    await replica.stop();
    replica = await startReplica();
    await register([wanted('eng', 2)]);
    const { items } = listReservations(replica.ctx, ADMIN, EVERYWHERE, ALL);
    expect(items).toMatchObject([{ id: 'static-eng', role: 'eng', source: 'static', amounts: { cpus: 2 }, by: NODE }]);
    await expect(unreserveOnNode(replica.ctx, callOf(), NODE, 'static-eng')).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('is changed only there'),
    });
  });

  it('follows what it registers with; what is in use goes once it is not', async () => {
    const again = { ...ADMIN, kind: 'node', node: NODE } as const;
    await register([wanted('eng', 2), wanted('ops', 1)], again);
    const job = aJob({ spec: { role: 'eng' } });
    const task = aTask(job, { state: 'running', node: NODE });
    const entry = anEntry(job, task, { reserved: { 'static-eng': { ...NO_SCALARS, cpus: 1 } } });
    await ledgerWith({ entries: { [task.id]: entry } });
    await register([], again);
    expect(Object.values(ledgerNow().reservations)).toMatchObject([{ id: 'static-eng', scalars: { cpus: 1 } }]);
    await replica.settle();
    await caughtUp(replica.ctx);
    // Its task is on no record, so the round has swept its place.
    await replica.settle();
    await caughtUp(replica.ctx);
    expect(ledgerNow().reservations).toEqual({});
  });
});

describe('a persistent volume', () => {
  it('is made on reserved disk, listed, and deleted by its agent', async () => {
    await reserve('eng', { diskMiB: 500 });
    const before = ledgerNow().assignmentGeneration;
    const { status, body } = await createVolume(200);
    expect([status, body]).toMatchObject([
      201,
      {
        node: NODE,
        id: 'data',
        role: 'eng',
        reservation: 'r1',
        sizeMiB: 200,
        labels: { app: 'db' },
        removing: false,
        tasks: [],
      },
    ]);
    expect(listVolumes(replica.ctx, ADMIN, EVERYWHERE, ALL).items).toEqual([body]);
    expect(listReservations(replica.ctx, ADMIN, EVERYWHERE, ALL).items).toMatchObject([
      { free: { diskMiB: 300 }, volumes: ['data'] },
    ]);
    const deleted = await deleteVolumeOnNode(replica.ctx, callOf(), NODE, 'data');
    expect(deleted).toMatchObject({ status: 202, body: { removing: true } });
    await caughtUp(replica.ctx);
    expect(ledgerNow().volumes['data']?.removing).toBe(true);
    expect(ledgerNow().assignmentGeneration).toBeGreaterThan(before);
    expect((await deleteVolumeOnNode(replica.ctx, callOf(), NODE, 'data')).status).toBe(202);
  });

  it('takes no more than its reservation has left, and no name twice', async () => {
    await expect(createVolume(100)).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringContaining('make one with disk'),
    });
    await reserve('eng', { diskMiB: 500 });
    await createVolume(400);
    await expect(createVolume(200, 'more')).rejects.toThrow('reservation "r1" has 100 MiB of disk left, not 200');
    await expect(createVolume(100)).rejects.toMatchObject({ code: 'already-exists' });
  });

  it('takes offers of its disk back', async () => {
    await reserve('eng', { diskMiB: 500 });
    const reserved = { r1: { ...NO_SCALARS, diskMiB: 400 } };
    const offer = anOffer({ role: 'eng', resources: { cpus: 0, memMiB: 0, diskMiB: 400 }, reserved });
    await ledgerWith({ offers: { [offer.id]: offer } });
    await createVolume(100, 'small');
    expect(Object.keys(ledgerNow().offers)).toHaveLength(1);
    await createVolume(200);
    expect(ledgerNow().offers).toEqual({});
  });

  it.each(['data', INDEX_PLACEHOLDER])('stays while a task on the node mounts it, by "%s"', async (source) => {
    const id = source.replace(INDEX_PLACEHOLDER, '0');
    await reserve('eng', { diskMiB: 500 });
    await createVolume(100, id);
    const mounts = [{ type: 'persistent' as const, source, target: '/data' }];
    await submitJob(replica.ctx, callOf(), specOf({ role: 'eng', groups: [{ image: 'berth/busybox:local', mounts }] }));
    await caughtUp(replica.ctx);
    await replica.settle();
    await caughtUp(replica.ctx);
    const [task] = replica.ctx.mirror.snapshot.tasks.keys();
    expect(listVolumes(replica.ctx, ADMIN, EVERYWHERE, ALL).items).toMatchObject([{ tasks: [task] }]);
    await expect(deleteVolumeOnNode(replica.ctx, callOf(), NODE, id)).rejects.toMatchObject({
      code: 'conflict',
      message: `volume "${id}" on node "edge-1" is in use by task ${task}; end that first`,
    });
  });

  it('is seen and changed as far as the token reaches', async () => {
    await ledgerWith({ reservations: { r1: aReservation({ role: 'eng', scalars: { ...NO_SCALARS, diskMiB: 500 } }) } });
    const other: Principal = { ...ADMIN, grants: [{ roles: ['ops'], actions: ['volume:*'] }] };
    await expect(createVolume(100, 'data', other)).rejects.toMatchObject({ code: 'not-found' });
    await createVolume(100);
    expect(listVolumes(replica.ctx, other, EVERYWHERE, ALL).items).toEqual([]);
    const reader: Principal = { ...ADMIN, grants: [{ roles: ['eng'], actions: ['volume:read'] }] };
    expect(listVolumes(replica.ctx, reader, EVERYWHERE, ALL).items).toHaveLength(1);
    await expect(deleteVolumeOnNode(replica.ctx, callOf(reader), NODE, 'data')).rejects.toMatchObject({
      code: 'forbidden',
    });
    await expect(deleteVolumeOnNode(replica.ctx, callOf(other), NODE, 'data')).rejects.toMatchObject({
      code: 'not-found',
    });
  });
});
