import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type EventBatch, watchEvents } from '../../../control-plane/services/events.ts';
import { submitJob } from '../../../control-plane/services/jobs.ts';
import { ADMIN, callOf, caughtUp, specOf, startReplica, type TestReplica } from '../../support/replica.ts';

const ALL = { types: null, role: null, job: null, task: null, node: null };

let replica: TestReplica;
let ending: AbortController;

beforeEach(async () => {
  replica = await startReplica();
  ending = new AbortController();
});
afterEach(() => {
  ending.abort();
  replica.stop();
});

function watch(after: number | null) {
  const seen = after === null ? null : { incarnation: 1, revision: after };
  return watchEvents(replica.ctx, ADMIN, { after: seen, filter: ALL, signal: ending.signal });
}

async function submit(name: string): Promise<void> {
  await submitJob(replica.ctx, callOf(), specOf({ name }));
  await caughtUp(replica.ctx);
}

describe('a stream of events', () => {
  it('tells a reader that was cut off nothing beyond what it has missed', async () => {
    const events = watch(null);
    await events.next();
    for (let at = 0; at < 1100; at++) await submit(`job-${at}`);
    const seen: string[] = [];
    await expect(async () => {
      for await (const batch of events) seen.push(...batch.events.flatMap((event) => event.job ?? []));
    }).rejects.toMatchObject({ code: 'unavailable' });
    expect(seen).toEqual(seen.map((_, at) => `job-${at}`));
    expect(seen.length).toBeGreaterThan(0);
  }, 60_000);

  it('repeats nothing to a reader that has seen more elsewhere than this replica', async () => {
    await submit('before');
    const ahead = replica.ctx.mirror.revision + 1;
    const events = watch(ahead);
    const next = events.next();
    await submit('seen-elsewhere');
    await submit('news');
    const batches: EventBatch[] = [(await next).value, (await events.next()).value];
    const names = batches.flatMap((batch) => batch.events.map((event) => event.job));
    expect(names).toEqual(['news']);
    expect(Math.min(...batches.map((batch) => batch.revision))).toBeGreaterThanOrEqual(ahead);
  });
});
