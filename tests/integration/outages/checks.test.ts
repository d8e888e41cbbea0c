/** Checks of tasks, and etcd that is gone for a while: what works runs on, and what was found meanwhile gets on record. */
import { afterEach, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { EtcdStore } from '../../../control-plane/adapters/etcd/etcd-store.ts';
import { DRIVER_DEFAULTS, Driver } from '../../../control-plane/controllers/driver.ts';
import type { ServiceContext } from '../../../control-plane/services/context.ts';
import { submitJob } from '../../../control-plane/services/jobs.ts';
import type { Task } from '../../../shared/domain/task.ts';
import { present } from '../../../shared/util/assert.ts';
import { startEtcd, type TestEtcd } from '../../support/etcd.ts';
import { aCheck, FAILS, PASSES } from '../../support/fake-probes.ts';
import { NearAgent } from '../../support/near-agent.ts';
import { eventually } from '../../support/processes.ts';
import { callOf, specOf, startReplica } from '../../support/replica.ts';

const NODES = { leaseTtlMs: 2000, heartbeatIntervalMs: 400 };
const IMAGE = 'tool:1';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function serve(etcd: TestEtcd): Promise<ServiceContext> {
  const store = new EtcdStore({ hosts: [etcd.url], requestTimeoutMs: 1000, progressIntervalMs: 500 });
  const { ctx: base, stop } = await startReplica({ store, id: 'a', clock: new SystemClock() });
  const ctx = { ...base, config: { ...base.config, ...NODES } };
  const abort = new AbortController();
  const driving = new Driver(ctx, { ...DRIVER_DEFAULTS, nodes: NODES }).run(abort.signal);
  ends.push(async () => {
    abort.abort();
    await driving;
    stop();
    await store.close();
  });
  return ctx;
}

function checked(name: string) {
  const [group] = specOf().groups;
  const ports = [{ name: 'http', protocol: 'tcp' as const }];
  const checks = [aCheck({ intervalSeconds: 0.1, failuresMax: 2 })];
  return { ...specOf({ name }), groups: [{ ...present(group, 'a group'), image: IMAGE, ports, checks }] };
}

it('puts the health of tasks on record, and ends none that works because nobody listens', async () => {
  const etcd = await startEtcd();
  ends.push(() => etcd.stop());
  const ctx = await serve(etcd);
  const agent = new NearAgent('edge-1', [IMAGE], () => ctx);
  await agent.start();
  ends.push(() => agent.stop());
  for (const name of ['works', 'breaks']) await submitJob(ctx, callOf(), checked(name));
  const taskOf = (name: string): Task =>
    present(
      [...ctx.mirror.snapshot.tasks.values()].find(({ jobName }) => jobName === name),
      'a task',
    );

  const isHealthy = ({ state, health }: Task) => state === 'running' && health?.healthy === true && health.ready;
  await eventually('both to be healthy', async () => isHealthy(taskOf('works')) && isHealthy(taskOf('breaks')));
  const broken = taskOf('breaks').ports['http'];

  await etcd.kill();
  agent.probes.answer = ({ port }) => (port === broken ? FAILS : PASSES);
  const { length } = agent.probes.made;
  await eventually('probes to be made all the while', async () => agent.probes.made.length > length + 60);
  expect(agent.runtime.signals.filter(({ task }) => task === taskOf('works').id)).toEqual([]);

  await etcd.restart();
  await eventually('the end of what is broken', async () => taskOf('breaks').state === 'failed');
  expect(taskOf('breaks')).toMatchObject({ health: { healthy: false } });
  expect(taskOf('breaks').history.at(-1)?.message).toContain('its check "web" failed');
  expect(isHealthy(taskOf('works'))).toBe(true);
}, 60_000);
