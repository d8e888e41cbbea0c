import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { registerNode } from '../../../control-plane/services/agents.ts';
import { getRole, ROLES_AT_ONCE_MAX, setRole, setRoles } from '../../../control-plane/services/roles.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import { present } from '../../../shared/util/assert.ts';
import { anOffer } from '../../support/builders.ts';
import { ADMIN, callOf, caughtUp, JOINER, nodeOf, startReplica, type TestReplica } from '../../support/replica.ts';

let replica: TestReplica;

beforeEach(async () => {
  replica = await startReplica();
  await registerNode(replica.ctx, JOINER, { node: nodeOf('edge-1'), seen: null, tasks: [] });
  await caughtUp(replica.ctx);
});
afterEach(() => replica.stop());

type Changes = Parameters<typeof setRoles>[2];

async function set(changes: Record<string, object>, force = false) {
  const answer = await setRoles(replica.ctx, callOf(), new Map(Object.entries(changes)) as Changes, { force });
  await caughtUp(replica.ctx);
  return answer.body.changed;
}

describe('several roles at once', () => {
  it('get what is named for each, and keep what is not', async () => {
    const terms = { weight: 3, limit: { cpus: 2 }, guarantee: {}, force: false };
    await setRole(replica.ctx, callOf(), 'eng', terms, { ifVersion: null, onlyCreate: false });
    await caughtUp(replica.ctx);
    expect(await set({ eng: { guarantee: { cpus: 1 } }, ops: { weight: 2 } })).toEqual(['eng', 'ops']);
    const eng = getRole(replica.ctx, ADMIN, 'eng');
    expect(eng).toMatchObject({ weight: 3, limit: { cpus: 2 }, guarantee: { cpus: 1 } });
    expect(getRole(replica.ctx, ADMIN, 'ops')).toMatchObject({ weight: 2, limit: {} });
    expect(await set({ eng: { weight: 3 }, ops: { weight: 4 } })).toEqual(['ops']);
  });

  it('are judged together, and none is set where one is refused', async () => {
    await set({ eng: { guarantee: { cpus: 4 } } });
    await expect(set({ eng: { weight: 2 }, ops: { guarantee: { cpus: 1 } } })).rejects.toMatchObject({
      code: 'conflict',
    });
    expect(getRole(replica.ctx, ADMIN, 'eng').weight).toBe(1);
    expect(await set({ eng: { guarantee: {} }, ops: { guarantee: { cpus: 4 } } })).toEqual(['eng', 'ops']);
    await expect(set({ ops: { limit: { cpus: 1 } } })).rejects.toMatchObject({ code: 'invalid-request' });
  });

  it('lose the offers that their limits have no room for', async () => {
    const ledger = present(replica.ctx.mirror.snapshot.ledgers.get('edge-1'), 'the ledger');
    const offers = [
      anOffer({ id: '1-1-0', role: 'eng', resources: { cpus: 2 } }),
      anOffer({ id: '1-2-0', role: 'ops' }),
    ];
    const withOffers = { ...ledger, offers: Object.fromEntries(offers.map((offer) => [offer.id, offer])) };
    const writes = [putRecord('ledger', keys.ledger('edge-1'), withOffers)];
    await replica.ctx.store.transact({ compares: [], writes });
    await caughtUp(replica.ctx);
    await set({ eng: { limit: { cpus: 1 } }, ops: { weight: 2 } });
    const left = present(replica.ctx.mirror.snapshot.ledgers.get('edge-1'), 'the ledger').offers;
    expect(Object.keys(left)).toEqual(['1-2-0']);
  });

  it('are bounded in number', async () => {
    const many = Array.from({ length: ROLES_AT_ONCE_MAX + 1 }, (_, index) => [`r${index}`, { weight: 2 }]);
    await expect(set(Object.fromEntries(many))).rejects.toMatchObject({ code: 'payload-too-large' });
    expect(await set(Object.fromEntries(many.slice(1)))).toHaveLength(ROLES_AT_ONCE_MAX);
  });
});
