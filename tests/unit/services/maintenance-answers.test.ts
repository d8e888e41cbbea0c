import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import type { Principal } from '../../../control-plane/auth/principal.ts';
import { registerNode } from '../../../control-plane/services/agents.ts';
import { subscribe } from '../../../control-plane/services/frameworks.ts';
import { allMaintenance, clearMaintenance, setMaintenance } from '../../../control-plane/services/maintenance.ts';
import { answerMaintenance, type NoticeAnswer } from '../../../control-plane/services/maintenance-answers.ts';
import { acceptOffers } from '../../../control-plane/services/offers.ts';
import type { Store } from '../../../control-plane/store/contract.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import type { MaintenanceNotice } from '../../../shared/protocol/framework.ts';
import { acceptSchema } from '../../../shared/protocol/offers.ts';
import { ManualClock } from '../../store/manual-clock.ts';
import { FrameworkReader, overtaken, type Side, startSide, subscriptionOf } from '../../support/frameworks.ts';
import { ADMIN, callOf, caughtUp, JOINER, nodeOf } from '../../support/replica.ts';

const ALICE: Principal = { ...ADMIN, subject: 'alice', grants: [{ roles: ['default'], actions: ['framework:run'] }] };

let clock: ManualClock;
let store: Store;
let a: Side;
let b: Side;
let framework: string;

beforeEach(async () => {
  clock = new ManualClock();
  store = new MemoryStore({ clock: new SystemClock() });
  a = await startSide(store, 'a', clock);
  b = await startSide(store, 'b', clock);
  await registerNode(a.replica.ctx, JOINER, { node: nodeOf('edge-1'), seen: null, tasks: [] });
  framework = (await subscribe(a.replica.ctx, callOf(ALICE), subscriptionOf())).body.id;
  await settled();
});
afterEach(() => {
  a.stop();
  b.stop();
});

async function settled(): Promise<void> {
  for (const { replica } of [a, b]) await caughtUp(replica.ctx);
}

async function set(inSeconds: number, on = b): Promise<string> {
  const time = { startsAtMs: clock.now() + inSeconds * 1000, durationMs: 60_000 };
  const { body } = await setMaintenance(on.replica.ctx, callOf(), 'edge-1', time);
  await settled();
  return body.id;
}

async function answer(notice: string, change: Partial<NoticeAnswer> = {}, { on = b, principal = ALICE } = {}) {
  const said = { id: framework, session: 1, notice, answer: 'accepts', refuseSeconds: 20, ...change } as const;
  const answered = await answerMaintenance(on.replica.ctx, callOf(principal), said);
  await settled();
  return answered;
}

async function opened(on = a): Promise<FrameworkReader> {
  const reader = await FrameworkReader.open(on, framework, 1, ALICE);
  await reader.next();
  return reader;
}

/** The next notice, whatever is told beside. */
async function nextNotice(reader: FrameworkReader): Promise<MaintenanceNotice | string> {
  for (;;) {
    const event = await reader.next();
    if (event === null) throw new Error('the stream has ended');
    if (event.type === 'maintenance') return event.notice;
    if (event.type === 'maintenance-over') return `over ${event.notice}`;
  }
}

describe('a framework with a task on the node', () => {
  beforeEach(async () => {
    await a.hand.launch(framework, 'one');
    await settled();
  });

  it('is told at whichever replica, answers at whichever, and is told again once it said', async () => {
    const reader = await opened();
    const id = await set(60);
    expect(await nextNotice(reader)).toEqual({
      ...{ id, node: 'edge-1', host: 'edge-1.example', durationSeconds: 60 },
      startsAt: new Date(clock.now() + 60_000).toISOString(),
    });
    const askAgainAt = new Date(clock.now() + 20_000).toISOString();
    expect(await answer(id, { answer: 'declines' })).toEqual({ notice: id, answer: 'declines', askAgainAt });
    expect(allMaintenance(a.replica.ctx, ADMIN)).toMatchObject([
      { frameworks: [{ framework, frameworkName: 'painter', answer: 'declines', askAgainAt }] },
    ]);
    const again = nextNotice(reader);
    await clock.advance(20_000);
    expect(await again).toMatchObject({ id });
    await reader.close();
  });

  it('hears that what it was told is over, and of what is said instead', async () => {
    const reader = await opened();
    const first = await set(60);
    expect(await nextNotice(reader)).toMatchObject({ id: first });
    const second = await set(90);
    expect(await nextNotice(reader)).toBe(`over ${first}`);
    expect(await nextNotice(reader)).toMatchObject({ id: second });
    await clearMaintenance(b.replica.ctx, callOf(), 'edge-1');
    expect(await nextNotice(reader)).toBe(`over ${second}`);
    await reader.close();
  });

  it('is told on a new stream of what it has not answered', async () => {
    const id = await set(60);
    for (const side of [a, b]) {
      const reader = await opened(side);
      expect(await nextNotice(reader)).toMatchObject({ id });
    }
  });
});

describe('an answer', () => {
  it('takes the place of the one before', async () => {
    const id = await set(60);
    await answer(id, { answer: 'declines' });
    await answer(id);
    expect(allMaintenance(a.replica.ctx, ADMIN)).toMatchObject([{ frameworks: [{ framework, answer: 'accepts' }] }]);
  });

  it('counts for no window but the one that it names', async () => {
    const first = await set(60);
    await set(90);
    await expect(answer(first)).rejects.toMatchObject({ code: 'conflict' });
    await expect(answer('nothing')).rejects.toMatchObject({ code: 'conflict' });
    expect(allMaintenance(a.replica.ctx, ADMIN)).toMatchObject([{ frameworks: [] }]);
  });

  it('is given by who acts for the framework, in its present session', async () => {
    const id = await set(60);
    await expect(answer(id, { session: 2 })).rejects.toMatchObject({ code: 'session-moved' });
    const mallory = { ...ALICE, subject: 'mallory' };
    await expect(answer(id, {}, { principal: mallory })).rejects.toMatchObject({ code: 'not-found' });
    const ctx = overtaken(b.replica.ctx, framework, (key) => key === keys.maintenance('edge-1'));
    const said = { id: framework, session: 1, notice: id, answer: 'accepts', refuseSeconds: 20 } as const;
    await expect(answerMaintenance(ctx, callOf(ALICE), said)).rejects.toMatchObject({ code: 'session-moved' });
    expect(allMaintenance(a.replica.ctx, ADMIN)).toMatchObject([{ frameworks: [] }]);
  });
});

describe('an offer of a node with a window', () => {
  const times = () => ({ madeAtMs: clock.now(), expiresAtMs: clock.now() + 3_600_000 });

  it('tells of it', async () => {
    await set(60);
    await a.hand.offer(framework, times());
    await settled();
    const reader = await opened();
    expect(await reader.next()).toMatchObject({
      type: 'offers',
      offers: [{ maintenance: { startsAt: new Date(clock.now() + 60_000).toISOString(), durationSeconds: 60 } }],
    });
    await reader.close();
  });

  it('is good for nothing once the window has begun, before it is withdrawn', async () => {
    await set(60);
    await a.hand.offer(framework, times());
    await settled();
    await clock.advance(60_000);
    const request = acceptSchema.parse({ session: 1, offers: ['1-1-0'] });
    await expect(acceptOffers(a.replica.ctx, callOf(ALICE), framework, request)).rejects.toMatchObject({
      code: 'offer-gone',
      message: expect.stringContaining('is out of service for maintenance'),
    });
    await clock.advance(60_000);
    await acceptOffers(a.replica.ctx, callOf(ALICE), framework, request);
  });
});
