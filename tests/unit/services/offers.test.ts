import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import type { Principal } from '../../../control-plane/auth/principal.ts';
import { registerNode } from '../../../control-plane/services/agents.ts';
import { subscribe, updateFramework } from '../../../control-plane/services/frameworks.ts';
import { type HeldOfferFilter, listOffers } from '../../../control-plane/services/held-offers.ts';
import { drainNode } from '../../../control-plane/services/nodes.ts';
import { declineOffers } from '../../../control-plane/services/offer-declines.ts';
import { reviveOffers, suppressOffers } from '../../../control-plane/services/offer-wishes.ts';
import { acceptOffers } from '../../../control-plane/services/offers.ts';
import { setSettings } from '../../../control-plane/services/settings.ts';
import type { Store } from '../../../control-plane/store/contract.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { INDEX_PLACEHOLDER } from '../../../shared/domain/job.ts';
import { freeResources, type Ledger } from '../../../shared/domain/ledger.ts';
import { NO_SCALARS } from '../../../shared/domain/resources.ts';
import { DEFAULT_SETTINGS, type Settings } from '../../../shared/domain/settings.ts';
import { type AcceptInput, acceptSchema, offerWishSchema } from '../../../shared/protocol/offers.ts';
import { present } from '../../../shared/util/assert.ts';
import { anOffer, aReservation, aVolume } from '../../support/builders.ts';
import { changed } from '../../support/changed-store.ts';
import { Hand, overtaken, subscriptionOf } from '../../support/frameworks.ts';
import {
  ADMIN,
  callOf,
  caughtUp,
  granted,
  JOINER,
  nodeOf,
  startReplica,
  type TestReplica,
} from '../../support/replica.ts';

const ALICE: Principal = { ...ADMIN, subject: 'alice', grants: [{ roles: ['eng'], actions: ['framework:run'] }] };
const PAGE = { limit: 100, after: null };
const ALL: HeldOfferFilter = { framework: null, node: null, role: null };

let store: Store;
let a: TestReplica;
let b: TestReplica;
let hand: Hand;
let framework: string;

beforeEach(async () => {
  store = new MemoryStore({ clock: new SystemClock() });
  a = await startReplica({ store, id: 'a' });
  b = await startReplica({ store, id: 'b' });
  hand = new Hand(a.ctx);
  for (const node of ['edge-1', 'edge-2']) {
    await registerNode(a.ctx, JOINER, { node: nodeOf(node), seen: null, tasks: [] });
  }
  framework = await joined();
});
afterEach(() => {
  a.stop();
  b.stop();
});

async function joined(principal = ALICE, roles = ['eng']): Promise<string> {
  const { body } = await subscribe(a.ctx, callOf(principal), subscriptionOf({ roles }));
  await bothCaughtUp();
  return body.id;
}

async function bothCaughtUp(): Promise<void> {
  await caughtUp(a.ctx);
  await caughtUp(b.ctx);
}

/** Half of a node, unless the change says otherwise. */
async function offered(id: string, change: { node?: string; framework?: string; role?: string; cpus?: number } = {}) {
  const { node = 'edge-1', framework: holder = framework, role = 'eng', cpus = 2 } = change;
  const { resources } = anOffer({ resources: { cpus, memMiB: 1024 } });
  await hand.offer(holder, {
    id,
    node,
    role,
    resources,
    madeAtMs: Date.now() - 5000,
    expiresAtMs: Date.now() + 55_000,
  });
  await bothCaughtUp();
}

function accept(request: Partial<AcceptInput>, { on = a, call = callOf(ALICE), id = framework } = {}) {
  return acceptOffers(on.ctx, call, id, acceptSchema.parse({ session: 1, offers: ['0-0-0'], ...request }));
}

function launch(...names: string[]): NonNullable<AcceptInput['operations']> {
  return [{ type: 'launch', tasks: names.map((task) => described(task)) }];
}

function described(task: string, cpus = 0.5) {
  return { task, image: 'x', resources: { cpus, memMiB: 64 } };
}

function ledgerOf(node = 'edge-1'): Ledger {
  const ledger = a.ctx.mirror.snapshot.ledgers.get(node);
  if (ledger === undefined) throw new Error(`${node} has no ledger`);
  return ledger;
}

