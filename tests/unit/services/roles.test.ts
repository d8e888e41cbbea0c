import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Principal } from '../../../control-plane/auth/principal.ts';
import { registerNode } from '../../../control-plane/services/agents.ts';
import { submitJob } from '../../../control-plane/services/jobs.ts';
import { offersOver } from '../../../control-plane/services/offer-withdrawal.ts';
import { reserveOnNode } from '../../../control-plane/services/reservations.ts';
import { fairShares, RoleBook } from '../../../control-plane/services/role-view.ts';
import {
  getRole,
  listRoles,
  type RoleChange,
  type RoleConditions,
  setRole,
  unsetRole,
} from '../../../control-plane/services/roles.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import { claimRound } from '../../../control-plane/store/round-claim.ts';
import type { Offer } from '../../../shared/domain/offer.ts';
import type { Task } from '../../../shared/domain/task.ts';
import {
  aFramework,
  aJob,
  aLedger,
  anEntry,
  anOffer,
  aReservation,
  aRole,
  aTask,
  clusterOf,
  T0,
} from '../../support/builders.ts';
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
});
afterEach(() => replica.stop());

const ALWAYS: RoleConditions = { ifVersion: null, onlyCreate: false };
const ALL = { limit: 100, after: null };

function set(path: string, change: Partial<RoleChange>, conditions = ALWAYS, principal: Principal = ADMIN) {
  const whole = { weight: 1, limit: {}, guarantee: {}, force: false, ...change };
  return setRole(replica.ctx, callOf(principal), path, whole, conditions);
}

async function settled(): Promise<void> {
  await caughtUp(replica.ctx);
  await replica.settle();
  await caughtUp(replica.ctx);
}

/** A node with 4 cores. */
async function join(id = 'edge-1'): Promise<void> {
  await registerNode(replica.ctx, JOINER, { node: nodeOf(id), seen: null, tasks: [] });
  await caughtUp(replica.ctx);
}

/** A job of the role that holds so many cores. */
async function running(name: string, role: string, cpus: number): Promise<void> {
  const groups = [{ image: 'berth/busybox:local', resources: { cpus } }];
  await submitJob(replica.ctx, callOf(), specOf({ name, role, groups }));
  await settled();
}

/** Puts offers into the node's ledger, as a round does. */
async function offered(node: string, offers: readonly Offer[]): Promise<void> {
  const { store, mirror } = replica.ctx;
  const ledger = mirror.snapshot.ledgers.get(node);
  if (ledger === undefined) throw new Error(`node ${node} has no ledger`);
  const byId = Object.fromEntries(offers.map((offer) => [offer.id, offer]));
  await store.transact({ compares: [], writes: [putRecord('ledger', keys.ledger(node), { ...ledger, offers: byId })] });
  await caughtUp(replica.ctx);
}

