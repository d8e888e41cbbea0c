import { describe, expect, it } from 'vitest';
import { updateUuidOf } from '../../../control-plane/facade-mesos/translate/ids.ts';
import {
  type StatusFacts,
  wireOperationStatus,
  wireStatus,
} from '../../../control-plane/facade-mesos/translate/statuses.ts';
import { toldOperation, toldUpdate } from '../../../control-plane/facade-mesos/translate/told.ts';
import type { OperationStatusView, TaskUpdateView } from '../../../shared/protocol/framework.ts';
import { T0 } from '../../support/builders.ts';
import { launchedTask } from '../../support/frameworks.ts';

const FRAMEWORK = 'f000000000001';
const AT = '2026-01-01T00:00:00.250Z';

function anUpdate(change: Partial<TaskUpdateView> = {}): TaskUpdateView {
  return {
    id: null,
    task: 'wall',
    taskId: 'painter-wall-0-f000000000001-v1a0',
    state: 'running',
    unreachable: false,
    healthy: null,
    at: AT,
    reason: 'started',
    message: 'its container runs',
    role: 'default',
    node: 'edge-1',
    host: 'edge-1.test',
    ports: {},
    exitCode: null,
    labels: {},
    annotations: {},
    reconciliation: false,
    ...change,
  };
}

function facts(change: Partial<StatusFacts> = {}): StatusFacts {
  const task = launchedTask(FRAMEWORK, 'wall', { state: 'running' });
  return { task, isNodeGone: false, unreachableSinceMs: null, attributes: {}, ...change };
}

const NONE: ReadonlySet<string> = new Set();
const PARTITIONS: ReadonlySet<string> = new Set(['PARTITION_AWARE']);
const KILLING: ReadonlySet<string> = new Set(['TASK_KILLING_STATE']);

const stopped = {
  ...launchedTask(FRAMEWORK, 'wall', { state: 'running' }),
  stop: { atMs: T0, by: 'anna', reason: 'killed by its framework' },
};
const neverStarted = launchedTask(FRAMEWORK, 'wall');

describe('the state of a task', () => {
  it.each<[Partial<TaskUpdateView>, Partial<StatusFacts>, ReadonlySet<string>, string]>([
    [{ state: 'pending' }, {}, NONE, 'TASK_STAGING'],
    [{ state: 'staging' }, {}, NONE, 'TASK_STAGING'],
    [{ state: 'starting' }, {}, NONE, 'TASK_STARTING'],
    [{ state: 'running' }, {}, NONE, 'TASK_RUNNING'],
    [{ state: 'running' }, { task: stopped }, NONE, 'TASK_RUNNING'],
    [{ state: 'running' }, { task: stopped }, KILLING, 'TASK_KILLING'],
    [{ state: 'running' }, {}, KILLING, 'TASK_RUNNING'],
    [{ state: 'finished' }, {}, NONE, 'TASK_FINISHED'],
    [{ state: 'failed' }, {}, NONE, 'TASK_FAILED'],
    [{ state: 'failed', reason: 'unhealthy' }, {}, NONE, 'TASK_KILLED'],
    [{ state: 'running', reason: 'unhealthy' }, {}, NONE, 'TASK_RUNNING'],
    [{ state: 'killed' }, { task: stopped }, KILLING, 'TASK_KILLED'],
    [{ state: 'error', reason: 'launch-refused' }, {}, NONE, 'TASK_ERROR'],
    [{ state: 'error', reason: 'refused-by-node' }, {}, NONE, 'TASK_ERROR'],
    [{ state: 'error', reason: 'image-unavailable' }, {}, NONE, 'TASK_FAILED'],
    [{ state: 'error', reason: 'command-unusable' }, {}, NONE, 'TASK_FAILED'],
    [{ state: 'error', reason: 'engine-error' }, {}, NONE, 'TASK_FAILED'],
    [{ state: 'lost' }, {}, NONE, 'TASK_LOST'],
    [{ state: 'lost' }, {}, PARTITIONS, 'TASK_GONE'],
    [{ state: 'lost' }, { isNodeGone: true }, PARTITIONS, 'TASK_GONE_BY_OPERATOR'],
    [{ state: 'lost' }, { isNodeGone: true }, NONE, 'TASK_LOST'],
    [{ state: 'lost' }, { task: neverStarted }, PARTITIONS, 'TASK_DROPPED'],
    [{ state: 'running', unreachable: true }, {}, NONE, 'TASK_LOST'],
    [{ state: 'running', unreachable: true }, {}, PARTITIONS, 'TASK_UNREACHABLE'],
    [{ state: 'unknown' }, { task: null }, NONE, 'TASK_LOST'],
    [{ state: 'unknown' }, { task: null }, PARTITIONS, 'TASK_UNKNOWN'],
  ])('%j %#', (update, about, capabilities, state) => {
    expect(wireStatus(anUpdate(update), capabilities, facts(about)).state).toBe(state);
  });
});