/** It is overtaken as it puts the node's ledger. */
function late(): TestReplica {
  return { ...a, ctx: overtaken(a.ctx, framework, (key) => key === keys.ledger('edge-1')) };
}

describe('accepting offers', () => {
  it('launches tasks, and frees the rest', async () => {
    await offered('0-0-0');
    const { body } = await accept({ operations: launch('web', 'db'), refuseSeconds: 60 });
    expect(body).toMatchObject({
      node: 'edge-1',
      role: 'eng',
      tasks: [
        { task: 'web', state: 'staging', id: `painter-web-0-${framework}-v1a0` },
        { task: 'db', state: 'staging' },
      ],
      leftOver: { refused: { cpus: 1 } },
    });
    await bothCaughtUp();
    expect(freeResources(ledgerOf())).toMatchObject({ cpus: 3, memMiB: 4096 - 128 });
    expect(ledgerOf().filters).toMatchObject([{ framework, because: 'unused', times: 1 }]);
    expect([...a.ctx.mirror.snapshot.tasksOfFramework(framework)].map(({ state }) => state)).toEqual([
      'staging',
      'staging',
    ]);
  });

  it('ends tasks that can not be launched like any other, and launches the others', async () => {
    await offered('0-0-0');
    const half = { ...described('half'), resources: { cpus: 0.1, memMiB: 64, gpus: 0.5 } };
    const operations = [{ type: 'launch' as const, tasks: [described('large', 3), half, described('web')] }];
    const { body } = await accept({ operations });
    expect(body.tasks).toMatchObject([
      { state: 'error', message: expect.stringContaining('3 of cpus, and 2 is left') },
      { state: 'error', message: expect.stringContaining('they are given whole') },
      { state: 'staging' },
    ]);
    await bothCaughtUp();
    const record = a.ctx.mirror.snapshot.tasks.get(`painter-large-0-${framework}-v1a0`);
    expect(record).toMatchObject({ state: 'error', node: null, framework: { name: 'large', acknowledged: 1 } });
    expect(Object.keys(ledgerOf().entries)).toHaveLength(1);
  });

  it('launches a group whose tasks end together, whatever the next is that is launched with it', async () => {
    await offered('0-0-0');
    const group = { type: 'launch-group' as const, tasks: ['one', 'two', 'three'].map((name) => described(name, 0.1)) };
    const { body } = await accept({ operations: [group, ...launch('alone')] });
    const [one, two, three, alone] = body.tasks.map(({ id }) => id);
    for (const id of [one, two, three, alone]) await hand.report(present(id, 'a task'), 'running');
    await hand.report(present(one, 'one'), 'finished');
    await a.settle();
    await bothCaughtUp();
    const stops = () => [two, three, alone].map((id) => ledgerOf().entries[id ?? '']?.stop?.reason ?? null);
    expect(stops()).toEqual([null, null, null]);
    await hand.report(present(three, 'three'), 'failed');
    await a.settle();
    await bothCaughtUp();
    const reason = '"three", launched in one group with it, ended as failed: it is failed';
    expect(stops()).toEqual([reason, null, null]);
  });

  it('of two at once, on two replicas, carries one out and tells the other one why not', async () => {
    await offered('0-0-0');
    const answers = await Promise.allSettled([
      accept({ operations: launch('one') }, { on: a }),
      accept({ operations: launch('two') }, { on: b }),
    ]);
    const refused = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason] : []));
    expect(refused).toMatchObject([
      { code: 'offer-gone', message: expect.stringMatching(/"0-0-0" .* it was accepted at/) },
    ]);
    await bothCaughtUp();
    expect(Object.keys(ledgerOf().entries)).toHaveLength(1);
    expect(freeResources(ledgerOf()).cpus).toBe(3.5);
    expect(ledgerOf().filters).toHaveLength(1);
  });

  it('gives the same answer to the same call again, and launches nothing twice', async () => {
    await offered('0-0-0');
    const call = callOf(ALICE, { key: 'k-1', requestDigest: 'd' });
    const first = await accept({ operations: launch('web') }, { call });
    await bothCaughtUp();
    const again = await accept({ operations: launch('web') }, { call, on: b });
    expect(again).toMatchObject({ replayed: true, body: first.body });
    await bothCaughtUp();
    expect(Object.keys(ledgerOf().entries)).toHaveLength(1);
  });

  it('counts none of an earlier session, even where it is overtaken only as it commits', async () => {
    await offered('0-0-0');
    await expect(accept({ operations: launch('web') }, { on: late() })).rejects.toMatchObject({
      code: 'session-moved',
    });
    await bothCaughtUp();
    expect(ledgerOf().entries).toEqual({});
    await expect(accept({ operations: launch('web') })).rejects.toMatchObject({ code: 'session-moved' });
    expect(Object.keys(ledgerOf().offers)).toEqual(['0-0-0']);
  });

  it('uses offers of one node together, and refuses those of two nodes or two roles', async () => {
    framework = await joined(ALICE, ['eng', 'eng/ml']);
    await offered('0-0-0');
    await offered('0-0-1');
    await offered('0-0-2', { node: 'edge-2' });
    await offered('0-0-3', { node: 'edge-2', role: 'eng/ml' });
    const large = [{ type: 'launch' as const, tasks: [described('large', 3.5)] }];
    await expect(accept({ offers: ['0-0-0', '0-0-2'], operations: large })).rejects.toMatchObject({
      code: 'invalid-request',
      faults: [{ path: '/offers/1', message: expect.stringContaining('is of node "edge-2", and "0-0-0" of "edge-1"') }],
    });
    await expect(accept({ offers: ['0-0-2', '0-0-3'], operations: large })).rejects.toMatchObject({
      faults: [{ path: '/offers/1', message: expect.stringContaining('is for the role "eng/ml"') }],
    });
    const { body } = await accept({ offers: ['0-0-0', '0-0-1'], operations: large });
    expect(body.tasks).toMatchObject([{ state: 'staging' }]);
    await bothCaughtUp();
    expect([ledgerOf().offers, Object.keys(ledgerOf('edge-2').offers)]).toEqual([{}, ['0-0-2', '0-0-3']]);
  });

  it('takes a name once, in one call and on record', async () => {
    await offered('0-0-0');
    await offered('0-0-1');
    const twice = acceptSchema.safeParse({
      session: 1,
      offers: ['0-0-0'],
      operations: [...launch('a'), ...launch('a')],
    });
    expect(twice.error?.issues).toMatchObject([
      { path: ['operations', 1, 'tasks', 0, 'task'], message: '"a" is used twice' },
    ]);
    await accept({ operations: launch('a') });
    await bothCaughtUp();
    await expect(accept({ offers: ['0-0-1'], operations: launch('b', 'a') })).rejects.toMatchObject({
      code: 'already-exists',
      faults: [{ path: '/operations/0/tasks/1/task', message: expect.stringContaining('"a" is taken') }],
    });
    await bothCaughtUp();
    expect(Object.keys(ledgerOf().offers)).toEqual(['0-0-1']);
  });

  it('takes no volume that is named by an index, since no task of a framework has one', () => {
    const mounts = [{ type: 'persistent', source: `data-${INDEX_PLACEHOLDER}`, target: '/data' }];
    const operations = [{ type: 'launch', tasks: [{ ...described('a'), mounts }] }];
    const { error } = acceptSchema.safeParse({ session: 1, offers: ['0-0-0'], operations });
    expect(error?.issues).toMatchObject([
      { path: ['operations', 0, 'tasks', 0, 'mounts', 0, 'source'], message: expect.stringContaining('is for jobs') },
    ]);
  });

  it('gives a name to one of two tasks that are launched under it at once, on two nodes', async () => {
    await offered('0-0-0');
    await offered('0-0-1', { node: 'edge-2' });
    const answers = await Promise.allSettled([
      accept({ offers: ['0-0-0'], operations: launch('web') }, { on: a }),
      accept({ offers: ['0-0-1'], operations: launch('web') }, { on: b }),
    ]);
    const refused = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason] : []));
    expect(refused).toMatchObject([{ code: 'already-exists' }]);
    await bothCaughtUp();
    const held = ['edge-1', 'edge-2'].flatMap((node) => Object.keys(ledgerOf(node).entries));
    expect(held).toEqual([`painter-web-0-${framework}-v1a0`]);
    expect(['edge-1', 'edge-2'].flatMap((node) => Object.keys(ledgerOf(node).offers))).toHaveLength(1);
  });

  it('launches a hundred tasks with long names in one call', async () => {
    await offered('0-0-0', { cpus: 4 });
    const names = Array.from({ length: 100 }, (_, n) => `${'ü'.repeat(250)} ${n}`);
    const tasks = names.map((task) => ({ task, image: 'x', resources: { cpus: 0.001, memMiB: 4 } }));
    const call = callOf(ALICE, { key: 'k', requestDigest: 'd' });
    const { body } = await accept({ operations: [{ type: 'launch', tasks }] }, { call });
    expect(body.tasks.map(({ state }) => state)).toEqual(names.map(() => 'staging'));
    await bothCaughtUp();
    expect(Object.keys(ledgerOf().entries)).toHaveLength(100);
  });

  it('takes what is dangerous only from those who may, and where the node allows it', async () => {
    await offered('0-0-0');
    const operations = [{ type: 'launch' as const, tasks: [{ ...described('web'), network: 'host' as const }] }];
    await expect(accept({ operations })).rejects.toMatchObject({ code: 'forbidden' });
    const bold = granted(ALICE, { actions: ['framework:run', 'job:host-network'] });
    const { body } = await accept({ operations }, { call: callOf(bold) });
    expect(body.tasks).toMatchObject([
      { state: 'error', message: expect.stringContaining("doesn't allow: the host's network") },
    ]);
  });

  describe('of what is reserved', () => {
    const change = (...operations: NonNullable<AcceptInput['operations']>) => accept({ operations });
    const unreserve = { type: 'unreserve', reservation: 'r1' } as const;
    const destroy = { type: 'destroy', volume: 'data' } as const;

    /** The offer holds all that is left of the reservation, on whose disk a volume is. */
    async function reservedBy(by: string) {
      const reservation = aReservation({ role: 'eng', by, scalars: { ...NO_SCALARS, cpus: 1, diskMiB: 500 } });
      await hand.ledger('edge-1', (ledger) => ({ ...ledger, reservations: { r1: reservation } }));
      const { resources } = anOffer({ resources: { cpus: 1, diskMiB: 400 } });
      const reserved = { r1: { ...NO_SCALARS, cpus: 1, diskMiB: 400 } };
      const until = { madeAtMs: Date.now(), expiresAtMs: Date.now() + 60_000 };
      await hand.offer(framework, { id: '0-0-0', role: 'eng', resources, reserved, ...until });
      await hand.ledger('edge-1', (ledger) => ({ ...ledger, volumes: { data: aVolume({ by }) } }));
      await bothCaughtUp();
    }

    it('keeps some of its offer, makes a volume there, and undoes what its principal has made', async () => {
      await reservedBy('alice');
      await change(
        { type: 'create', volume: { id: 'more', reservation: 'r1', sizeMiB: 10, labels: { app: 'db' } } },
        { type: 'unreserve', reservation: 'r1', scalars: { cpus: 1 } },
        { type: 'reserve', reservation: { id: 'own', scalars: { cpus: 1 }, labels: {} } },
        destroy,
      );
      await bothCaughtUp();
      expect(ledgerOf().volumes).toMatchObject({
        data: { removing: true },
        more: { removing: false, labels: { app: 'db' } },
      });
      expect(ledgerOf().reservations).toMatchObject({
        r1: { scalars: { cpus: 0, diskMiB: 500 } },
        own: { scalars: { cpus: 1 }, by: 'alice' },
      });
    });

    it.each([
      ['reservation', unreserve, 'reservation:write', '/operations/0/reservation'],
      ['volume', destroy, 'volume:write', '/operations/0/volume'],
    ] as const)("gives up somebody else's %s only with the right to", async (kind, operation, action, path) => {
      await reservedBy('operator');
      const wanted = operation === unreserve ? { ...unreserve, scalars: { cpus: 1 } } : operation;
      const before = ledgerOf();
      await expect(change(wanted)).rejects.toMatchObject({
        code: 'forbidden',
        message: expect.stringMatching(new RegExp(`^${kind} .* was made by "operator".*doesn't allow ${action}`)),
        faults: [{ path }],
      });
      await bothCaughtUp();
      expect(ledgerOf()).toBe(before);
      const trusted = granted(ALICE, { actions: ['framework:run', action] });
      await accept({ operations: [wanted] }, { call: callOf(trusted) });
    });
  });

  it('launches nothing on a node that takes no new tasks, before its offers are withdrawn', async () => {
    await offered('0-0-0');
    await drainNode(a.ctx, callOf(), 'edge-1', { deadlineSeconds: null });
    await bothCaughtUp();
    await expect(accept({ operations: launch('web') })).rejects.toMatchObject({
      code: 'offer-gone',
      message: expect.stringContaining('takes no new tasks'),
    });
    expect(Object.keys(ledgerOf().offers)).toEqual(['0-0-0']);
  });

  it('launches nothing on a node that has not been heard of', async () => {
    await offered('0-0-0');
    await store.transact({ compares: [], writes: [{ type: 'delete', key: keys.alive('edge-1') }] });
    await bothCaughtUp();
    await expect(accept({ operations: launch('web') })).rejects.toMatchObject({
      code: 'offer-gone',
      message: expect.stringContaining('has not been heard of'),
    });
  });

  it('refuses tasks that are too much for one transaction, and ones that a healthy node may stop', async () => {
    await offered('0-0-0');
    const args = ['x'.repeat(60_000)];
    const long = Array.from({ length: 8 }, (_, index) => ({ ...described(`t${index}`, 0.1), args }));
    await expect(accept({ operations: [{ type: 'launch', tasks: long }] })).rejects.toMatchObject({
      code: 'payload-too-large',
      faults: [{ path: '/operations' }],
    });
    const eager = { ...described('eager'), stopAfterDisconnectSeconds: 10 };
    const short = { ...a, ctx: { ...a.ctx, config: { ...a.ctx.config, leaseTtlMs: 20_000 } } };
    await expect(accept({ operations: [{ type: 'launch', tasks: [eager] }] }, { on: short })).rejects.toMatchObject({
      faults: [{ path: '/operations/0/tasks/0/stopAfterDisconnectSeconds' }],
    });
    expect(Object.keys(ledgerOf().offers)).toEqual(['0-0-0']);
  });

  it.each([
    ['that never was', '7-7-7', 'not-found', /has not been made an offer "7-7-7"/],
    ["that is somebody else's", '0-0-1', 'not-found', /has not been made an offer "0-0-1"/],
    ['that was declined', '0-0-2', 'offer-gone', /it was declined at/],
    ['that is used up or withdrawn', '0-0-9', 'offer-gone', /"0-0-9" .* it has been used up or withdrawn/],
  ])('of an offer %s changes nothing, and says so', async (_what, gone, code, message) => {
    await offered('0-0-0');
    await offered('0-0-1', { node: 'edge-2', framework: await joined() });
    await offered('0-0-2', { cpus: 1 });
    await declineOffers(a.ctx, callOf(ALICE), framework, { session: 1, offers: ['0-0-2'], refuseSeconds: 5 });
    await bothCaughtUp();
    const before = ledgerOf();
    await expect(accept({ offers: ['0-0-0', gone], operations: launch('web') })).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
    await bothCaughtUp();
    expect(ledgerOf()).toBe(before);
  });

  it('counts none of a role that the framework has left, before it is withdrawn', async () => {
    await subscribe(a.ctx, callOf(ALICE), subscriptionOf({ id: framework, roles: ['eng/ml'] }));
    await bothCaughtUp();
    await offered('0-0-0');
    await expect(accept({ session: 2, operations: launch('web') })).rejects.toMatchObject({
      code: 'offer-gone',
      message: expect.stringContaining('the framework has left its role "eng", so it is being withdrawn'),
    });
    await bothCaughtUp();
    expect(ledgerOf().entries).toEqual({});
  });

  it('uses no name again that a task has, whatever the framework was called when it launched it', async () => {
    await offered('0-0-0');
    await accept({ operations: launch('web') });
    const { id: _id, ...wishes } = subscriptionOf({ name: 'sculptor', roles: ['eng'] });
    await updateFramework(a.ctx, callOf(ALICE), { id: framework, session: 1 }, wishes);
    await offered('0-0-1');
    await expect(accept({ offers: ['0-0-1'], operations: launch('db', 'web') })).rejects.toMatchObject({
      code: 'already-exists',
      faults: [{ path: '/operations/0/tasks/1/task' }],
    });
  });

  describe('of a node with GPUs', () => {
    const set = (gpuNodes: Settings['gpuNodes']) =>
      setSettings(b.ctx, callOf(), { ...DEFAULT_SETTINGS, gpuNodes }, { ifVersion: null });
    const refused = {
      code: 'offer-gone',
      message: expect.stringContaining(
        'its node "edge-1" has GPUs and is kept for frameworks with the capability "gpus"',
      ),
    };

    beforeEach(async () => {
      await hand.ledger('edge-1', (ledger) => ({ ...ledger, total: { ...ledger.total, gpus: 2 } }));
      await set('unrestricted');
      await offered('0-0-0');
    });

    it('counts as long as the node is for everybody', async () => {
      expect(await accept({ operations: launch('web') })).toMatchObject({ body: { tasks: [{ state: 'staging' }] } });
    });

    it('counts no more once such nodes are kept for those that ask for GPUs', async () => {
      await set('restricted');
      await bothCaughtUp();
      await expect(accept({ operations: launch('web') })).rejects.toMatchObject(refused);
      await subscribe(a.ctx, callOf(ALICE), subscriptionOf({ id: framework, roles: ['eng'], capabilities: ['gpus'] }));
      await bothCaughtUp();
      await offered('0-0-0');
      expect(await accept({ session: 2, operations: launch('web') })).toMatchObject({ status: 200 });
    });

    it('counts no more when that is set just before it is committed', async () => {
      let isSet = false;
      const racing: Store = changed(store, {
        async transact(transaction) {
          if (!isSet && transaction.writes.some(({ key }) => key === keys.ledger('edge-1'))) {
            isSet = true;
            await set('restricted');
          }
          return store.transact(transaction);
        },
      });
      const on = { ...a, ctx: { ...a.ctx, store: racing } };
      await expect(accept({ operations: launch('web') }, { on })).rejects.toMatchObject(refused);
      await bothCaughtUp();
      expect(ledgerOf().entries).toEqual({});
    });
  });

  it('is for the framework itself', async () => {
    await offered('0-0-0');
    const bob = { ...ALICE, subject: 'bob' };
    await expect(accept({ operations: launch('web') }, { call: callOf(bob) })).rejects.toMatchObject({
      code: 'not-found',
    });
  });
});