describe('roles', () => {
  it('are there as soon as something is set for them or in them, with those above', async () => {
    await join();
    await running('train', 'eng/ml', 1);
    await set('ops/night', { weight: 2 });
    await caughtUp(replica.ctx);
    const { items } = listRoles(replica.ctx, ADMIN, { below: null }, ALL);
    expect(items.map(({ path }) => path)).toEqual(['eng', 'eng/ml', 'ops', 'ops/night']);
    expect(listRoles(replica.ctx, ADMIN, { below: 'ops' }, ALL).items.map(({ path }) => path)).toEqual([
      'ops',
      'ops/night',
    ]);
    expect(getRole(replica.ctx, ADMIN, 'eng')).toMatchObject({
      version: 0,
      weight: 1,
      held: { tasks: { cpus: 1 }, total: { cpus: 1 } },
      share: { scalar: 'cpus', dominant: 0.25 },
      pendingTasks: 0,
    });
    expect(() => getRole(replica.ctx, ADMIN, 'nobody')).toThrow('there is no role "nobody"');
  });

  it('are seen and changed as far as the token reaches', async () => {
    await set('eng/ml', {});
    await set('ops', {});
    await caughtUp(replica.ctx);
    const reader: Principal = { ...ADMIN, grants: [{ roles: ['eng'], actions: ['role:read'] }] };
    expect(listRoles(replica.ctx, reader, { below: null }, ALL).items.map(({ path }) => path)).toEqual([
      'eng',
      'eng/ml',
    ]);
    expect(() => getRole(replica.ctx, reader, 'ops')).toThrow('there is no role "ops"');
    await expect(set('eng/ml', { weight: 2 }, ALWAYS, reader)).rejects.toMatchObject({ code: 'forbidden' });
    await expect(set('ops', { weight: 2 }, ALWAYS, reader)).rejects.toMatchObject({ code: 'not-found' });
    const writer: Principal = granted(reader, { actions: ['role:*'] });
    expect((await set('eng/ml', { weight: 2 }, ALWAYS, writer)).body).toMatchObject({ weight: 2, updatedBy: 'admin' });
    await expect(unsetRole(replica.ctx, callOf(reader), 'eng/ml', ALWAYS)).rejects.toMatchObject({ code: 'forbidden' });
  });

  it('are set as a whole, under the version that was seen', async () => {
    const first = await set('eng', { weight: 2, limit: { cpus: 8 } });
    await caughtUp(replica.ctx);
    expect(getRole(replica.ctx, ADMIN, 'eng').version).toBe(first.body.version);
    const again = await set('eng', { weight: 2, limit: { cpus: 8 } });
    expect(again.body).toEqual(first.body);
    const second = await set('eng', { weight: 3 }, { ...ALWAYS, ifVersion: first.body.version });
    expect(second.body).toMatchObject({ weight: 3, limit: {} });
    expect(second.body.version).toBeGreaterThan(first.body.version);
    await expect(set('eng', {}, { ...ALWAYS, ifVersion: first.body.version })).rejects.toMatchObject({
      code: 'revision-mismatch',
      message: `role "eng" is at version ${second.body.version}, not at version ${first.body.version}; read it again and decide anew`,
    });
    await expect(set('eng', {}, { ...ALWAYS, onlyCreate: true })).rejects.toMatchObject({ code: 'revision-mismatch' });
    await expect(set('new', {}, { ...ALWAYS, ifVersion: 3 })).rejects.toThrow('has nothing set, not at version 3');
    expect((await set('new', {}, { ifVersion: 0, onlyCreate: true })).status).toBe(200);
  });

  it('go back to their defaults, once and again', async () => {
    await set('eng', { weight: 2 });
    await caughtUp(replica.ctx);
    await expect(unsetRole(replica.ctx, callOf(), 'eng', { ifVersion: 1 })).rejects.toMatchObject({
      code: 'revision-mismatch',
    });
    for (const _ of [1, 2]) {
      const { status, body } = await unsetRole(replica.ctx, callOf(), 'eng', ALWAYS);
      expect([status, body]).toMatchObject([200, { path: 'eng', version: 0, weight: 1, updatedAt: null }]);
      await caughtUp(replica.ctx);
    }
    expect(() => getRole(replica.ctx, ADMIN, 'eng')).toThrow('there is no role');
  });

  it('take the fence from a round that was planned before they went back to their defaults, if anything was set', async () => {
    await set('eng', { weight: 2 });
    await caughtUp(replica.ctx);
    const { roundNumber } = replica.ctx.mirror.snapshot;
    for (const _ of [1, 2]) {
      await unsetRole(replica.ctx, callOf(), 'eng', ALWAYS);
      await caughtUp(replica.ctx);
      expect(replica.ctx.mirror.snapshot.roundNumber).toBe(roundNumber + 1);
    }
  });

  it('are not given what contradicts other roles, also not by force', async () => {
    await set('eng', { limit: { cpus: 2 } });
    await caughtUp(replica.ctx);
    await expect(set('eng/ml', { guarantee: { cpus: 3 }, force: true })).rejects.toMatchObject({
      code: 'invalid-request',
      faults: [{ path: '/guarantee/cpus', message: expect.stringContaining('beyond its limit of 2') }],
    });
  });

  it('are promised no more than there is, unless forced', async () => {
    await join();
    await set('ops', { guarantee: { cpus: 3 } });
    await caughtUp(replica.ctx);
    await expect(set('eng', { guarantee: { cpus: 2 } })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('with force it is set all the same'),
      faults: [{ path: '/guarantee/cpus', message: 'brings what all roles are promised to 5, and the nodes have 4' }],
    });
    expect((await set('eng', { guarantee: { cpus: 2 }, force: true })).body).toMatchObject({
      guarantee: { cpus: 2 },
      belowGuarantee: ['cpus'],
    });
    await caughtUp(replica.ctx);
    // What was forced once stands in the way of nothing else.
    expect((await set('eng', { weight: 2, guarantee: { cpus: 2 } })).body.weight).toBe(2);
  });

  it('are promised nothing that is reserved for others, unless forced', async () => {
    await join();
    const reserve = (role: string, cpus: number) =>
      reserveOnNode(replica.ctx, callOf(), 'edge-1', { role, amounts: { cpus }, labels: {} });
    await reserve('greedy', 2);
    await caughtUp(replica.ctx);
    await reserve('prod/web', 1);
    await caughtUp(replica.ctx);
    await expect(set('prod', { guarantee: { cpus: 2.5 } })).rejects.toMatchObject({
      code: 'conflict',
      faults: [
        {
          path: '/guarantee/cpus',
          message:
            'brings what all roles are promised, and what is reserved beyond that, to 4.5, and the nodes have 4; reserved are 2 for role "greedy"',
        },
      ],
    });
    // What is reserved for the role itself, or below it, counts towards its guarantee.
    expect((await set('prod', { guarantee: { cpus: 2 } })).body.guarantee).toEqual({ cpus: 2 });
    await caughtUp(replica.ctx);
    expect((await set('prod', { guarantee: { cpus: 3 }, force: true })).body.guarantee).toEqual({ cpus: 3 });
    await caughtUp(replica.ctx);
    // What was forced once stands in the way of nothing else.
    expect((await set('prod', { guarantee: { cpus: 3 }, weight: 2 })).body.weight).toBe(2);
  });

  it('are set nothing of what no node knows, unless forced', async () => {
    await join();
    const misspelt = set('eng', { limit: { mem: 100 } });
    await expect(misspelt).rejects.toMatchObject({
      code: 'conflict',
      faults: [
        { path: '/limit/mem', message: 'no node has a resource of this name; there are cpus, memMiB, diskMiB, gpus' },
      ],
    });
    await set('eng', { limit: { mem: 100 }, force: true });
    await caughtUp(replica.ctx);
    expect((await set('eng', { weight: 2, limit: { mem: 100 } })).body.limit).toEqual({ mem: 100 });
  });

  it('are limited to what they hold and no less, unless forced', async () => {
    await join();
    await running('train', 'eng/ml', 2);
    const tooLow = set('eng', { limit: { cpus: 1 } });
    await expect(tooLow).rejects.toMatchObject({
      code: 'conflict',
      faults: [{ path: '/limit/cpus', message: 'is 1, and 2 are held in tasks and reservations' }],
    });
    expect((await set('eng', { limit: { cpus: 2 } })).body.limit).toEqual({ cpus: 2 });
    expect((await set('eng', { limit: { cpus: 1 }, force: true })).body.limit).toEqual({ cpus: 1 });
  });

  it('lose the offers that a new limit has no room for, before it stands', async () => {
    await join();
    await offered('edge-1', [
      anOffer({ id: '1-1-0', role: 'eng/ml', resources: { cpus: 1 }, madeAtMs: 1 }),
      anOffer({ id: '1-2-0', role: 'eng', resources: { cpus: 2 }, madeAtMs: 2 }),
      anOffer({ id: '1-3-0', role: 'ops', resources: { cpus: 1 }, madeAtMs: 3 }),
    ]);
    const { revision } = await set('eng', { limit: { cpus: 1 } });
    await caughtUp(replica.ctx);
    const ledger = replica.ctx.mirror.snapshot.ledgers.get('edge-1');
    expect(Object.keys(ledger?.offers ?? {})).toEqual(['1-1-0', '1-3-0']);
    expect(replica.ctx.mirror.snapshot.modRevision(keys.ledger('edge-1'))).toBeLessThan(revision);
  });

  it('take the fence from a round that was planned before they were changed', async () => {
    const fence = await claimRound(replica.ctx);
    await set('eng', { limit: { cpus: 1 } });
    const late = await replica.ctx.store.transact({ compares: fence === null ? [] : [fence], writes: [] });
    expect([fence, late.committed]).toEqual([expect.objectContaining({ key: keys.currentRound }), false]);
  });

  it('that are changed at the same time are judged one after the other', async () => {
    await join();
    const outcomes = await Promise.allSettled([
      set('eng', { guarantee: { cpus: 3 } }),
      set('ops', { guarantee: { cpus: 3 } }),
    ]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  });
});

