import { describe, expect, it } from 'vitest';
import { callOf } from '../../../control-plane/facade-mesos/http/caller.ts';
import { ADMIN } from '../../support/replica.ts';

const ORIGIN = { requestId: 'r-1', address: '192.0.2.7', operation: 'POST /api/v1' };
const CALLER = { principal: ADMIN, userName: null, isAnonymous: false, goodUntilMs: null, origin: ORIGIN };

describe('a call of the door', () => {
  it('says whose it is and where it comes from, and has no key', () => {
    expect(callOf(CALLER)).toEqual({ principal: ADMIN, origin: ORIGIN, idempotency: null });
  });

  it('says which of the calls of its path it is', () => {
    expect(callOf(CALLER, 'TEARDOWN').origin).toEqual({ ...ORIGIN, operation: 'POST /api/v1 TEARDOWN' });
  });
});