describe('declining offers', () => {
  const decline = (offers: string[], { seconds = 5, call = callOf(ALICE) } = {}) =>
    declineOffers(a.ctx, call, framework, { session: 1, offers, refuseSeconds: seconds });

  it('gives them back on all of their nodes, and remembers what was refused', async () => {
    await offered('0-0-0');
    await offered('0-0-1', { node: 'edge-2' });
    const { body } = await decline(['0-0-0', '0-0-1']);
    expect(body).toMatchObject({ declined: ['0-0-0', '0-0-1'], gone: [] });
    await bothCaughtUp();
    for (const node of ['edge-1', 'edge-2']) {
      expect(ledgerOf(node).offers).toEqual({});
      expect(ledgerOf(node).filters).toMatchObject([
        { framework, role: 'eng', because: 'declined', refused: { cpus: 2 } },
      ]);
    }
  });

  it('gets through where others keep changing one of the nodes for as long as several are declined together', async () => {
    await offered('0-0-0');
    await offered('0-0-1', { node: 'edge-2' });
    const isLedger = (key: string) => ['edge-1', 'edge-2'].some((node) => key === keys.ledger(node));
    const crowded: Store = changed(store, {
      transact: async (transaction) => {
        const isTogether = transaction.writes.filter(({ key }) => isLedger(key)).length > 1;
        if (!isTogether) return store.transact(transaction);
        const observed = transaction.compares.map(() => null);
        return { committed: false, revision: a.ctx.mirror.revision, observed };
      },
    });
    const wish = { session: 1, offers: ['0-0-0', '0-0-1'], refuseSeconds: 5 };
    const { body } = await declineOffers({ ...a.ctx, store: crowded }, callOf(ALICE), framework, wish);
    expect(body).toMatchObject({ declined: ['0-0-0', '0-0-1'], gone: [] });
    await bothCaughtUp();
    for (const node of ['edge-1', 'edge-2']) expect(ledgerOf(node).offers).toEqual({});
  });

  it('lasts a second at least', async () => {
    await offered('0-0-0');
    await decline(['0-0-0'], { seconds: 0 });
    await bothCaughtUp();
    expect(ledgerOf().filters.map(({ sinceMs, untilMs }) => untilMs - sinceMs)).toEqual([1000]);
  });

  it('passes over what has been answered already', async () => {
    await offered('0-0-0');
    await accept({ operations: launch('web') });
    await bothCaughtUp();
    const before = ledgerOf();
    const { status, body } = await decline(['0-0-0']);
    expect([status, body]).toMatchObject([
      200,
      { declined: [], gone: [{ offer: '0-0-0', message: expect.stringMatching(/accepted/) }] },
    ]);
    await bothCaughtUp();
    expect(ledgerOf()).toBe(before);
  });

  it('counts none of an earlier session, even where it is overtaken only as it commits', async () => {
    await offered('0-0-0');
    const wish = { session: 1, offers: ['0-0-0'], refuseSeconds: 5 };
    await expect(declineOffers(late().ctx, callOf(ALICE), framework, wish)).rejects.toMatchObject({
      code: 'session-moved',
    });
    await bothCaughtUp();
    expect(Object.keys(ledgerOf().offers)).toEqual(['0-0-0']);
  });

  it("never reaches another framework's", async () => {
    const other = await joined();
    await offered('0-0-0', { framework: other });
    await expect(decline(['0-0-0'])).rejects.toMatchObject({ code: 'not-found' });
    expect(Object.keys(ledgerOf().offers)).toEqual(['0-0-0']);
  });

  it('takes as many nodes as there are, in several transactions', async () => {
    const nodes = Array.from({ length: 130 }, (_, n) => `rack-${n}`);
    for (const [n, node] of nodes.entries()) {
      await registerNode(a.ctx, JOINER, { node: nodeOf(node), seen: null, tasks: [] });
      await hand.offer(framework, { id: `0-1-${n}`, node, role: 'eng' });
    }
    const sizes: number[] = [];
    const counted: Store = changed(store, {
      transact: (transaction) => {
        sizes.push(transaction.writes.filter(({ key }) => key.startsWith(keys.ledger('rack-'))).length);
        return store.transact(transaction);
      },
    });
    const call = callOf(ALICE, { key: 'k', requestDigest: 'd' });
    const offers = nodes.map((_, n) => `0-1-${n}`);
    const wish = { session: 1, offers: [...offers], refuseSeconds: 5 };
    const ctx = { ...a.ctx, store: counted };
    const { body } = await declineOffers(ctx, call, framework, wish);
    expect(body.declined).toHaveLength(130);
    expect(sizes).toEqual([64, 64, 2, 0]);
    await bothCaughtUp();
    expect(nodes.every((node) => Object.keys(ledgerOf(node).offers).length === 0)).toBe(true);
    expect(await declineOffers(ctx, call, framework, wish)).toMatchObject({ replayed: true, body });
  });
});

