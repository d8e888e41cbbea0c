import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { frameworkShape, offerShape, renderFramework } from '../../../control-plane/cli/output/framework-shapes.ts';
import { painter } from '../../../control-plane/cli/output/paint.ts';
import { renderTable } from '../../../control-plane/cli/output/table.ts';
import type { FrameworkView } from '../../../shared/protocol/framework.ts';
import type { HeldOfferView } from '../../../shared/protocol/offers.ts';
import { type CliUnderTest, startCliUnderTest } from './replica-cli.ts';

const NOW_MS = Date.parse('2026-01-01T00:10:00.000Z');
const OPTIONS = { paint: painter(false), nowMs: NOW_MS, width: null };
const SCALARS = { cpus: 1.5, memMiB: 2048, diskMiB: 0, gpus: 1, custom: {} };

const counts = {
  pending: 0,
  staging: 0,
  starting: 0,
  running: 2,
  finished: 0,
  failed: 1,
  killed: 0,
  error: 0,
  lost: 0,
};
const NODE_CONSTRAINTS: FrameworkView['nodeConstraints'] = {
  eng: [
    [
      { attribute: 'zone', operator: 'in', values: ['a', 'b'] },
      { attribute: 'gpu', operator: 'exists' },
    ],
    [{ attribute: 'rack', operator: 'matches', value: 'r[0-9]+' }],
  ],
};
const framework: FrameworkView = {
  ...{ id: 'f000000000001', name: 'painter', principal: 'alice', roles: ['eng', 'ops'], capabilities: ['gpus'] },
  ...{
    failoverTimeoutSeconds: 600,
    minAllocatable: {},
    suppressed: ['ops'],
    nodeConstraints: NODE_CONSTRAINTS,
    annotations: {},
    session: 3,
    state: 'connected',
  },
  ...{ message: 'a replica holds its stream', registeredAt: '2026-01-01T00:00:00.000Z', teardown: null },
  ...{ subscribedAt: '2026-01-01T00:05:00.000Z', disconnectedSince: null, tasks: counts, holds: SCALARS },
  offers: { count: 2, resources: SCALARS, oldestAt: '2026-01-01T00:09:30.000Z' },
  operations: 2,
  throttled: { nodes: 3, until: '2026-01-01T00:12:00.000Z' },
};
const offer: HeldOfferView = {
  ...{ id: '1-7-0', framework: 'f000000000001', frameworkName: 'painter', role: 'eng', node: 'edge-1', host: 'edge-1' },
  ...{ attributes: {}, resources: { ...SCALARS, ports: [] }, reserved: [], maintenance: null, heldSeconds: 30 },
  ...{ madeAt: '2026-01-01T00:09:30.000Z', expiresAt: '2026-01-01T00:10:30.000Z' },
};

describe('frameworks on the screen', () => {
  it('show what they hold, for how long, and that they are throttled', () => {
    const [header, row] = renderTable(frameworkShape.columns(NOW_MS), [framework], OPTIONS).split('\n');
    expect(header?.split(/ {2,}/)).toEqual([
      'ID',
      'NAME',
      'ROLES',
      'STATE',
      'TASKS',
      'CPUS',
      'MEMORY',
      'GPUS',
      'OFFERS',
      'HELD FOR',
      'THROTTLED',
    ]);
    expect(row).toMatch(/painter +eng,ops +connected +2 running, 1 failed +1.5 +2GiB +1 +2 +30s +on 3 nodes$/);
  });

  it('tell how long an offer has been held, and until when', () => {
    const [, row] = renderTable(offerShape.columns(NOW_MS), [offer], OPTIONS).split('\n');
    expect(row).toMatch(/^1-7-0 +painter \(f000000000001\) +eng +edge-1 +1.5 +2GiB +1 +0 +30s +30s$/);
    const late = { ...offer, expiresAt: '2026-01-01T00:09:59.000Z' };
    expect(renderTable(offerShape.columns(NOW_MS), [late], OPTIONS)).toMatch(/ now\n$/);
  });

  it('are shown with their offers, and in which roles they want none', () => {
    const text = renderFramework(framework, { offers: [offer], tasks: [] }, OPTIONS);
    expect(text).toContain('eng, ops (wants no offers)');
    expect(text).toContain('2 operations carried out, not acknowledged');
    expect(text).toContain('zone in [a, b] and gpu exists, or rack matches r[0-9]+ (as eng)');
    expect(text).toContain(
      'left offers of 3 nodes unanswered, and gets none of the last of them before 2026-01-01T00:12',
    );
    expect(text).toContain('1-7-0');
    const ended = {
      ...framework,
      teardown: { at: '2026-01-01T00:09:00.000Z', by: 'bob', reason: 'enough', displacedBy: null },
    };
    expect(renderFramework(ended, { offers: [], tasks: [] }, OPTIONS)).toContain(
      '2026-01-01T00:09:00.000Z by bob: enough',
    );
  });
});

describe('berth framework', () => {
  let cli: CliUnderTest;
  const ids: string[] = [];

  beforeAll(async () => {
    cli = await startCliUnderTest();
    for (const [name, role] of [
      ['painter', 'eng'],
      ['twin', 'eng'],
      ['twin', 'ops'],
    ]) {
      const response = await cli.post('/v1/frameworks', cli.token, { name, roles: [role] });
      ids.push(((await response.json()) as FrameworkView).id);
    }
  });
  afterAll(() => cli.stop());

  it('lists those that there are', async () => {
    const { out } = await cli.berth(['framework', 'list', '--role', 'eng', '-o', 'name']);
    expect(out.trim().split('\n').sort()).toEqual([ids[0], ids[1]].sort());
  });

  it('shows one by its name, its id, or the start of that', async () => {
    for (const text of ['painter', ids[0] ?? '', (ids[0] ?? '').slice(0, 10)]) {
      const { code, out } = await cli.berth(['framework', 'show', text]);
      expect(code).toBe(0);
      expect(out).toContain(`painter\n`);
    }
  });

  it('says which ones could be meant', async () => {
    const { code, err } = await cli.berth(['framework', 'show', 'twin']);
    expect(code).toBe(2);
    expect(err).toContain('2 frameworks can be meant by "twin"');
    expect(err).toContain(ids[2]);
    expect(await cli.berth(['framework', 'show', 'nobody'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('there is no framework "nobody"'),
    });
  });

  it('tears one down when it is said twice', async () => {
    const first = await cli.berth(['framework', 'teardown', 'painter']);
    expect(first).toMatchObject({ code: 2, err: expect.stringContaining(`berth framework teardown ${ids[0]} --yes`) });
    const { code, err } = await cli.berth(['framework', 'teardown', 'painter', '--reason', 'enough', '--yes']);
    expect([code, err]).toEqual([0, expect.stringContaining('torn down by tester: enough')]);
  });

  it('has no offers where there are no nodes', async () => {
    expect(await cli.berth(['offer', 'list', '-o', 'json'])).toMatchObject({ code: 0, out: '[]\n' });
  });
});