describe('a status', () => {
  it('of what never came to be names the agent that was meant, but no executor and no address', () => {
    const never = anUpdate({ taskId: null, state: 'unknown' });
    const status = wireStatus(never, NONE, facts({ task: null, attributes: { ip: '10.0.0.7' } }));
    expect(status).toMatchObject({ agent_id: { value: 'edge-1' } });
    expect(status).not.toHaveProperty('executor_id');
    expect(status).not.toHaveProperty('container_status');
  });

  it('has what clients need, and nothing that is unset', () => {
    const id = 'painter-wall-0-f000000000001-v1a0:2';
    expect(wireStatus(anUpdate({ id }), NONE, facts())).toEqual({
      task_id: { value: 'wall' },
      state: 'TASK_RUNNING',
      source: 'SOURCE_EXECUTOR',
      message: 'its container runs',
      agent_id: { value: 'edge-1' },
      executor_id: { value: 'wall' },
      timestamp: 1_767_225_600.25,
      uuid: updateUuidOf(id),
    });
  });

  it('says the address of its node where that is known, its labels and its executor', () => {
    const annotations = { mesos: JSON.stringify({ executor_id: 'e', labels: [{ key: 'a', value: '1' }] }) };
    const status = wireStatus(anUpdate({ annotations }), NONE, facts({ attributes: { ip: '10.0.0.7' } }));
    expect(status).toMatchObject({
      executor_id: { value: 'e' },
      labels: { labels: [{ key: 'a', value: '1' }] },
      container_status: { network_infos: [{ ip_addresses: [{ ip_address: '10.0.0.7' }] }] },
    });
  });

  it.each([true, false])('says that the task is healthy: %s', (healthy) => {
    expect(wireStatus(anUpdate({ healthy }), NONE, facts())).toMatchObject({ state: 'TASK_RUNNING', healthy });
  });

  it('of a task that was refused names the agent that it was meant for, and no executor', () => {
    const refused = { state: 'error', reason: 'launch-refused', node: null, host: null } as const;
    const annotations = { mesos: JSON.stringify({ agent_id: 'edge-1' }) };
    const status = wireStatus(anUpdate({ ...refused, annotations, id: 'x-v1a0:1' }), NONE, facts());
    expect(status).toMatchObject({ state: 'TASK_ERROR', agent_id: { value: 'edge-1' } });
    expect(status).not.toHaveProperty('executor_id');
  });

  it.each([false, true])(
    'of a task whose node has fallen silent says since when (asked about: %s)',
    (reconciliation) => {
      const silent = facts({ unreachableSinceMs: T0 + 5000 });
      const status = wireStatus(anUpdate({ unreachable: true, reconciliation }), PARTITIONS, silent);
      expect(status).toMatchObject({
        timestamp: T0 / 1000 + 5,
        unreachable_time: { nanoseconds: (T0 + 5000) * 1_000_000 },
      });
      expect(wireStatus(anUpdate(), PARTITIONS, silent)).not.toHaveProperty('unreachable_time');
    },
  );

  it('of a task that is not known names no agent and has no uuid', () => {
    const unknown = {
      state: 'unknown',
      taskId: null,
      node: null,
      host: null,
      reason: null,
      reconciliation: true,
    } as const;
    expect(wireStatus(anUpdate({ ...unknown, message: '' }), PARTITIONS, facts({ task: null }))).toEqual({
      task_id: { value: 'wall' },
      state: 'TASK_UNKNOWN',
      source: 'SOURCE_MASTER',
      reason: 'REASON_RECONCILIATION',
      timestamp: 1_767_225_600.25,
    });
  });

  it.each<[Partial<TaskUpdateView>, Partial<StatusFacts>, string, string | undefined]>([
    [{ state: 'failed', reason: 'exited' }, {}, 'SOURCE_EXECUTOR', undefined],
    [{ state: 'failed', reason: 'unhealthy' }, {}, 'SOURCE_EXECUTOR', undefined],
    [{ reason: 'health-changed' }, {}, 'SOURCE_EXECUTOR', 'REASON_TASK_HEALTH_CHECK_STATUS_UPDATED'],
    [{ state: 'failed', reason: 'out-of-memory' }, {}, 'SOURCE_AGENT', 'REASON_CONTAINER_LIMITATION_MEMORY'],
    [{ state: 'error', reason: 'launch-refused' }, {}, 'SOURCE_MASTER', 'REASON_TASK_INVALID'],
    [{ state: 'lost', reason: 'node-lost' }, {}, 'SOURCE_MASTER', 'REASON_AGENT_REMOVED'],
    [{ state: 'lost', reason: 'node-lost' }, { isNodeGone: true }, 'SOURCE_MASTER', 'REASON_AGENT_REMOVED_BY_OPERATOR'],
    [{ unreachable: true }, {}, 'SOURCE_MASTER', 'REASON_AGENT_REMOVED'],
    [{ unreachable: true, reconciliation: true }, {}, 'SOURCE_MASTER', 'REASON_RECONCILIATION'],
  ])('%j %j comes from %s with %s', (update, about, source, reason) => {
    const status = wireStatus(anUpdate(update), NONE, facts(about));
    expect([status.source, status.reason]).toEqual([source, reason]);
  });
});

