/** Tasks that come and go behind a real haproxy, under constant load: not one request fails. */
import { Agent } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import type { EndpointView } from '../../../shared/protocol/endpoints.ts';
import { endpointOf } from '../../support/endpoints.ts';
import { type RunningBalancer, startRunningBalancer } from '../../support/running-balancer.ts';
import { ask, startLoad, startWebTask, type WebTask } from '../../support/web-task.ts';

let running: RunningBalancer | null = null;
const tasks: WebTask[] = [];
afterEach(async () => {
  await running?.stop();
  running = null;
  await Promise.all(tasks.splice(0).map((task) => task.kill()));
});

async function task(name: string, options: Parameters<typeof startWebTask>[1] = {}): Promise<WebTask> {
  const started = await startWebTask(name, options);
  tasks.push(started);
  return started;
}

function endpoint({ name, port }: WebTask, given: Partial<EndpointView> = {}): EndpointView {
  return endpointOf({ task: name, port, ...given });
}

describe('a service behind haproxy', () => {
  it('is replaced one task after the other without a reload and without a failed request', async () => {
    running = await startRunningBalancer();
    let current = await Promise.all(['a1', 'a2', 'a3', 'a4'].map((name) => task(name)));
    await running.serve(current.map((each) => endpoint(each)));
    const load = startLoad(running.httpPort);
    for (const version of ['b', 'c', 'd']) {
      for (const [index, old] of current.entries()) {
        const next = await task(`${version}${index + 1}`);
        await running.serve([...current.map((each) => endpoint(each)), endpoint(next)]);
        const rest = current.filter((each) => each !== old);
        await running.serve([...rest, next].map((each) => endpoint(each)).concat(endpoint(old, { state: 'draining' })));
        await old.end();
        current = [...rest, next];
        await running.serve(current.map((each) => endpoint(each)));
      }
    }
    const before = load.done();
    await running.until('some more requests', () => load.done() > before + 50);
    await load.stop();
    expect(load.failures).toEqual([]);
    expect([...load.answers.keys()].toSorted()).toEqual(
      expect.arrayContaining(['a1', 'b1', 'c4', 'd1', 'd2', 'd3', 'd4']),
    );
    expect(running.balancer.status().tally).toMatchObject({ reloads: 0, restarts: 0 });
    expect(running.complaints).toEqual([]);
  });

  it('gives a draining task nothing new and lets it finish what it has', async () => {
    running = await startRunningBalancer();
    const [old, next] = [await task('old', { delayMs: 300 }), await task('next')];
    await running.serve([endpoint(old)]);
    const slow = ask(running.httpPort);
    await running.until('the request to be under way', () => old.served() === 1);
    await running.serve([endpoint(old, { state: 'draining' }), endpoint(next)]);
    for (let turn = 0; turn < 20; turn += 1) expect((await ask(running.httpPort)).body).toBe('next');
    expect(await slow).toMatchObject({ status: 200, body: 'old' });
    expect(old.served()).toBe(1);
  });

  it('still asks draining tasks where there is no other', async () => {
    running = await startRunningBalancer();
    const old = await task('old');
    await running.serve([endpoint(old, { state: 'draining' })]);
    expect(await ask(running.httpPort)).toMatchObject({ status: 200, body: 'old' });
  });

  it('loses no request with a task that is killed before anybody has heard of it', async () => {
    running = await startRunningBalancer();
    const several = await Promise.all(['a', 'b', 'c'].map((name) => task(name, { delayMs: 2 })));
    await running.serve(several.map((each) => endpoint(each)));
    // What a POST has begun can't be begun again, so only reads are asked of a task that is cut off.
    const load = startLoad(running.httpPort, { methods: ['GET'] });
    for (const each of several.slice(0, 2)) {
      await running.until('requests there', () => each.served() > 20);
      await each.kill();
      const before = load.done();
      await running.until('more requests', () => load.done() > before + 100);
    }
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(running.balancer.status().tally).toMatchObject({ reloads: 0, commands: 0 });
  });

  it('finds the one task that answers among many that hang up, over a connection that is in use', async () => {
    running = await startRunningBalancer();
    const names = ['a', 'b', 'c', 'd', 'e'];
    const several = await Promise.all(names.map((name) => task(name, { hangsUpAfter: name === 'e' ? undefined : 2 })));
    await running.serve(several.map((each) => endpoint(each)));
    // haproxy hangs up on a client that has asked before, and tells it nothing, when it has run out of tries.
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let turn = 0; turn < 30; turn += 1)
      expect(await ask(running.httpPort, { agent })).toMatchObject({ status: 200 });
    agent.destroy();
    expect(several.filter((each) => each.served() > 2)).toHaveLength(5);
  });

  it('says so where none is ready, and where none is published', async () => {
    running = await startRunningBalancer();
    await running.serve([endpointOf({ state: 'starting' })]);
    const none = await ask(running.httpPort);
    expect(none).toMatchObject({ status: 503, body: 'No task of this service can be reached now.\n' });
    const unknown = await ask(running.httpPort, { host: 'other.example' });
    expect(unknown).toMatchObject({ status: 404, body: 'No service is published under this host and path.\n' });
    // Its last endpoint is gone; it is still known.
    await running.serve([]);
    expect((await ask(running.httpPort)).status).toBe(503);
  });
});
