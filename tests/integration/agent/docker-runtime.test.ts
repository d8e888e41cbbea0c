/** Docker keeps the contract of a runtime. */
import Docker from 'dockerode';
import { DockerRuntime } from '../../../node-agent/adapters/docker/docker-runtime.ts';
import { systemClock } from '../../../node-agent/adapters/system/system-clock.ts';
import { systemRandom } from '../../../node-agent/adapters/system/system-random.ts';
import type { GroupSpec } from '../../../shared/domain/job.ts';
import { randomId } from '../../../shared/util/random.ts';
import { aGroup } from '../../support/builders.ts';
import { describeRuntime, type TaskKind } from '../../support/runtime-suite.ts';
import { IMAGE } from './agent-process.ts';

const DEADLINE_MS = 30_000;
const POLL_MS = 10;
const sh = (script: string) => ({ command: ['sh', '-c', script] });

const GROUPS: Readonly<Record<TaskKind, Partial<GroupSpec>>> = {
  sleeps: sh('trap "exit 143" TERM; sleep 600 & wait'),
  'ignores-term': sh('trap "" TERM; sleep 600'),
  'ends-with-3': sh('exit 3'),
  prints: sh('echo one; echo two; echo three'),
  'bad-command': { command: ['no-such-command'] },
  'unknown-image': { image: 'berth.invalid/nothing:here' },
};

describeRuntime('Docker', async () => {
  const socketPath = '/var/run/docker.sock';
  const docker = new Docker({ socketPath });
  const nodeId = `suite-${randomId(systemRandom)}`;
  const runtime = new DockerRuntime({
    socketPath,
    owner: { nodeId, hostname: 'here' },
    registryConfig: null,
    clock: systemClock,
    random: systemRandom,
  });
  return {
    runtime,
    task: (id, kind) => ({
      id,
      jobUid: 'u',
      jobName: 'suite',
      jobVersion: 1,
      role: 'default',
      groupName: 'main',
      index: 0,
      attempt: 0,
      run: 0,
      state: 'staging',
      group: { ...aGroup({ image: IMAGE, network: 'none' }), ...GROUPS[kind] },
      stopAfterDisconnectMs: null,
      ports: {},
      stop: null,
      disowned: false,
    }),
    until: async (look) => {
      const deadlineMs = performance.now() + DEADLINE_MS;
      for (;;) {
        const found = await look();
        if (found !== null) return found;
        if (performance.now() > deadlineMs) throw new Error('waited in vain');
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
    },
    dispose: async () => {
      const filters = { label: [`io.berth.node=${nodeId}`] };
      for (const { Id } of await docker.listContainers({ all: true, filters })) {
        await docker.getContainer(Id).remove({ force: true });
      }
    },
  };
});
