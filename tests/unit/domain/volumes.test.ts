import { describe, expect, it } from 'vitest';
import { missingVolumes } from '../../../shared/domain/volumes.ts';
import { aGroup, aLedger, aReservation, aVolume } from '../../support/builders.ts';

const ledger = aLedger({
  reservations: [aReservation({ id: 'r1', role: 'eng' }), aReservation({ id: 'r2', role: 'ops' })],
  volumes: {
    data: aVolume(),
    old: aVolume({ id: 'old', removing: true }),
    other: aVolume({ id: 'other', reservation: 'r2' }),
  },
});

function mounting(...ids: readonly string[]) {
  return aGroup({
    mounts: ids.map((source, n) => ({ type: 'persistent', source, target: `/v${n}`, readOnly: false })),
  });
}

describe('a task that mounts volumes', () => {
  it.each([
    [[], 'eng', []],
    [['data'], 'eng', []],
    [['data'], 'eng/ml', []],
    [['data', 'data'], 'eng', []],
    [['data'], 'engineering', ['has volume "data" for role "eng" only']],
    [['old'], 'eng', ['is deleting volume "old"']],
    [['data', 'other', 'none'], 'eng', ['has volume "other" for role "ops" only', 'has no volume "none"']],
    [['constructor'], 'eng', ['has no volume "constructor"']],
  ])('%j in role %s lacks %j', (ids, role, missing) => {
    expect(missingVolumes(ledger, mounting(...ids), role)).toEqual(missing);
  });

  it('lacks nothing where other mounts are called alike', () => {
    const group = aGroup({ mounts: [{ type: 'volume', source: 'none', target: '/a', readOnly: false }] });
    expect(missingVolumes(ledger, group, 'eng')).toEqual([]);
  });
});
