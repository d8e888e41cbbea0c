import { describe, expect, it } from 'vitest';
import {
  clusterStatus,
  machineOf,
  plannedFor,
  plansOf,
  scheduleOf,
  wantedWindows,
} from '../../../control-plane/facade-mesos/translate/machines.ts';
import type { NodeItem } from '../../../control-plane/services/inventory.ts';
import type { MaintenanceView } from '../../../shared/protocol/maintenance.ts';
import { aLedger, aNode, T0 } from '../../support/builders.ts';

const START = '2090-12-24T18:00:00.000Z';
const START_NANOSECONDS = Date.parse(START) * 1_000_000;

function anItem(id: string, hostname: string, ip?: string, drained = false): NodeItem {
  const node = { ...aNode({ id }), hostname, attributes: ip === undefined ? {} : { ip } };
  const drain = drained ? { startedAtMs: T0, deadlineMs: T0, by: 'anna' } : null;
  return { node, ledger: { ...aLedger({ node: id }), drain }, state: 'ready', unreachableSinceMs: null };
}

function aWindow(node: string, change: Partial<MaintenanceView> = {}): MaintenanceView {
  return {
    id: `w-${node}`,
    node,
    host: null,
    startsAt: START,
    durationSeconds: null,
    endsAt: null,
    state: 'coming',
    setAt: START,
    setBy: 'anna',
    frameworks: [],
    ...change,
  };
}

const NODES = [
  anItem('a', 'one', '10.0.0.1'),
  anItem('b', 'two'),
  anItem('c', 'three', '10.0.0.3'),
  anItem('d', 'three', '10.0.0.3'),
];

describe('machines and nodes', () => {
  it.each([
    [{ hostname: 'one' }, ['a']],
    [{ hostname: 'one', ip: '10.0.0.1' }, ['a']],
    [{ ip: '10.0.0.1' }, ['a']],
    // Nobody has said what its address is.
    [{ hostname: 'two', ip: '10.0.0.2' }, ['b']],
    [{ hostname: 'three' }, ['c', 'd']],
  ])('%j is %j', (machine, nodes) => {
    const start = { nanoseconds: START_NANOSECONDS };
    const schedule = { windows: [{ machine_ids: [machine], unavailability: { start } }] };
    const wanted = wantedWindows(schedule, { nodes: NODES, plans: [] });
    expect(wanted).toEqual(nodes.map((node) => ({ node, startsAtMs: Date.parse(START), durationMs: null })));
  });

  it.each([[{ hostname: 'one', ip: '10.0.0.2' }], [{ ip: '10.0.0.2' }], [{ hostname: 'One' }]])(
    '%j is not known',
    (machine) => {
      const start = { nanoseconds: START_NANOSECONDS };
      const schedule = { windows: [{ machine_ids: [machine], unavailability: { start } }] };
      expect(() => wantedWindows(schedule, { nodes: NODES, plans: [] })).toThrow('is not known');
    },
  );

  it('are the same when they are read and written again', () => {
    expect(machineOf(anItem('a', 'one', '10.0.0.1'))).toEqual({ hostname: 'one', ip: '10.0.0.1' });
    expect(machineOf(anItem('b', 'two'))).toEqual({ hostname: 'two' });
    const windows = [aWindow('a', { durationSeconds: 0.5 }), aWindow('b'), aWindow('c'), aWindow('d')];
    const plans = plansOf(windows, NODES);
    const schedule = scheduleOf(plans);
    expect(schedule.windows).toEqual([
      {
        machine_ids: [{ hostname: 'one', ip: '10.0.0.1' }],
        unavailability: { start: { nanoseconds: START_NANOSECONDS }, duration: { nanoseconds: 500_000_000 } },
      },
      {
        machine_ids: [{ hostname: 'two' }, { hostname: 'three', ip: '10.0.0.3' }],
        unavailability: { start: { nanoseconds: START_NANOSECONDS } },
      },
    ]);
    const again = wantedWindows(JSON.parse(JSON.stringify(schedule)), { nodes: NODES, plans });
    expect(again).toEqual(
      windows.map(({ node, durationSeconds }) => ({
        node,
        startsAtMs: Date.parse(START),
        durationMs: durationSeconds === null ? null : durationSeconds * 1000,
      })),
    );
  });
});

describe('the mode of a machine', () => {
  it.each([
    ['coming', false, 'DRAINING'],
    ['coming', true, 'DRAINING'],
    ['running', false, 'DRAINING'],
    ['running', true, 'DOWN'],
  ] as const)('whose window is %s, drained: %s, is %s', (state, drained, mode) => {
    expect(plansOf([aWindow('a', { state })], [anItem('a', 'one', undefined, drained)])).toMatchObject([{ mode }]);
  });

  it('is none once its window is over, or where its node is not to be seen', () => {
    expect(plansOf([aWindow('a', { state: 'over' }), aWindow('z')], NODES)).toEqual([]);
  });

  it('decides what may be done with it', () => {
    const plans = plansOf([aWindow('a')], NODES);
    const about = { nodes: NODES, plans, mode: 'DRAINING', verb: 'brought down' } as const;
    expect(plannedFor([{ ip: '10.0.0.1' }], about)).toEqual(plans);
    expect(() => plannedFor([{ hostname: 'one' }], { ...about, mode: 'DOWN', verb: 'brought up' })).toThrow(
      `Machine '{"hostname":"one"}' is not in DOWN mode and cannot be brought up`,
    );
  });

  it('is told of with the answers of frameworks that are to be seen', () => {
    const frameworks = ['f1', 'f2', 'f3', 'f4'].map((framework, place) => ({
      framework,
      frameworkName: null,
      answer: ([null, 'accepts', 'declines', 'accepts'] as const)[place] ?? null,
      answeredAt: place === 0 ? null : START,
      askAgainAt: null,
    }));
    const plans = plansOf([aWindow('a', { frameworks })], NODES);
    const wireIds = new Map([
      ['f1', 'F1'],
      ['f2', 'F2'],
      ['f3', 'F3'],
    ]);
    const timestamp = { nanoseconds: START_NANOSECONDS };
    expect(clusterStatus(plans, wireIds)).toEqual({
      draining_machines: [
        {
          id: { hostname: 'one', ip: '10.0.0.1' },
          statuses: [
            { status: 'UNKNOWN', framework_id: { value: 'F1' }, timestamp },
            { status: 'ACCEPT', framework_id: { value: 'F2' }, timestamp },
            { status: 'DECLINE', framework_id: { value: 'F3' }, timestamp },
          ],
        },
      ],
    });
  });
});
