import { describe, expect, it } from 'vitest';
import { hasVolumePerTask, INDEX_PLACEHOLDER, mountsVolumes, volumesOf } from '../../../shared/domain/job.ts';
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
    [['data'], 'engineering', ['has no volume "data" for role "engineering"']],
    [['old'], 'eng', ['is deleting volume "old"']],
    [['data', 'other', 'none'], 'eng', ['has no volume "other" for role "eng"', 'has no volume "none" for role "eng"']],
    [['constructor'], 'eng', ['has no volume "constructor" for role "eng"']],
  ])('%j in role %s lacks %j', (ids, role, missing) => {
    expect(missingVolumes(ledger, volumesOf(mounting(...ids), 0), role)).toEqual(missing);
  });

  it('lacks nothing where other mounts are called alike', () => {
    const group = aGroup({ mounts: [{ type: 'volume', source: 'none', target: '/a', readOnly: false }] });
    expect([volumesOf(group, 0), mountsVolumes(group)]).toEqual([[], false]);
  });
});

describe('the volumes of a task', () => {
  it.each([
    [['data'], 3, ['data'], false],
    [[`data-${INDEX_PLACEHOLDER}`], 0, ['data-0'], true],
    [[`data-${INDEX_PLACEHOLDER}`], 12, ['data-12'], true],
    [[`${INDEX_PLACEHOLDER}-of-${INDEX_PLACEHOLDER}`, 'shared'], 1, ['1-of-1', 'shared'], true],
    [['data-1', `data-${INDEX_PLACEHOLDER}`], 1, ['data-1'], true],
    [['data-$index'], 1, ['data-$index'], false],
  ])('%j are to the one with index %d: %j', (sources, index, ids, isPerTask) => {
    const group = mounting(...sources);
    expect([volumesOf(group, index), hasVolumePerTask(group), mountsVolumes(group)]).toEqual([ids, isPerTask, true]);
  });
});
