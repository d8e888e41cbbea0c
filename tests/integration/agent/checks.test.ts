/** Checks of real tasks by a real agent: over the network, within the container, and beside a process. */
import { createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TaskGroup } from '../../../shared/domain/job.ts';
import type { CheckSpec } from '../../../shared/domain/service.ts';
import type { TaskHealth } from '../../../shared/domain/task.ts';
import { aCheck } from '../../support/fake-probes.ts';
import { AgentUnderTest } from './agent-process.ts';

let agent: AgentUnderTest;

beforeEach(async () => {
  agent = await AgentUnderTest.make();
});

afterEach(async () => {
  await agent.dispose();
});

const QUICK = { intervalSeconds: 0.2, timeoutSeconds: 2, graceSeconds: 20, failuresMax: 2 } as const;

/** It works as soon as there is `/www/ok`. */
const SERVER = 'mkdir -p /www; httpd -p 80 -h /www; echo fine > /www/ok; sleep 600';

async function assignWeb(checks: readonly CheckSpec[], script = SERVER, change: Partial<TaskGroup> = {}) {
  const port = await freePort();
  return agent.assign(
    'web',
    {
      command: ['sh', '-c', script],
      network: 'bridge',
      ports: [{ name: 'http', containerPort: 80, protocol: 'tcp' }],
      killGraceSeconds: 0,
      checks,
      ...change,
    },
    { ports: { http: port } },
  );
}

function freePort(): Promise<number> {
  const holder = createServer();
  return new Promise((resolve) => {
    holder.listen(0, '0.0.0.0', () => {
      const { port } = holder.address() as { port: number };
      holder.close(() => resolve(port));
    });
  });
}

/** The latest that was reported. */
const healthOf = (task: string): TaskHealth | undefined =>
  agent.controlPlane.received.health.findLast((report) => report.task === task)?.health;

const health = (task: string, isSo: (health: TaskHealth) => boolean): Promise<TaskHealth> =>
  agent.until(`word of the health of ${task}`, () => {
    const latest = healthOf(task);
    return latest !== undefined && isSo(latest) ? latest : null;
  });

describe('a task that is checked', () => {
  it('is healthy once it answers as it should', async () => {
    const task = await assignWeb([aCheck({ ...QUICK, path: '/ok' })]);
    agent.start();
    const { checks } = await health(task, ({ healthy }) => healthy === true);
    expect(checks).toMatchObject([{ name: 'web', passing: true, message: 'GET /ok: status 200' }]);
  });

  it('is not ready until its check for readiness passes, and healthy meanwhile', async () => {
    const script =
      'mkdir -p /www; httpd -p 80 -h /www; while [ ! -e /go ]; do sleep 0.1; done; echo > /www/ok; sleep 600';
    const task = await assignWeb(
      [
        aCheck({ ...QUICK, name: 'listens', type: 'tcp' }),
        aCheck({ ...QUICK, name: 'open', path: '/ok', purpose: 'readiness', onFailure: 'none' }),
      ],
      script,
    );
    agent.start();
    await health(task, ({ healthy, ready, checks }) => healthy === true && !ready && checks[1]?.message !== '');
    const { Id } = await agent.containerOf(task);
    const exec = await agent.docker.getContainer(Id).exec({ Cmd: ['touch', '/go'] });
    await exec.start({});
    await health(task, ({ healthy, ready }) => healthy === true && ready);
  });

  it('is ended when its check fails, with what the check found', async () => {
    const script = `${SERVER.replace('sleep 600', 'sleep 1; rm /www/ok; sleep 600')}`;
    const task = await assignWeb([aCheck({ ...QUICK, path: '/ok' })], script);
    agent.start();
    const end = await agent.ended(task);
    expect(end).toMatchObject({ state: 'failed', reason: 'unhealthy' });
    expect(end.message).toContain('its check "web" failed 2 times in a row: GET /ok: status 404');
    expect(healthOf(task)).toMatchObject({ healthy: false });
  });

  it('is ended when it does not listen, though the engine takes connections for it', async () => {
    const check = aCheck({ ...QUICK, name: 'listens', type: 'tcp', graceSeconds: 0, failuresMax: 1 });
    const task = await assignWeb([check], 'sleep 600');
    agent.start();
    const end = await agent.ended(task);
    expect(end).toMatchObject({ state: 'failed', reason: 'unhealthy' });
    expect(end.message).toMatch(
      /^its check "listens" failed once: port \d+: (?:the connection was closed|connection refused)/,
    );
  });

  it('runs on through the end of its agent, and the next one says nothing worse of it', async () => {
    const task = await assignWeb([aCheck({ ...QUICK, path: '/ok' })]);
    agent.start();
    await health(task, ({ healthy }) => healthy === true);
    await agent.end('SIGKILL');
    const before = agent.controlPlane.received.health.length;
    agent.start();
    await agent.until('the next agent to tell of it', () =>
      agent.controlPlane.received.health.length > before ? true : null,
    );
    expect(agent.controlPlane.received.health.slice(before).map((report) => report.health.healthy)).not.toContain(
      false,
    );
    expect(agent.controlPlane.stateOf(task)).toBe('running');
  });
});

describe('a command', () => {
  it('is run within the container, and what it writes is told', async () => {
    const check = aCheck({
      ...QUICK,
      name: 'inside',
      type: 'command',
      command: ['sh', '-c', 'echo "of $BERTH_JOB" >&2; exit 3'],
    });
    const { port: _, ...spec } = { ...check, graceSeconds: 0, failuresMax: 1 };
    const task = agent.assign('inside', { command: ['sleep', '600'], killGraceSeconds: 0, checks: [spec] });
    agent.start();
    const end = await agent.ended(task);
    expect(end).toMatchObject({ state: 'failed', reason: 'unhealthy' });
    expect(end.message).toContain('its check "inside" failed once: exit code 3: of job');
  });

  it('that hangs is a failure, and is ended', async () => {
    const check = aCheck({ ...QUICK, name: 'slow', type: 'command', command: ['sleep', '500'], onFailure: 'none' });
    const { port: _, ...spec } = {
      ...check,
      graceSeconds: 0,
      failuresMax: 1,
      intervalSeconds: 60,
      timeoutSeconds: 0.5,
    };
    const task = agent.assign('slow', { command: ['sleep', '600'], checks: [{ ...spec, intervalSeconds: 1 }] });
    agent.start();
    const { checks } = await health(task, ({ healthy }) => healthy === false);
    expect(checks[0]?.message).toBe('no answer within 0.5 s');
    const { Id } = await agent.containerOf(task);
    await agent.until('few of them to be left', async () => {
      const { Processes } = await agent.docker.getContainer(Id).top();
      return Processes.length <= 2 ? true : null;
    });
  });

  it.runIf(process.getuid?.() === 0)('of a task without a container is run beside its process', async () => {
    const { port: _, ...check } = aCheck({ ...QUICK, name: 'beside', type: 'command', command: ['test', '-e', 'up'] });
    const group = { runtime: 'process', image: '', network: 'host', checks: [check] } as const;
    const task = agent.assign('bare', {
      ...group,
      command: ['sh', '-c', 'sleep 1; touch up; sleep 1; rm up; sleep 600'],
    });
    agent.start('--allow-process-runtime');
    await health(task, ({ healthy }) => healthy === true);
    expect(await agent.ended(task)).toMatchObject({ state: 'failed', reason: 'unhealthy' });
  });
});
