/** One etcd member of our own, for a development cluster: on this machine only, on ports that are free. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { CliError } from '../exit.ts';
import type { ChildCommand } from './child.ts';
import { takePort } from './ports.ts';

const DEBIAN_PATHS = '/usr/local/sbin:/usr/sbin:/sbin';

/** Throws a CliError that says what to do where there is no etcd. */
export function checkEtcd(env: Readonly<Record<string, string | undefined>>): void {
  const { error, status } = spawnSync('etcd', ['--version'], {
    env: { ...env, PATH: searchPath(env) },
    stdio: 'ignore',
  });
  if (error === undefined && status === 0) return;
  throw new CliError('there is no etcd on this machine', { remedy: 'Run `npm run setup`, which installs it.' });
}

export interface EtcdPlan {
  readonly url: string;
  readonly command: ChildCommand;
}

export async function planEtcd(options: {
  dataDir: string;
  logFile: string;
  env: Readonly<Record<string, string | undefined>>;
}): Promise<EtcdPlan> {
  const { dataDir, logFile, env } = options;
  const [client, peer] = [await takePort(0), await takePort(0)];
  const url = `http://127.0.0.1:${client}`;
  const peerUrl = `http://127.0.0.1:${peer}`;
  const args = [
    ...['--name', 'dev', '--data-dir', join(dataDir, 'etcd')],
    ...['--listen-client-urls', url, '--advertise-client-urls', url],
    ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl, '--initial-cluster', `dev=${peerUrl}`],
    // A single member has nobody to wait for; the defaults make a restart take seconds.
    ...['--heartbeat-interval', '10', '--election-timeout', '100'],
    ...['--logger', 'zap', '--log-outputs', 'stderr'],
  ];
  // etcd 3.4 refuses to run on ARM unless it is told that we know.
  const platform = process.arch === 'arm64' ? { ETCD_UNSUPPORTED_ARCH: 'arm64' } : {};
  return {
    url,
    command: { name: 'etcd', command: 'etcd', args, env: { ...env, ...platform, PATH: searchPath(env) }, logFile },
  };
}

/** Debian's packages put some programs where only root's PATH leads. */
function searchPath(env: Readonly<Record<string, string | undefined>>): string {
  return `${env['PATH'] ?? ''}:${DEBIAN_PATHS}`;
}