describe('the view of a role', () => {
  const job = aJob({ spec: { name: 'train', role: 'eng/ml' } });
  const [running, waiting] = [aTask(job, { state: 'running', node: 'edge-1' }), aTask(job, { index: 1 })];
  const reserved = { cpus: 0.5, memMiB: 0, diskMiB: 0, gpus: 0, custom: {} };

  it('counts reservations whole, tasks and offers beside what they have of them, and all of it for the roles above', () => {
    const ledger = aLedger({
      entries: [anEntry(job, running, { reserved: { r1: reserved } })],
      offers: [anOffer({ role: 'eng', resources: { cpus: 0.25 } })],
      reservations: [aReservation({ id: 'r1', role: 'eng' })],
    });
    const framework = aFramework({ roles: ['eng/ml', 'ops'] });
    const cluster = clusterOf({ ledgers: [ledger], jobs: [job], tasks: [running, waiting], frameworks: [framework] });
    const view = (path: string) => new RoleBook(cluster).view(path, 0);
    expect(view('eng/ml')).toMatchObject({
      held: { tasks: { cpus: 0.5 }, offers: { cpus: 0 }, reservations: { cpus: 0 }, total: { cpus: 0.5 } },
      frameworks: [framework.id],
      pendingTasks: 1,
    });
    expect(view('eng')).toMatchObject({
      held: { tasks: { cpus: 0.5 }, offers: { cpus: 0.25 }, reservations: { cpus: 1 }, total: { cpus: 1.75 } },
      share: { scalar: 'cpus', dominant: 0.4375, weighted: 0.4375 },
      fairShare: 0.5,
      pendingTasks: 1,
    });
    expect(view('ops')).toMatchObject({
      fairShare: 0.5,
      frameworks: [framework.id],
      share: { scalar: null, dominant: 0 },
    });
  });

  it('says since when each sort has been held for longest, and when the last offer ends', () => {
    const at = (ms: number) => new Date(ms).toISOString();
    const other = aTask(job, { index: 2, state: 'running', node: 'edge-1' });
    const placed = (task: Task, atMs: number): Task => ({
      ...task,
      history: [...task.history.slice(0, 1), { state: 'staging', atMs, reason: 'placed', message: '' }],
    });
    const ledger = aLedger({
      entries: [anEntry(job, running), anEntry(job, other)],
      offers: [
        anOffer({ id: '1-1-0', role: 'eng', madeAtMs: T0 + 1, expiresAtMs: T0 + 5 }),
        anOffer({ id: '1-1-1', role: 'eng', madeAtMs: T0 + 2, expiresAtMs: T0 + 9 }),
      ],
      reservations: [aReservation({ id: 'r1', role: 'eng', atMs: T0 + 3 })],
    });
    const tasks = [placed(running, T0 + 8), placed(other, T0 + 7)];
    const cluster = clusterOf({ ledgers: [ledger], jobs: [job], tasks });
    const view = (path: string) => new RoleBook(cluster).view(path, 0).held;
    expect(view('eng/ml')).toMatchObject({
      since: { tasks: at(T0 + 7), offers: null, reservations: null },
      offersUntil: null,
    });
    expect(view('eng')).toMatchObject({
      since: { tasks: at(T0 + 7), offers: at(T0 + 1), reservations: at(T0 + 3) },
      offersUntil: at(T0 + 9),
    });
  });

  it('names no framework that was torn down', () => {
    const teardown = { atMs: 0, by: 'alice', reason: 'enough' };
    const frameworks = [aFramework({ roles: ['ops'] }), aFramework({ id: 'f000000000002', roles: ['ops'], teardown })];
    expect(new RoleBook(clusterOf({ frameworks })).view('ops', 0).frameworks).toEqual(['f000000000001']);
  });

  it('leaves scarce resources out of the share, and divides it by the weight', () => {
    const offer = anOffer({ role: 'eng', resources: { cpus: 1, memMiB: 0, gpus: 1 } });
    const total = { cpus: 4, memMiB: 100, diskMiB: 0, gpus: 1, custom: {}, ports: [] };
    const cluster = clusterOf({ ledgers: [aLedger({ total, offers: [offer] })], roles: [aRole('eng', { weight: 2 })] });
    expect(new RoleBook(cluster).view('eng', 1).share).toEqual({ scalar: 'cpus', dominant: 0.25, weighted: 0.125 });
    const counted = clusterOf({ ledgers: [aLedger({ total, offers: [offer] })], settings: { excludedFromShares: [] } });
    expect(new RoleBook(counted).view('eng', 1).share).toEqual({ scalar: 'gpus', dominant: 1, weighted: 1 });
  });

  it('shares out by weight, level by level, among those that take part', () => {
    const weights: Readonly<Record<string, number>> = { b: 3, 'a/x': 2 };
    const shares = fairShares(new Set(['a', 'b', 'a/x', 'a/y']), (path) => weights[path] ?? 1);
    expect(shares.get('a')).toBeCloseTo(0.25);
    expect(shares.get('b')).toBeCloseTo(0.75);
    expect(shares.get('a/x')).toBeCloseTo(1 / 6);
    expect(shares.get('a/y')).toBeCloseTo(1 / 12);
  });
});

