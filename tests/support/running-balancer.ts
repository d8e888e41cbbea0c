/** A balancer with a real haproxy, on free ports of the loopback interface. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SystemClock } from '../../control-plane/adapters/clock/system-clock.ts';
import { CryptoRandom } from '../../control-plane/adapters/random/crypto-random.ts';
import { Balancer } from '../../control-plane/balancer/balancer.ts';
import type { BalancerSettings } from '../../control-plane/balancer/settings.ts';
import type { EndpointView } from '../../shared/protocol/endpoints.ts';
import type { Logger } from '../../shared/util/log.ts';
import { PlayedEndpoints } from './endpoints.ts';
import { freePort } from './etcd.ts';

export interface RunningBalancer {
  readonly balancer: Balancer;
  readonly source: PlayedEndpoints;
  readonly settings: BalancerSettings;
  readonly httpPort: number;
  /** Warnings and errors, in words. */
  readonly complaints: readonly string[];
  /** Puts the list, and resolves when haproxy serves it. */
  serve(list: readonly EndpointView[]): Promise<void>;
  until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void>;
  stop(): Promise<void>;
}

const UNTIL_TIMEOUT_MS = 20_000;

export async function startRunningBalancer(
  given: Partial<BalancerSettings> & { haproxy?: string } = {},
): Promise<RunningBalancer> {
  const own = given.folder === undefined ? await mkdtemp(join(tmpdir(), 'berth-balancer-')) : null;
  const httpPort = given.http?.port ?? (await freePort());
  const { haproxy = 'haproxy', ...settingsGiven } = given;
  const settings: BalancerSettings = {
    http: { host: '127.0.0.1', port: httpPort },
    https: null,
    certsDir: null,
    redirectsToHttps: false,
    serviceHost: '127.0.0.1',
    reusesConnections: false,
    folder: own ?? '',
    ownPorts: [],
    ...settingsGiven,
  };
  const complaints: string[] = [];
  const complain: Logger['warn'] = (fields, message) => complaints.push(`${message} ${JSON.stringify(fields)}`);
  const log = { debug: () => undefined, info: () => undefined, warn: complain, error: complain };
  const source = new PlayedEndpoints();
  const balancer = new Balancer({
    source,
    settings,
    haproxy: { command: haproxy, env: process.env },
    clock: new SystemClock(),
    random: new CryptoRandom(),
    log,
  });
  const ending = new AbortController();
  const running = balancer.run(ending.signal);
  let failure: unknown = null;
  running.catch((error: unknown) => {
    failure = error;
  });
  const until = async (what: string, isSo: () => boolean | Promise<boolean>) => {
    const deadlineMs = performance.now() + UNTIL_TIMEOUT_MS;
    while (!(await isSo())) {
      if (failure !== null) throw failure;
      if (performance.now() > deadlineMs) throw new Error(`waited in vain for ${what}: ${complaints.join('\n')}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  return {
    balancer,
    source,
    settings,
    httpPort,
    complaints,
    until,
    async serve(list) {
      const before = balancer.status().tally.applied;
      source.put(list);
      await until('the list to be served', () => balancer.status().tally.applied > before);
    },
    async stop() {
      ending.abort();
      await running.catch(() => undefined);
      if (own !== null) await rm(own, { recursive: true, force: true });
    },
  };
}
