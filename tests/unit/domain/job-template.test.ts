import { describe, expect, test } from 'vitest';
import type { JobSpec } from '../../../shared/domain/job.ts';
import { changedTemplates, nextTemplates, revertedTemplates } from '../../../shared/domain/job-template.ts';
import { DEFAULT_BACKOFF, DEFAULT_UPDATE } from '../../../shared/domain/service.ts';
import { aGroup, aSpec } from '../../support/builders.ts';

const WEB = aGroup({ name: 'web', count: 3, env: { A: '1', B: '2' } });
const DB = aGroup({ name: 'db' });
const SPEC = aSpec({ kind: 'service', groups: [WEB, DB] });

describe('which groups are made otherwise', () => {
  test.each<[string, JobSpec, string[]]>([
    ['nothing has changed', { ...SPEC }, []],
    ['members stand in another order', { ...SPEC, groups: [{ ...WEB, env: { B: '2', A: '1' } }, DB] }, []],
    ['an absent member is spelled out', { ...SPEC, groups: [{ ...WEB, command: undefined }, DB] }, []],
    ['groups stand in another order', { ...SPEC, groups: [DB, WEB] }, []],
    ['a count', { ...SPEC, groups: [{ ...WEB, count: 30 }, DB] }, []],
    ['a backoff', { ...SPEC, groups: [{ ...WEB, backoff: DEFAULT_BACKOFF }, DB] }, []],
    ['how it is rolled out', { ...SPEC, update: { ...DEFAULT_UPDATE, minHealthy: 0.5 } }, []],
    ['which go first', { ...SPEC, killSelection: 'oldest-first' }, []],
    ['what it depends on', { ...SPEC, dependsOn: ['other'] }, []],
    ['labels', { ...SPEC, labels: { team: 'a' } }, []],
    ['its priority', { ...SPEC, priority: 51 }, []],
    ['how long it waits for a lost node', { ...SPEC, replaceAfterSeconds: 'never' }, []],
    ['another group is gone', { ...SPEC, groups: [WEB] }, []],
    ['an image', { ...SPEC, groups: [{ ...WEB, image: 'busybox:2' }, DB] }, ['web']],
    ['a member of the environment', { ...SPEC, groups: [WEB, { ...DB, env: { A: '1' } }] }, ['db']],
    ['what it may use', { ...SPEC, groups: [WEB, aGroup({ name: 'db', resources: { cpus: 2 } })] }, ['db']],
    ['a further group', { ...SPEC, groups: [WEB, DB, aGroup({ name: 'more' })] }, ['more']],
    ['where all may be', { ...SPEC, constraints: [{ attribute: 'arch', operator: '=', value: 'x64' }] }, ['web', 'db']],
    ['that two must never run', { ...SPEC, stopAfterDisconnectSeconds: 30 }, ['web', 'db']],
    ['the kind', { ...SPEC, kind: 'system' }, ['web', 'db']],
  ])('%s', (_what, after, changed) => {
    expect(changedTemplates(SPEC, after)).toEqual(changed);
  });
});

describe('the versions that tasks carry next', () => {
  const previous = { spec: SPEC, templates: { web: 2, db: 4 } };

  test('all those of the first version carry it', () => {
    expect(nextTemplates(null, SPEC, 1)).toEqual({ web: 1, db: 1 });
  });

  test('only those that are made otherwise carry the new one', () => {
    const spec = {
      ...SPEC,
      groups: [
        { ...WEB, count: 9 },
        { ...DB, image: 'busybox:2' },
      ],
    };
    expect(nextTemplates(previous, spec, 5)).toEqual({ web: 2, db: 5 });
  });

  test('a group that is gone has none', () => {
    expect(nextTemplates(previous, { ...SPEC, groups: [DB] }, 5)).toEqual({ db: 4 });
  });

  test('with a restart all of them carry the new one', () => {
    expect(nextTemplates(previous, SPEC, 5, { restart: true })).toEqual({ web: 5, db: 5 });
  });

  test('a group of which no number is known carries the new one, whatever its name', () => {
    const spec = aSpec({ kind: 'service', groups: [aGroup({ name: 'constructor' })] });
    expect(nextTemplates({ spec, templates: {} }, spec, 5)).toEqual({ constructor: 5 });
  });
});

describe('the versions that tasks carry when a version is taken back to', () => {
  const good = { spec: SPEC, templates: { web: 2, db: 4 } };

  test('are those of tasks that still run, and new ones where none does', () => {
    const live = [
      { group: 'web', jobVersion: 2 },
      { group: 'web', jobVersion: 7 },
      { group: 'db', jobVersion: 7 },
    ];
    const groups = SPEC.groups.map((group) => ({ ...group, image: 'other:1' }));
    const present = { spec: { ...SPEC, groups }, templates: { web: 7, db: 7 } };
    expect(revertedTemplates(good, { number: 8, present, live })).toEqual({ web: 2, db: 8 });
  });

  test('are those that are present where they are made from the same, and none of the earlier ones runs', () => {
    const present = { spec: SPEC, templates: { web: 6, db: 7 } };
    const live = [{ group: 'web', jobVersion: 6 }];
    expect(revertedTemplates(good, { number: 8, present, live })).toEqual({ web: 6, db: 7 });
    const earlier = [...live, { group: 'web', jobVersion: 2 }];
    expect(revertedTemplates(good, { number: 8, present, live: earlier })).toEqual({ web: 2, db: 7 });
  });
});