describe('offers that a limit has no room for', () => {
  const offer = (id: string, role: string, cpus: number, madeAtMs: number) =>
    anOffer({ id, role, madeAtMs, resources: { cpus } });
  const cluster = clusterOf({
    ledgers: [
      aLedger({ node: 'edge-1', offers: [offer('1-1-0', 'eng/ml', 2, 1), offer('1-3-0', 'eng', 1, 3)] }),
      aLedger({ node: 'edge-2', offers: [offer('1-2-0', 'eng', 1, 2), offer('1-4-0', 'ops', 1, 4)] }),
    ],
  });

  it.each<[Readonly<Record<string, number>>, object]>([
    [{}, {}],
    [{ cpus: 4 }, {}],
    [{ cpus: 3 }, { 'edge-1': ['1-3-0'] }],
    [{ cpus: 2 }, { 'edge-1': ['1-3-0'], 'edge-2': ['1-2-0'] }],
    [{ cpus: 1 }, { 'edge-1': ['1-3-0', '1-1-0'], 'edge-2': ['1-2-0'] }],
    [{ gpus: 0 }, {}],
  ])('%j: the newest of the role and those below it go first', (limit, expected) => {
    expect(Object.fromEntries(offersOver(cluster, 'eng', limit))).toEqual(expected);
  });
});