describe('wanting offers', () => {
  const record = () => a.ctx.mirror.snapshot.frameworks.get(framework);

  it('can be stopped, and taken up again, which voids what was refused', async () => {
    expect((await suppressOffers(a.ctx, callOf(ALICE), framework, { session: 1, roles: null })).body).toEqual({
      roles: ['eng'],
      suppressed: ['eng'],
    });
    await bothCaughtUp();
    expect(record()).toMatchObject({ suppressed: ['eng'], filterGenerations: {} });
    const revived = await reviveOffers(a.ctx, callOf(ALICE), framework, { session: 1, roles: ['eng'] });
    expect(revived.body.suppressed).toEqual([]);
    await bothCaughtUp();
    expect(record()).toMatchObject({ suppressed: [], filterGenerations: { eng: 1 } });
  });

  it('names roles of the framework', async () => {
    await expect(
      reviveOffers(a.ctx, callOf(ALICE), framework, { session: 1, roles: ['eng', 'ops'] }),
    ).rejects.toMatchObject({
      code: 'invalid-request',
      faults: [{ path: '/roles/1', message: '"ops" is none of its roles: eng' }],
    });
  });

  it('names each once', () => {
    const roles = ['team/a', 'team/b', 'team/a'];
    expect(offerWishSchema.safeParse({ session: 1, roles }).error?.issues).toMatchObject([
      { path: ['roles', 2], message: 'is named twice' },
    ]);
  });

  it('is of the present session', async () => {
    await expect(suppressOffers(a.ctx, callOf(ALICE), framework, { session: 9, roles: null })).rejects.toMatchObject({
      code: expect.stringMatching(/session-moved/),
    });
  });
});

