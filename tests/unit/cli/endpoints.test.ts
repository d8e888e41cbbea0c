/** Where services are reached, on the command line. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { T0 } from '../../support/builders.ts';
import { aServer, aService, Served, WELL } from '../../support/served.ts';
import { type CliUnderTest, startCliUnderTest } from './replica-cli.ts';

let cli: CliUnderTest;
let served: Served;
const [WEB, SHOP] = [aService(), aService({ name: 'shop', role: 'eng/shop' })];
beforeAll(async () => {
  cli = await startCliUnderTest();
  served = new Served(cli.ctx);
  await served.nodes({ id: 'edge-1', address: '10.0.0.7' }, { id: 'edge-2', address: 'fd00::7' });
  await served.job(WEB, [aServer(WEB), aServer(WEB, { index: 1, node: 'edge-2', health: null })]);
  await served.job(SHOP, [
    aServer(SHOP),
    aServer(SHOP, { index: 1, stop: { atMs: T0, by: 'alice', reason: 'enough' } }),
  ]);
});
afterAll(() => cli.stop());

describe('berth endpoints', () => {
  it('shows where each port is reached and how it is', async () => {
    const { out } = await cli.berth(['endpoints']);
    expect(out).toMatch(/^JOB +GROUP +INDEX +PORT +ADDRESS +STATE +SINCE +NODE +VERSION$/m);
    expect(out).toMatch(/^web +main +0 +http +10\.0\.0\.7:20000 +ready +\S+ ago +edge-1 +1$/m);
    expect(out).toMatch(/^web +main +1 +stats +\[fd00::7\]:20003\/udp +starting /m);
    expect(out).toMatch(/^eng\/shop\/shop +main /m);
  });

  it('shows what was asked for, for programs too', async () => {
    const { out } = await cli.berth(['endpoints', '--job', 'web', '--port', 'http', '--state', 'ready', '-o', 'json']);
    expect(JSON.parse(out)).toMatchObject([{ job: 'web', index: 0, portName: 'http', state: 'ready' }]);
    expect(
      (await cli.berth(['endpoints', '--role', 'eng', '--port', 'http', '--state', 'ready', '-o', 'name'])).out,
    ).toBe(`${aServer(SHOP).id}/http\n`);
  });

  it('says that there are none', async () => {
    expect(await cli.berth(['endpoints', '--group', 'other'])).toMatchObject({
      code: 0,
      out: '',
      err: 'There are no endpoints.\n',
    });
  });

  it('refuses a state that there is not', async () => {
    expect(await cli.berth(['endpoints', '--state', 'well'])).toMatchObject({ code: 2 });
  });

  it('follows what becomes of them until it is interrupted', async () => {
    const watching = cli.start(['endpoints', '--job', 'web', '--port', 'http', '-w']);
    await expect.poll(() => watching.out()).toContain('starting');
    await served.tasks(aServer(WEB, { index: 1, node: 'edge-2', health: { ...WELL, healthy: false } }));
    await expect.poll(() => watching.out()).toContain('unhealthy');
    watching.interrupt('SIGINT');
    expect(await watching.done).toMatchObject({ code: 0 });
  });
});
