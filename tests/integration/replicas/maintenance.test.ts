/** Maintenance windows over one real etcd: two replicas, of which one drives, and a window that begins and ends by the clock. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EtcdStore } from '../../../control-plane/adapters/etcd/etcd-store.ts';
import { Driver } from '../../../control-plane/controllers/driver.ts';
import { registerNode } from '../../../control-plane/services/agents.ts';
import { eventsOf } from '../../../control-plane/services/event-views.ts';
import { subscribe } from '../../../control-plane/services/frameworks.ts';
import { submitJob } from '../../../control-plane/services/jobs.ts';
import { allMaintenance, replaceMaintenance, setMaintenance } from '../../../control-plane/services/maintenance.ts';
import { answerMaintenance } from '../../../control-plane/services/maintenance-answers.ts';
import { getTask } from '../../../control-plane/services/tasks.ts';
import type { TaskView } from '../../../shared/protocol/views.ts';
import { present } from '../../../shared/util/assert.ts';
import { startEtcd, type TestEtcd } from '../../support/etcd.ts';
import { FrameworkReader, type Side, startSide, subscriptionOf } from '../../support/frameworks.ts';
import { eventually } from '../../support/processes.ts';
import { ADMIN, callOf, caughtUp, JOINER, nodeOf, specOf } from '../../support/replica.ts';

let etcd: TestEtcd;
let a: Side;
let b: Side;
const ends: (() => unknown)[] = [];

beforeAll(async () => {
  etcd = await startEtcd();
});
afterAll(() => etcd?.stop());

beforeEach(async () => {
  a = await side('a');
  b = await side('b');
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function side(id: string): Promise<Side> {
  const store = new EtcdStore({ hosts: [etcd.url] });
  const started = await startSide(store, id);
  ends.push(async () => {
    started.stop();
    await store.close();
  });
  return started;
}

function drive({ replica }: Side): void {
  const driver = new Driver(replica.ctx);
  const abort = new AbortController();
  const running = driver.run(abort.signal);
  ends.push(() => {
    abort.abort();
    return running;
  });
}

async function settled(): Promise<void> {
  for (const { replica } of [a, b]) await caughtUp(replica.ctx);
}

/** The next notice, or that one is over. */
async function noticeOf(reader: FrameworkReader): Promise<string> {
  for (;;) {
    const event = await reader.next();
    if (event === null) throw new Error('the stream has ended');
    if (event.type === 'maintenance') return event.notice.id;
    if (event.type === 'maintenance-over') return `over ${event.notice}`;
  }
}

describe('a window', () => {
  it('keeps new tasks away from its start to its end, asks a framework again, and goes', async () => {
    const { ctx } = a.replica;
    const told: string[] = [];
    ctx.mirror.subscribe((changes) => {
      told.push(...changes.flatMap(eventsOf).flatMap(({ type, node }) => (node === 'edge-1' ? [type] : [])));
    });
    await registerNode(ctx, JOINER, { node: nodeOf('edge-1'), seen: null, tasks: [] });
    const { id } = (await subscribe(ctx, callOf(), subscriptionOf({ suppressed: ['default'] }))).body;
    await settled();
    await a.hand.launch(id, 'one', { state: 'running' });
    for (const one of [a, b]) drive(one);
    const reader = await FrameworkReader.open(a, id, 1);
    const time = { startsAtMs: Date.now() + 500, durationMs: 3000 };
    const { body: window } = await setMaintenance(b.replica.ctx, callOf(), 'edge-1', time);
    expect(await noticeOf(reader)).toBe(window.id);
    const said = { id, session: 1, notice: window.id, answer: 'declines', refuseSeconds: 1 } as const;
    await answerMaintenance(b.replica.ctx, callOf(), said);

    await eventually('the window to begin', async () => told.includes('node.maintenance-begun'));
    await submitJob(b.replica.ctx, callOf(), specOf());
    const task = (): TaskView | null => {
      const found = ctx.mirror.snapshot.tasks.values().find(({ framework }) => framework === null);
      return found === undefined ? null : getTask(ctx, ADMIN, found.id);
    };
    await eventually('the task to be made', async () => task() !== null);
    expect(present(task(), 'the task')).toMatchObject({
      state: 'pending',
      explanation: { refusals: [{ code: 'maintenance', nodes: 1 }] },
    });

    expect(await noticeOf(reader)).toBe(window.id);
    await answerMaintenance(b.replica.ctx, callOf(), { ...said, answer: 'accepts', refuseSeconds: 600 });
    await caughtUp(ctx);
    expect(allMaintenance(ctx, ADMIN)).toMatchObject([
      { state: 'running', frameworks: [{ framework: id, answer: 'accepts' }] },
    ]);

    expect(await noticeOf(reader)).toBe(`over ${window.id}`);
    expect(Date.now()).toBeGreaterThanOrEqual(time.startsAtMs + time.durationMs);
    await eventually('the task to be placed', async () => task()?.state === 'staging');
    expect(allMaintenance(ctx, ADMIN)).toEqual([]);
    const turns = told.filter((type) => type.startsWith('node.maintenance'));
    expect(turns).toEqual(['node.maintenance', 'node.maintenance-begun', 'node.maintenance-over']);
    await reader.close();
  });
});

describe('a schedule of many nodes', () => {
  it('takes as few transactions as etcd takes, and stands at every replica', async () => {
    const { ctx } = a.replica;
    const nodes = Array.from({ length: 100 }, (_, at) => `rack-${at}`);
    for (const node of nodes) await registerNode(ctx, JOINER, { node: nodeOf(node), seen: null, tasks: [] });
    await settled();
    const startsAtMs = Date.now() + 3_600_000;
    const windows = nodes.map((node) => ({ node, startsAtMs, durationMs: null }));
    const { body } = await replaceMaintenance(ctx, callOf(), windows);
    expect(body).toEqual({ windows: 100, changed: 100, atOnce: false });
    await settled();
    expect(allMaintenance(b.replica.ctx, ADMIN)).toHaveLength(100);
    expect((await replaceMaintenance(b.replica.ctx, callOf(), windows.slice(0, 60))).body).toEqual({
      ...{ windows: 60, changed: 40, atOnce: true },
    });
    await settled();
    expect(allMaintenance(ctx, ADMIN)).toHaveLength(60);
  });
});
