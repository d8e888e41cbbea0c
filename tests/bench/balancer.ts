/**
 * How long it takes until haproxy serves what a new list of endpoints says. A task that is replaced: from the list until the command
 * that switches its server on has been carried out, and against it haproxy's own command, sent by hand. A new service: from the
 * list until a worker serves its port, and against it haproxy's own check and reload of the same file. The two sides take turns.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { SystemClock } from '../../control-plane/adapters/clock/system-clock.ts';
import { callSocket } from '../../control-plane/balancer/admin-socket.ts';
import { MASTER_SOCKET, WORKER_SOCKET } from '../../control-plane/balancer/config.ts';
import type { EndpointView } from '../../shared/protocol/endpoints.ts';
import { endpointOf } from '../support/endpoints.ts';
import { type RunningBalancer, startRunningBalancer } from '../support/running-balancer.ts';
import { ProcessorMeter } from './processor-time.ts';
import type { Figure, Section } from './report.ts';
import { Rest } from './rest.ts';
import { distributionOf } from './statistics.ts';

const SERVICES = 100;
const TASKS = 10;
const TURNS = 30;
const LIVE_MS_MAX = 200;
const REST_MS = 100;
const LOOK_MS = 1;
const clock = new SystemClock();

type Kind = 'replaced' | 'bare command' | 'new service' | 'bare reload';

export async function measureBalancer(): Promise<Section> {
  const folder = await mkdtemp(join(tmpdir(), 'berth-bench-'));
  const running = await startRunningBalancer({ folder });
  const meter = new ProcessorMeter([]);
  const rest = new Rest();
  try {
    await running.serve(fleet(0, 0));
    meter.resume();
    const took: Record<Kind, number[]> = { replaced: [], 'bare command': [], 'new service': [], 'bare reload': [] };
    let extra = 0;
    for (let turn = 1; turn <= TURNS; turn += 1) {
      took.replaced.push(await timed(() => running.serve(fleet(turn, extra))));
      took['bare command'].push(await timed(() => bareCommand(folder, turn)));
      extra += 1;
      took['new service'].push(await timed(() => running.serve(fleet(turn, extra))));
      took['bare reload'].push(await timed(() => bareReload(folder)));
      await rest.take(REST_MS);
    }
    meter.pause();
    return sectionOf(took, running, { processor: meter.use(0), othersPercent: rest.busyPercent });
  } finally {
    await running.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** In the n-th, the first task of the first service is another one than in the one before. */
function fleet(turn: number, extra: number): EndpointView[] {
  return Array.from({ length: SERVICES + extra }, (_, service) =>
    Array.from({ length: TASKS }, (_, index) =>
      endpointOf({
        job: `job-${service}`,
        task: `job-${service}-${index}-${service === 0 && index === 0 ? turn : 0}`,
        index,
        address: `127.0.${service % 250}.${index + 1}`,
        port: 20_000 + (service === 0 && index === 0 ? turn : 0),
        publish: { mode: 'http', hosts: [`job-${service}.example`] },
      }),
    ),
  ).flat();
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const beganAtMs = performance.now();
  await work();
  return performance.now() - beganAtMs;
}

/** What the balancer sends for a task that is replaced, to a server that nothing else uses. */
async function bareCommand(folder: string, turn: number): Promise<void> {
  const server = 'set server default:job-1:main:http/s16';
  const line = `${server} state maint;${server} addr 127.0.0.9 port ${1000 + turn};${server} weight 100;${server} state ready`;
  await callSocket(join(folder, WORKER_SOCKET), line, clock);
  await callSocket(join(folder, WORKER_SOCKET), `${server} state maint`, clock);
}

async function bareReload(folder: string): Promise<void> {
  const worker = async () =>
    /^Pid: (\d+)$/m.exec(await callSocket(join(folder, WORKER_SOCKET), 'show info', clock))?.[1];
  await promisify(execFile)('haproxy', ['-c', '-f', join(folder, 'haproxy.cfg')]);
  const before = await worker();
  await callSocket(join(folder, MASTER_SOCKET), 'reload', clock);
  while ((await worker().catch(() => before)) === before) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
}

function sectionOf(
  took: Record<Kind, number[]>,
  { balancer }: RunningBalancer,
  machine: Pick<Section, 'processor' | 'othersPercent'>,
): Section {
  const { tally } = balancer.status();
  if (tally.reloads !== TURNS) throw new Error(`${TURNS} reloads were to be measured, and there were ${tally.reloads}`);
  const figures = [
    ...figuresOf(took, { name: 'a task is replaced → served', side: 'replaced', floor: 'bare command' }),
    ...figuresOf(took, { name: 'a new service → served', side: 'new service', floor: 'bare reload' }),
  ];
  const rows = Object.entries(took).map(([kind, values]) => {
    const { p50, p95, min, max } = distributionOf(values);
    return [kind, p50, p95, min, max];
  });
  const title = `${SERVICES} services of ${TASKS} tasks, ms`;
  return {
    name: 'balancer',
    figures,
    tables: [{ title, columns: ['', 'p50', 'p95', 'min', 'max'], rows }],
    ...machine,
  };
}

function figuresOf(
  took: Record<Kind, number[]>,
  { name, side, floor }: { name: string; side: Kind; floor: Kind },
): readonly Figure[] {
  const [ours, bare] = [distributionOf(took[side]), distributionOf(took[floor])];
  const against = `haproxy alone, ${floor}: p50 ${bare.p50.toFixed(1)} ms`;
  return [
    { name: `${name}, p95`, unit: 'ms', measured: ours.p95, target: LIVE_MS_MAX, note: `${TURNS} changes` },
    { name: `${name}, p50 beside haproxy`, unit: '×', measured: ours.p50 / bare.p50, target: null, note: against },
  ];
}
