import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { RefusalLog, type RefusedCall, UNLIKE_MAX } from '../../../control-plane/services/audit-refusals.ts';
import { oldestFirst } from '../../../control-plane/store/audit-log.ts';
import { type Store, StoreUnavailableError } from '../../../control-plane/store/contract.ts';
import { decodeRecord } from '../../../control-plane/store/records.ts';
import type { AuditRecord } from '../../../shared/domain/audit.ts';
import { Refusal, type RefusalCode } from '../../../shared/domain/errors.ts';
import { ManualClock } from '../../store/manual-clock.ts';
import { changed } from '../../support/changed-store.ts';
import { ADMIN, nodePrincipal, startReplica, type TestReplica } from '../../support/replica.ts';

let clock: ManualClock;
let isAway: boolean;
let replica: TestReplica;
let log: RefusalLog;
let ending: AbortController;

beforeEach(async () => {
  clock = new ManualClock();
  isAway = false;
  const memory = new MemoryStore({ clock });
  const store: Store = changed(memory, {
    transact: async (transaction) => {
      if (isAway) throw new StoreUnavailableError('away');
      return memory.transact(transaction);
    },
  });
  replica = await startReplica({ store, clock });
  ending = new AbortController();
  log = new RefusalLog(replica.ctx, ending.signal);
});
afterEach(() => replica.stop());

function note(change: Partial<RefusedCall> & { operation?: string } = {}, code: RefusalCode = 'forbidden'): void {
  const { operation = 'POST /v1/jobs', ...call } = change;
  const origin = { requestId: 'r', address: '192.0.2.7', operation };
  log.note({ origin, principal: ADMIN, target: '/v1/jobs', role: null, ...call }, new Refusal(code, 'no'));
}

async function records(): Promise<AuditRecord[]> {
  await log.settled();
  const found: AuditRecord[] = [];
  for await (const page of oldestFirst(replica.ctx.store, { after: '', before: '~' }, 500)) {
    found.push(...page.map(({ key, value }) => decodeRecord('audit', key, value)));
  }
  return found;
}

describe('a refused call', () => {
  it('is on record at once, with why', async () => {
    note({ role: 'eng' });
    expect(await records()).toMatchObject([
      {
        who: { subject: 'admin', tokenId: 'token-admin' },
        ...{ outcome: 'refused', address: '192.0.2.7', roles: ['eng'], count: 1 },
        refusal: { code: 'forbidden', message: 'no', target: '/v1/jobs' },
      },
    ]);
  });

  it('that is like many within a minute is written once, and then how often it came', async () => {
    for (let n = 0; n < 500; n += 1) note();
    expect(await records()).toHaveLength(1);
    await clock.advance(60_000);
    expect((await records()).map(({ count }) => count)).toEqual([1, 499]);
    await clock.advance(600_000);
    note();
    expect((await records()).map(({ count }) => count)).toEqual([1, 499, 1]);
  });

  it('is told apart by caller, operation and code, up to so many a minute', async () => {
    for (let n = 0; n < 10_000; n += 1) note({ operation: `POST /${n % 5000}` });
    expect(await records()).toHaveLength(UNLIKE_MAX);
    await clock.advance(60_000);
    const all = await records();
    expect(all).toHaveLength(2 * UNLIKE_MAX + 1);
    expect(all.reduce((sum, { count }) => sum + count, 0)).toBe(10_000);
    expect(all.find(({ operation }) => operation === 'many')).toMatchObject({
      who: null,
      count: 10_000 - 2 * UNLIKE_MAX,
    });
  });

  it('of nobody who could be believed is told apart by address', async () => {
    for (const address of ['192.0.2.1', '192.0.2.2', '192.0.2.1']) {
      note({ principal: null, origin: { requestId: 'r', address, operation: 'POST /v1/jobs' } }, 'unauthenticated');
    }
    expect((await records()).map(({ who, address }) => [who, address]).sort()).toEqual([
      [null, '192.0.2.1'],
      [null, '192.0.2.2'],
    ]);
  });

  it.each<[string, RefusalCode, boolean]>([
    ['was not understood', 'invalid-request', false],
    ['came while the store was away', 'unavailable', false],
    ['was about what is not there', 'not-found', true],
    ['was about what has changed', 'revision-mismatch', true],
  ])('that %s: %s', async (_why, code, isOnRecord) => {
    note({}, code);
    expect(await records()).toHaveLength(isOnRecord ? 1 : 0);
  });

  it('of an agent is on record only where it reaches for what is not its own', async () => {
    note({ principal: nodePrincipal('edge-1') }, 'stale-epoch');
    note({ principal: nodePrincipal('edge-1') }, 'not-found');
    expect(await records()).toEqual([]);
    note({ principal: nodePrincipal('edge-1') }, 'forbidden');
    expect(await records()).toMatchObject([{ who: { kind: 'node' } }]);
  });

  it('hurts nobody when it can not be written', async () => {
    isAway = true;
    note();
    await log.settled();
    isAway = false;
    note({ operation: 'PUT /v1/settings' });
    expect(await records()).toMatchObject([{ operation: 'PUT /v1/settings' }]);
  });

  it('is not written into a store that is nearly full', async () => {
    Object.defineProperty(replica.ctx.room, 'isTight', { value: true });
    note();
    expect(await records()).toEqual([]);
  });

  it('is counted to the end when the replica ends', async () => {
    for (let n = 0; n < 3; n += 1) note();
    ending.abort();
    expect((await records()).map(({ count }) => count)).toEqual([1, 2]);
  });
});
