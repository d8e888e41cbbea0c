/** Starts the edge entry as the control plane of a development cluster: the tunnel before etcd, and the Worker behind which it is. */
import { join } from 'node:path';
import type { StartControlPlane } from '../../control-plane/cli/dev/cluster.ts';
import { takePort } from '../../control-plane/cli/dev/ports.ts';
import { firstToken } from './first-token.ts';
import { type EdgePart, planTunnel, planWorker } from './parts.ts';

const TOKEN_TTL_SECONDS = 30 * 24 * 3600;

export const startEdge: StartControlPlane = async ({ etcd, port, dataDir, env, onStep, start, untilReady }) => {
  const startPart = (name: string, { command, args, env: own }: EdgePart) => start({ name, command, args, env: own });
  onStep('starting the tunnel before etcd');
  const tunnel = planTunnel({ etcd, port: await takePort(0), env });
  await startPart('tunnel', tunnel);
  const token = await firstToken([etcd], TOKEN_TTL_SECONDS);
  onStep('starting the Worker');
  const folder = join(dataDir, 'worker');
  const worker = await planWorker({ tunnel, port, inspectorPort: await takePort(0), folder, env });
  await startPart('worker', worker);
  await untilReady('the Worker', `${worker.url}/readyz`);
  return { token };
};