describe('what stands on no record', () => {
  it.each([
    ['TASK_ERROR', 'REASON_TASK_INVALID'],
    ['TASK_LOST', 'REASON_INVALID_OFFERS'],
    ['TASK_DROPPED', 'REASON_INVALID_OFFERS'],
    ['TASK_KILLING', null],
  ] as const)('is told as %s with %s, and never to be acknowledged', (state, reason) => {
    const event = toldUpdate({ task: 'wall', state, reason, message: 'why', node: 'edge-1', executor: 'e' }, T0);
    if (event.type !== 'update') throw new Error('it is no update');
    const status = wireStatus(event.update, NONE, facts({ task: null }));
    expect(status).toMatchObject({ state, source: 'SOURCE_MASTER', message: 'why', executor_id: { value: 'e' } });
    expect([status.reason ?? null, status.uuid]).toEqual([reason, undefined]);
  });

  it('is told of operations as well', () => {
    const event = toldOperation({ operation: 'op', state: 'dropped', message: 'why', node: null }, T0);
    if (event.type !== 'operation') throw new Error('it is no status of an operation');
    expect(wireOperationStatus(event.operation, null)).toEqual({
      operation_id: { value: 'op' },
      state: 'OPERATION_DROPPED',
      message: 'why',
    });
  });
});

describe('the status of an operation', () => {
  it.each<[OperationStatusView['state'], string]>([
    ['finished', 'OPERATION_FINISHED'],
    ['error', 'OPERATION_ERROR'],
    ['dropped', 'OPERATION_DROPPED'],
    ['unknown', 'OPERATION_UNKNOWN'],
  ])('%s is %s, with a uuid that is a message', (state, wire) => {
    const status = { id: 'x', operation: 'op', state, node: 'edge-1', at: AT, message: '', reconciliation: false };
    expect(wireOperationStatus(status, 'AAAA')).toEqual({
      operation_id: { value: 'op' },
      state: wire,
      uuid: { value: 'AAAA' },
      agent_id: { value: 'edge-1' },
    });
  });
});