describe('the list of offers', () => {
  it('says who holds what, and for how long', async () => {
    await offered('0-0-0');
    await offered('0-0-1', { node: 'edge-2', framework: await joined(ADMIN, ['ops']), role: 'ops' });
    const all = listOffers(a.ctx, ADMIN, ALL, PAGE).items;
    expect(all).toMatchObject([
      { id: '0-0-0', framework, frameworkName: 'painter', node: 'edge-1', role: 'eng', resources: { cpus: 2 } },
      { id: '0-0-1', node: 'edge-2', role: 'ops' },
    ]);
    expect(all[0]?.heldSeconds).toBeGreaterThanOrEqual(5);
    const ids = (change: Partial<HeldOfferFilter>) =>
      listOffers(a.ctx, ADMIN, { ...ALL, ...change }, PAGE).items.map(({ id }) => id);
    expect(ids({ node: 'edge-2' })).toEqual(['0-0-1']);
    expect(ids({ role: 'eng' })).toEqual(['0-0-0']);
    expect(ids({ framework: framework })).toEqual(['0-0-0']);
  });

  it('shows each only what they may see', async () => {
    await offered('0-0-0');
    const seenBy = (principal: Principal) => listOffers(a.ctx, principal, ALL, PAGE).items.length;
    expect(seenBy(ALICE)).toBe(1);
    expect(seenBy({ ...ALICE, subject: 'bob' })).toBe(0);
    expect(seenBy(granted({ ...ALICE, subject: 'bob' }, { actions: ['framework:read'] }))).toBe(1);
    expect(seenBy({ ...ALICE, subject: 'bob', grants: [{ roles: ['ops'], actions: ['framework:read'] }] })).toBe(0);
  });
});

