/** A balancer in a process of its own that is killed once it serves, so that its haproxy runs on without it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { endpointOf } from './endpoints.ts';
import { startRunningBalancer } from './running-balancer.ts';

/** One service with one task. */
export async function startLostBalancer(
  folder: string,
  { httpPort, taskPort }: { httpPort: number; taskPort: number },
): Promise<{ readonly haproxyPid: number }> {
  const args = [fileURLToPath(import.meta.url), folder, String(httpPort), String(taskPort)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(child.stdout, 'data');
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
  return { haproxyPid: Number(String(line)) };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , folder = '', httpPort, taskPort] = process.argv;
  const running = await startRunningBalancer({ folder, http: { host: '127.0.0.1', port: Number(httpPort) } });
  await running.serve([endpointOf({ task: 'web', port: Number(taskPort) })]);
  process.stdout.write(`${running.balancer.status().haproxyPid}\n`);
}
