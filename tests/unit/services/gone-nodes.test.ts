import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { commitStatuses, heartbeat, registerNode } from '../../../control-plane/services/agents.ts';
import { readEvents } from '../../../control-plane/services/events.ts';
import { submitJob } from '../../../control-plane/services/jobs.ts';
import { declareGone, getNode, listNodes } from '../../../control-plane/services/nodes.ts';
import type { Stamp } from '../../../shared/protocol/agent.ts';
import {
  ADMIN,
  callOf,
  caughtUp,
  granted,
  JOINER,
  nodeOf,
  nodePrincipal,
  specOf,
  stampOf,
  startReplica,
  type TestReplica,
} from '../../support/replica.ts';
import { TestClock } from '../agent/world.ts';

const NODE = 'edge-1';
const LEASE_OVER_MS = 11_000;

let clock: TestClock;
let replica: TestReplica;

beforeEach(async () => {
  clock = new TestClock();
  replica = await startReplica({ clock });
});
afterEach(() => replica.stop());

interface Memory {
  readonly stamp?: Stamp;
  readonly seen?: { readonly incarnation: number; readonly generation: number } | null;
}

function register({ stamp, seen = null }: Memory, principal = JOINER) {
  return registerNode(replica.ctx, principal, { node: nodeOf(NODE), seen, tasks: [], stamp });
}

const FIRST = stampOf('a', { next: 'stamp-1' });
/** What the agent remembers once it has joined with {@link FIRST} and has followed its ledger. */
const REMEMBERS: Memory = {
  stamp: stampOf('a', { last: 'stamp-1', epoch: 1, next: 'stamp-2' }),
  seen: { incarnation: 1, generation: 2 },
};

/** A node with a running task, whose lease has ended. */
async function silentNode(): Promise<{ task: string; epoch: number }> {
  const { epoch } = await register({ stamp: FIRST });
  await submitJob(replica.ctx, callOf(), specOf({ replaceAfterSeconds: 'never' }));
  await caughtUp(replica.ctx);
  await replica.settle();
  const [task] = replica.ctx.mirror.snapshot.tasks.keys();
  await clock.advance(LEASE_OVER_MS);
  await caughtUp(replica.ctx);
  return { task: task ?? '', epoch };
}

async function gone(): Promise<void> {
  await declareGone(replica.ctx, callOf(), NODE);
  await caughtUp(replica.ctx);
}

