/** Persistent volumes as users write them: one for each task, and what goes with them in an update. */
import { describe, expect, it } from 'vitest';
import { INDEX_PLACEHOLDER } from '../../../shared/domain/job.ts';
import { jobSpecSchema } from '../../../shared/protocol/job.ts';

const OWN = `data-${INDEX_PLACEHOLDER}`;

function mounting(...mounts: readonly object[]) {
  return { image: 'db:1', count: 2, mounts: mounts.map((mount, n) => ({ target: `/v${n}`, ...mount })) };
}

const DB = { name: 'db', ...mounting({ type: 'persistent', source: OWN }) };
const WEB = { name: 'web', image: 'web:1' };

function parsed(job: object) {
  return jobSpecSchema.safeParse({ name: 'db', kind: 'service', ...job });
}

function faultsOf(job: object): string[] {
  return (parsed(job).error?.issues ?? []).map(({ path, message }) => `/${path.join('/')} ${message}`);
}

describe('a mount that names the index of its task', () => {
  it.each(['service', 'batch'])('is one of a volume that stays, in a %s job', (kind) => {
    expect(faultsOf({ kind, groups: [DB] })).toEqual([]);
  });

  it.each<[string, object, string]>([
    ['of a path', { type: 'bind', source: `/data/${INDEX_PLACEHOLDER}` }, 'source must not hold'],
    ['of a volume of the engine', { type: 'volume', source: OWN }, 'source must not hold'],
    ['where it is mounted', { type: 'persistent', source: 'data', target: `/${INDEX_PLACEHOLDER}` }, 'target must not'],
    ['twice, in an id that is none', { type: 'persistent', source: `Data-${OWN}` }, 'source must be the id of'],
    [
      'in an id too long for four digits',
      { type: 'persistent', source: `${'d'.repeat(60)}${INDEX_PLACEHOLDER}` },
      'source must',
    ],
    ['as something else', { type: 'persistent', source: 'data-$index' }, 'source must be the id of'],
  ])('is no other one: %s', (_what, mount, says) => {
    expect(faultsOf({ groups: [mounting(mount)] })).toEqual([expect.stringContaining(`/groups/0/mounts/0/${says}`)]);
  });

  it('may have an id of the full length with all of its digits', () => {
    const source = `${'d'.repeat(59)}${INDEX_PLACEHOLDER}`;
    expect(faultsOf({ groups: [mounting({ type: 'persistent', source })] })).toEqual([]);
  });

  it('is none of a system job', () => {
    expect(faultsOf({ kind: 'system', groups: [{ ...DB, count: 1 }] })).toEqual([
      expect.stringMatching(/^\/groups\/0\/mounts\/0\/source must not hold .* in a system job/),
    ]);
  });

  it('is none of a variable or a command, which may say so to a shell', () => {
    const says = { env: { NAME: OWN }, command: ['sh', '-c', `echo ${INDEX_PLACEHOLDER}`] };
    expect(faultsOf({ groups: [{ ...WEB, ...says }] })).toEqual([]);
  });
});

describe('the update of a job that mounts persistent volumes', () => {
  it.each<[string, object, number | undefined]>([
    ['nothing of it is said', { groups: [DB] }, 0],
    ['nothing of this is said', { groups: [DB], update: {} }, 0],
    ['it is said to be so', { groups: [DB], update: { maxOver: 0 } }, 0],
    ['a group has none', { groups: [DB, WEB] }, 0.25],
    ['a group has none, and may have more', { groups: [DB, WEB], update: { maxOver: 0.5 } }, 0.5],
    ['no group has any', { groups: [WEB], update: {} }, 0.25],
    ['it is none that is updated', { kind: 'batch', groups: [DB] }, undefined],
  ])('has no more than are wanted where all do: %s', (_what, job, maxOver) => {
    expect(faultsOf(job)).toEqual([]);
    expect(parsed(job).data?.update?.maxOver).toBe(maxOver);
  });

  it('is refused more of what none can have', () => {
    expect(faultsOf({ groups: [DB], update: { maxOver: 0.25 } })).toEqual([
      expect.stringMatching(/^\/update\/maxOver must be 0 or left out: every group mounts persistent volumes/),
    ]);
  });

  it.each(['canary', 'blue-green'])('is refused the strategy %s', (strategy) => {
    const [fault, ...others] = faultsOf({ groups: [WEB, DB], update: { strategy } });
    expect(fault).toMatch(/^\/update\/strategy must be "rolling": group "db" mounts persistent volumes/);
    expect(others).toEqual([]);
  });
});
