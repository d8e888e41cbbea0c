/** Whatever jobs publish, haproxy takes the configuration: one bad service must not stop the changes of all. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { configurationOf } from '../../../control-plane/balancer/config.ts';
import { ConfigFolder } from '../../../control-plane/balancer/config-folder.ts';
import { Haproxy } from '../../../control-plane/balancer/haproxy.ts';
import { EMPTY_PLAN, nextPlan } from '../../../control-plane/balancer/plan.ts';
import { SILENT_LOGGER } from '../../../shared/util/log.ts';
import { arbitraryEndpoints } from '../../support/arbitrary-endpoints.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-valid-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const validate = (path: string) =>
  Haproxy.validate(
    { command: 'haproxy', env: process.env, folder, clock: new SystemClock(), log: SILENT_LOGGER },
    path,
  );

it('any endpoints give a configuration that haproxy takes', async () => {
  await fc.assert(
    fc.asyncProperty(arbitraryEndpoints, fc.boolean(), async (endpoints, reusesConnections) => {
      const settings = {
        http: { host: '', port: 8080 },
        https: null,
        certsDir: null,
        redirectsToHttps: false,
        serviceHost: '::1',
        reusesConnections,
        folder,
        ownPorts: [],
      };
      const addresses = new Map([['node-1', '10.0.0.3']]);
      const input = { endpoints, addresses, refused: new Map(), settings, before: EMPTY_PLAN, nowMs: 0 };
      const path = await new ConfigFolder(folder).putCandidate(configurationOf(nextPlan(input), settings, null));
      expect(await validate(path)).toBeNull();
    }),
    { numRuns: 25 },
  );
});

it('one that it does not take is told in its own words', async () => {
  const path = join(folder, 'bad.cfg');
  await writeFile(path, 'defaults\n  mode htttp\n');
  expect(await validate(path)).toMatch(/bad\.cfg:2.*htttp/s);
});