describe('a node that is declared gone', () => {
  it('is no longer a node, its session is over, and what it held is free', async () => {
    const { task, epoch } = await silentNode();
    const { status, body } = await declareGone(replica.ctx, callOf(), NODE);
    expect([status, body]).toMatchObject([200, { id: NODE, by: 'admin', tasks: 1 }]);
    await caughtUp(replica.ctx);
    expect(() => getNode(replica.ctx, ADMIN, NODE)).toThrow('there is no node');
    expect(listNodes(replica.ctx, ADMIN, { states: null }, { limit: 10, after: null }).items).toEqual([]);
    await replica.settle();
    expect(replica.ctx.mirror.snapshot.tasks.get(task)?.state).toBe('lost');
    expect(replica.ctx.mirror.snapshot.ledgers.size).toBe(0);
    const session = { node: NODE, epoch };
    await expect(heartbeat(replica.ctx, session)).rejects.toMatchObject({ code: 'stale-epoch' });
    const report = { task, run: 0, state: 'running', atMs: 1, reason: 'started', message: '', exitCode: null } as const;
    const late = commitStatuses(replica.ctx, session, { statuses: [report], released: [task] });
    await expect(late).rejects.toMatchObject({ code: 'stale-epoch' });
  });

  it('is told in an event, which says who declared it', async () => {
    await silentNode();
    const after = replica.ctx.mirror.revision;
    await gone();
    const filter = { types: ['node.gone'], role: null, job: null, task: null, node: null };
    const { items } = readEvents(replica.ctx, ADMIN, { after, filter, limit: 10 });
    expect(items).toMatchObject([{ node: NODE, message: expect.stringContaining('declared gone by admin') }]);
  });

  it('may be declared so again, which changes nothing', async () => {
    await silentNode();
    await gone();
    await replica.settle();
    await caughtUp(replica.ctx);
    const before = replica.ctx.mirror.revision;
    const { body } = await declareGone(replica.ctx, callOf(), NODE);
    expect(body).toMatchObject({ id: NODE, by: 'admin', tasks: 0 });
    expect(replica.ctx.mirror.revision).toBe(before);
  });

  it('must not be connected, and must be known', async () => {
    await register({ stamp: FIRST });
    const connected = declareGone(replica.ctx, callOf(), NODE);
    await expect(connected).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('stop its agent'),
    });
    await expect(declareGone(replica.ctx, callOf(), 'edge-9')).rejects.toMatchObject({ code: 'not-found' });
    const reader = granted(ADMIN, { actions: ['node:write'] });
    await expect(declareGone(replica.ctx, callOf(reader), NODE)).rejects.toMatchObject({ code: 'forbidden' });
  });

  it('while its agent comes back at the same moment is either connected or gone', async () => {
    await silentNode();
    const [declared, registered] = await Promise.allSettled([
      declareGone(replica.ctx, callOf(), NODE),
      register(REMEMBERS, nodePrincipal(NODE)),
    ]);
    await caughtUp(replica.ctx);
    const { snapshot } = replica.ctx.mirror;
    const isGone = snapshot.epochs.get(NODE)?.gone !== undefined;
    expect(declared.status).toBe(isGone ? 'fulfilled' : 'rejected');
    expect(registered.status).toBe(isGone ? 'rejected' : 'fulfilled');
    expect(snapshot.isAlive(NODE)).toBe(!isGone);
  });
});

describe('the agent of a node that was declared gone', () => {
  it.each([
    ['with its own token', nodePrincipal(NODE)],
    ['with a join token', JOINER],
  ])('is told so %s, as long as it remembers', async (_how, principal) => {
    await silentNode();
    await gone();
    await replica.settle();
    await expect(register(REMEMBERS, principal)).rejects.toMatchObject({
      code: 'node-gone',
      message: expect.stringContaining('declared gone by admin'),
    });
    const old: Memory = { seen: { incarnation: 1, generation: 2 } };
    await expect(register(old, principal)).rejects.toMatchObject({ code: 'node-gone' });
  });

  it('is told so after another machine has joined under its name', async () => {
    await silentNode();
    await gone();
    await replica.settle();
    await register({ stamp: stampOf('n', { next: 'stamp-n' }) });
    await clock.advance(LEASE_OVER_MS);
    await caughtUp(replica.ctx);
    await expect(register(REMEMBERS, nodePrincipal(NODE))).rejects.toMatchObject({ code: 'node-gone' });
    const other = { stamp: stampOf('x', { last: 'stamp-x', next: 'stamp-y' }) };
    await expect(register(other, nodePrincipal(NODE))).rejects.toMatchObject({ code: 'identity-mismatch' });
  });
});

describe('a new machine under the name of one that was declared gone', () => {
  it('needs a join token, waits until all is given back, and starts with nothing', async () => {
    const { epoch } = await silentNode();
    await gone();
    const fresh = { stamp: stampOf('n', { next: 'stamp-n' }) };
    await expect(register(fresh, nodePrincipal(NODE))).rejects.toMatchObject({ code: 'node-gone' });
    await expect(register(fresh)).rejects.toMatchObject({ code: 'unavailable' });
    await replica.settle();
    await caughtUp(replica.ctx);
    const joined = await register(fresh);
    expect(joined.epoch).toBeGreaterThan(epoch + 1);
    expect(getNode(replica.ctx, ADMIN, NODE)).toMatchObject({ state: 'ready', tasks: 0 });
    expect(replica.ctx.mirror.snapshot.epochs.get(NODE)).not.toHaveProperty('gone');
  });
});
