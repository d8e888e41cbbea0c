/** A task that is checked, between a client of the door, two replicas and the agent next to the task. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import type { WireTaskStatus } from '../../../control-plane/facade-mesos/wire/event.ts';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent } from '../../support/api-agent.ts';
import { MesosClient } from '../../support/mesos-client.ts';
import { caughtUp } from '../../support/replica.ts';

let peers: Map<string, TestApi>;
let a: TestApi;
let b: TestApi;
let agent: ApiAgent;

beforeEach(async () => {
  const store = new MemoryStore({ clock: new SystemClock() });
  peers = new Map();
  a = await startApi({ store, id: 'a', peers });
  b = await startApi({ store, id: 'b', peers });
  agent = await ApiAgent.register(a);
  await caughtUp(b.replica.ctx);
});
afterEach(() => {
  for (const berth of peers.values()) berth.stop();
});

const scalar = (name: string, value: number) => ({ name, type: 'SCALAR', scalar: { value } });

/** A server that listens at 80, reached by a port of the node, and is asked whether it works. */
function webServer(hostPort: number, check: object): object {
  const mapping = { host_port: hostPort, container_port: 80 };
  return {
    ...{ name: 'web', task_id: { value: 'web' }, agent_id: { value: 'edge-1' }, health_check: check },
    ...{ command: { value: 'httpd', shell: true } },
    resources: [
      ...[scalar('cpus', 0.1), scalar('mem', 32)],
      { name: 'ports', type: 'RANGES', ranges: { range: [{ begin: hostPort, end: hostPort }] } },
    ],
    container: { type: 'DOCKER', docker: { image: 'busybox', network: 'BRIDGE', port_mappings: [mapping] } },
  };
}

async function launched(check: object): Promise<{ client: MesosClient; port: number }> {
  const client = await MesosClient.subscribe(a);
  await a.replica.settle();
  const [offer] = (await client.until('OFFERS')).offers.offers;
  const [range] =
    Object.values(a.replica.ctx.mirror.snapshot.ledgers.get('edge-1')?.offers ?? {})[0]?.resources.ports ?? [];
  const port = range?.first ?? 0;
  const operations = [{ type: 'LAUNCH', launch: { task_infos: [webServer(port, check)] } }];
  await client.accepted({ type: 'ACCEPT', accept: { offer_ids: [offer?.id], operations } });
  return { client, port };
}

async function status(client: MesosClient): Promise<WireTaskStatus> {
  return (await client.until('UPDATE')).update.status;
}

const acknowledging = ({ agent_id, task_id, uuid }: WireTaskStatus) => ({
  type: 'ACKNOWLEDGE',
  acknowledge: { agent_id, task_id, uuid },
});

/** What the agent next to the task has found out. */
async function found(task: string, healthy: boolean, message: string): Promise<void> {
  const checks = [{ name: 'health', passing: healthy, message, atMs: Date.now() }];
  const health = { run: 0, healthy, ready: true, sinceMs: Date.now(), checks };
  const json = { statuses: [], released: [], health: [{ task, health }] };
  expect((await agent.send('POST', '/v1/agent/statuses', { json })).status).toBe(200);
  for (const { replica } of peers.values()) await caughtUp(replica.ctx);
}

/** What tools read of the task's present status. */
async function shown(): Promise<object | undefined> {
  const response = await b.send('GET', '/master/state');
  const state = (await response.json()) as {
    readonly frameworks: readonly {
      readonly name: string;
      readonly tasks: readonly { readonly statuses: readonly object[] }[];
    }[];
  };
  const painter = state.frameworks.find(({ name }) => name === 'painter');
  return painter?.tasks[0]?.statuses.at(-1);
}

const HTTP = { type: 'HTTP', http: { port: 80, path: '/ok' }, consecutive_failures: 2, interval_seconds: 1 };
const CHANGED = 'REASON_TASK_HEALTH_CHECK_STATUS_UPDATED';

it('is checked at the port that leads to it, told of as its health changes, and killed by its check', async () => {
  const { client, port } = await launched(HTTP);
  const { tasks } = await agent.assignment(({ tasks: assigned }) => assigned.length === 1);
  const [task] = tasks;
  expect(task?.ports).toEqual({ [`p${port}`]: port });
  expect(task?.group.checks).toMatchObject([
    { type: 'http', port: `p${port}`, path: '/ok', failuresMax: 2, onFailure: 'replace' },
  ]);
  const id = task?.id ?? '';

  await agent.report(id, 'running');
  const running = await status(client);
  expect(running.state).toBe('TASK_RUNNING');
  expect(running).not.toHaveProperty('healthy');
  await found(id, true, 'GET /ok: status 200');
  expect(await shown()).toMatchObject({ state: 'TASK_RUNNING', healthy: true });
  await client.accepted({ type: 'RECONCILE', reconcile: {} }, b);
  // Nothing is told of its health before it is acknowledged that it runs: the answer is what comes first.
  expect(await status(client)).toMatchObject({ reason: 'REASON_RECONCILIATION', healthy: true });
  await client.accepted(acknowledging(running), b);
  const healthy = await status(client);
  expect(healthy).toMatchObject({ state: 'TASK_RUNNING', healthy: true, reason: CHANGED, source: 'SOURCE_EXECUTOR' });
  expect(healthy.message).toBe('health: GET /ok: status 200');
  expect(healthy).not.toHaveProperty('uuid');

  const again = await MesosClient.subscribe(b, { id: { value: client.id } });
  expect(await status(again)).toMatchObject({ state: 'TASK_RUNNING', healthy: true, reason: CHANGED });
  await found(id, false, 'GET /ok: status 500');
  expect(await status(again)).toMatchObject({ state: 'TASK_RUNNING', healthy: false, reason: CHANGED });
  expect(await shown()).toMatchObject({ state: 'TASK_RUNNING', healthy: false });
  await agent.report(id, 'failed', { reason: 'unhealthy', message: 'its check "health" failed 2 times in a row' });
  const killed = await status(again);
  expect(killed).toMatchObject({ state: 'TASK_KILLED', healthy: false, source: 'SOURCE_EXECUTOR' });
  expect(killed).not.toHaveProperty('reason');
  await again.accepted(acknowledging(killed), a);
  await again.accepted({ type: 'RECONCILE', reconcile: { tasks: [{ task_id: { value: 'web' } }] } });
  expect(await status(again)).toMatchObject({ state: 'TASK_KILLED', healthy: false, reason: 'REASON_RECONCILIATION' });
});

it.each([
  [{ ...HTTP, http: { port: 8080 } }, "Task uses invalid health check: 'health_check.http.port 8080' is not supported"],
  [{ type: 'TCP' }, "Task uses invalid health check: Expecting 'tcp' to be set for TCP health check"],
])('that can not be checked by %j is an error, and holds nothing', async (check, message) => {
  const { client } = await launched(check);
  const refused = await status(client);
  expect(refused).toMatchObject({ state: 'TASK_ERROR', reason: 'REASON_TASK_INVALID' });
  expect(refused.message).toContain(message);
  expect(a.replica.ctx.mirror.snapshot.tasks.size).toBe(0);
});