describe('describing what an executor runs', () => {
  const task = { task: 'a', executor: 'runner', command: ['work'], resources: { cpus: 0.1, memMiB: 32 } };
  const answer = (change: object) =>
    acceptSchema.safeParse({
      session: 1,
      offers: ['0-0-0'],
      operations: [{ type: 'launch', tasks: [{ ...task, ...change }] }],
    });

  it('takes no image', () => {
    expect(answer({}).error).toBeUndefined();
  });

  it.each<[object, string, string]>([
    [{ image: 'x' }, 'image', 'leave it out with an `executor`'],
    [{ mounts: [{ type: 'tmpfs', target: '/x' }] }, 'mounts', 'leave it out'],
    [{ privileged: true }, 'privileged', 'leave it out'],
    [{ runtime: 'process' }, 'runtime', 'leave it out'],
    [{ isExecutor: true }, 'isExecutor', 'no `executor` runs'],
    [{ user: 'root' }, 'user', 'leave it out'],
    [{ restart: { afterReboot: true } }, 'restart', 'after a reboot'],
    [{ stopAfterDisconnectSeconds: 600 }, 'stopAfterDisconnectSeconds', 'its `executor`'],
  ])('says nothing of a container, nor what only its executor can be told: %j', (change, field, words) => {
    const issues = answer(change).error?.issues ?? [];
    expect(issues).toMatchObject([
      { path: ['operations', 0, 'tasks', 0, field], message: expect.stringContaining(words) },
    ]);
  });

  it('takes an action of its own', async () => {
    await offered('0-0-0');
    const operations: AcceptInput['operations'] = [
      { type: 'launch', tasks: [{ ...described('runner'), isExecutor: true }, task] },
    ];
    await expect(accept({ operations })).rejects.toMatchObject({ code: 'forbidden' });
    const bold = granted(ALICE, { actions: ['framework:run', 'job:executor'] });
    const { body } = await accept({ operations }, { call: callOf(bold) });
    expect(body.tasks).toMatchObject([
      { state: 'error', message: expect.stringContaining('executors of frameworks') },
      { state: 'error', message: expect.stringContaining('executors of frameworks') },
    ]);
  });
});
