/**
 * Everything that a job can ask for, and everything that the engine is told of a container, is either harmless, for a reason, or a danger
 * with both halves: an action of its own at the API, and the node's consent. A field that is new fails here until somebody has said which.
 */
import { describe, expect, it } from 'vitest';
import { DANGEROUS_ACTIONS } from '../../../control-plane/auth/policy.ts';
import { consentFilter } from '../../../control-plane/scheduler/filters/consent.ts';
import { demandToRun } from '../../../control-plane/services/access.ts';
import { containerOptions } from '../../../node-agent/adapters/docker/container-options.ts';
import { refusalOf } from '../../../node-agent/core/consent.ts';
import { isMountAllowed, missingConsents } from '../../../shared/domain/consent.ts';
import {
  DANGERS,
  type Danger,
  dangersOf,
  MOUNT_TYPES,
  NETWORK_MODES,
  TASK_RUNTIMES,
  type TaskGroup,
} from '../../../shared/domain/job.ts';
import { NO_CONSENT } from '../../../shared/domain/node.ts';
import { groupSchema, jobSpecSchema, mountSchema, portSchema } from '../../../shared/protocol/job.ts';
import { aGroup } from '../../support/builders.ts';
import { ADMIN, granted, specOf } from '../../support/replica.ts';
import { anAssigned } from '../agent/world.ts';

/** Why a field needs nobody's consent; or the danger that it can be. */
type Verdict = Danger | 'names' | 'limits' | 'inside the container' | 'timing' | 'placement' | 'made safe by the agent';

const GROUP: Readonly<Record<string, Verdict>> = {
  name: 'names',
  count: 'limits',
  runtime: 'process-runtime',
  image: 'inside the container',
  command: 'inside the container',
  args: 'inside the container',
  env: 'inside the container',
  secrets: 'inside the container',
  identity: 'inside the container',
  user: 'inside the container',
  workingDir: 'inside the container',
  resources: 'limits',
  network: 'host-network',
  ports: 'placement',
  mounts: 'host-mounts',
  pullPolicy: 'timing',
  privileged: 'privileged',
  devices: 'devices',
  capAdd: 'capabilities',
  constraints: 'placement',
  retries: 'timing',
  restart: 'timing',
  timeoutSeconds: 'timing',
  killGraceSeconds: 'timing',
  stopSignal: 'timing',
  stopDelaySeconds: 'timing',
  checks: 'inside the container',
  backoff: 'timing',
  prefer: 'placement',
  spread: 'placement',
};

const JOB: Readonly<Record<string, Verdict>> = {
  name: 'names',
  role: 'names',
  kind: 'timing',
  priority: 'placement',
  placement: 'placement',
  labels: 'names',
  constraints: 'placement',
  replaceAfterSeconds: 'timing',
  stopAfterDisconnectSeconds: 'timing',
  gpuNodes: 'placement',
  update: 'timing',
  dependsOn: 'timing',
  killSelection: 'timing',
  groups: 'names',
};

const MOUNT: Readonly<Record<string, Verdict>> = {
  type: 'host-mounts',
  source: 'host-mounts',
  target: 'inside the container',
  readOnly: 'inside the container',
};

const PORT: Readonly<Record<string, Verdict>> = {
  name: 'names',
  containerPort: 'inside the container',
  // Of the ports that the node's operator has declared, and no others.
  hostPort: 'placement',
  protocol: 'placement',
  publish: 'placement',
};

/** Of what only frameworks can launch. */
const LAUNCHED: Readonly<
  Record<Exclude<keyof TaskGroup, keyof ReturnType<typeof aGroup>>, Verdict> & Record<string, Verdict>
> = {
  isExecutor: 'executor',
  executor: 'executor',
};

describe('each field is classified', () => {
  it.each([
    ['a job', jobSpecSchema, JOB],
    ['a group', groupSchema, GROUP],
    ['a mount', mountSchema, MOUNT],
    ['a port', portSchema, PORT],
  ] as const)('of %s', (_, schema, verdicts) => {
    expect(Object.keys(verdicts).sort(), 'say here whether it is a danger').toEqual(
      Object.keys(shapeOf(schema)).sort(),
    );
  });

  it('of what the engine is told', () => {
    const { HostConfig, ...container } = containerOptions(
      { nodeId: 'n', hostname: 'h' },
      { assigned: anAssigned('t', { group: EVERYTHING }), epoch: 1, run: 0, mountSources: new Map() },
    );
    const told: Readonly<Record<string, Verdict>> = {
      name: 'made safe by the agent',
      Image: 'inside the container',
      Entrypoint: 'inside the container',
      Cmd: 'inside the container',
      Env: 'inside the container',
      User: 'inside the container',
      StopSignal: 'timing',
      WorkingDir: 'inside the container',
      Labels: 'made safe by the agent',
      ExposedPorts: 'placement',
    };
    const toldOfHost: Readonly<Record<string, Verdict>> = {
      NetworkMode: 'host-network',
      PortBindings: 'placement',
      Memory: 'limits',
      MemorySwap: 'limits',
      CpuPeriod: 'limits',
      CpuQuota: 'limits',
      PidsLimit: 'limits',
      Mounts: 'host-mounts',
      Privileged: 'privileged',
      CapAdd: 'capabilities',
      Devices: 'devices',
      // GPUs, which are counted, and given by the ids that the ledger has.
      DeviceRequests: 'placement',
      RestartPolicy: 'made safe by the agent',
      LogConfig: 'made safe by the agent',
    };
    expect(Object.keys(container).filter((key) => !(key in told))).toEqual([]);
    expect(Object.keys(HostConfig ?? {}).filter((key) => !(key in toldOfHost))).toEqual([]);
    // What would open the container and can't be asked for: namespaces of the host, profiles turned off, kernel settings.
    for (const never of [
      'PidMode',
      'IpcMode',
      'UTSMode',
      'UsernsMode',
      'SecurityOpt',
      'Sysctls',
      'CgroupParent',
      'Binds',
    ]) {
      expect(HostConfig).not.toHaveProperty(never);
    }
  });
});

const EVERYTHING: Partial<TaskGroup> = {
  command: ['x'],
  args: ['y'],
  user: 'u',
  workingDir: '/w',
  stopSignal: 'SIGINT',
  network: 'bridge',
  privileged: true,
  devices: ['/dev/kvm'],
  capAdd: ['ALL'],
  mounts: MOUNT_TYPES.map((type) => ({
    type,
    source: type === 'bind' ? '/srv' : 'data',
    target: `/${type}`,
    readOnly: false,
  })),
};

/** The least that is each danger. */
const LEAST: Readonly<Record<Danger, Partial<TaskGroup>>> = {
  'host-network': { network: 'host' },
  'host-mounts': { mounts: [{ type: 'bind', source: '/srv/data', target: '/d', readOnly: true }] },
  privileged: { privileged: true },
  devices: { devices: ['/dev/kvm'] },
  capabilities: { capAdd: ['NET_ADMIN'] },
  'process-runtime': { runtime: 'process', network: 'host', image: '' },
  executor: { isExecutor: true },
};

describe('each danger has both halves', () => {
  it.each(DANGERS)('%s', (danger) => {
    const group: TaskGroup = { ...aGroup(), ...LEAST[danger] };
    expect(dangersOf(group)).toEqual([danger]);
    expect(DANGEROUS_ACTIONS).toContain(`job:${danger}`);
    const spec = { ...specOf(), groups: [group] } as unknown as ReturnType<typeof specOf>;
    const writer = granted(ADMIN, { roles: ['default'], actions: ['job:*', 'task:*', 'framework:*'] });
    expect(() => demandToRun(writer, spec)).toThrow(`doesn't allow job:${danger}`);
    const allowed = granted(writer, { actions: ['job:write', `job:${danger}`] });
    expect(() => demandToRun(allowed, spec)).not.toThrow();
    expect(missingConsents(group, NO_CONSENT)).toHaveLength(1);
    expect(consentFilter.applies({ group } as Parameters<typeof consentFilter.applies>[0])).toBe(true);
    const resolved = new Map([['/srv/data', '/srv/data']]);
    expect(refusalOf(group, NO_CONSENT, resolved)).toContain('--allow-');
  });

  it('and nothing else has any', () => {
    const harmless: TaskGroup = {
      ...aGroup(),
      ...EVERYTHING,
      privileged: false,
      devices: [],
      capAdd: [],
      mounts: (EVERYTHING.mounts ?? []).filter(({ type }) => type !== 'bind'),
    };
    expect(dangersOf(harmless)).toEqual([]);
    expect(refusalOf(harmless, NO_CONSENT, new Map())).toBeNull();
    expect([NETWORK_MODES, TASK_RUNTIMES]).toEqual([
      ['bridge', 'host', 'none'],
      ['docker', 'process', 'executor'],
    ]);
    expect(Object.keys(LAUNCHED)).toEqual(['isExecutor', 'executor']);
  });
});

describe('a mount is within what is allowed', () => {
  it.each([
    ['/srv/data', true],
    ['/srv/data/', true],
    ['//srv//data/x', true],
    ['/srv/data/./x', true],
    ['/srv/data/../../etc', false],
    ['/srv/data/..', false],
    ['/srv/database', false],
    ['/srv', false],
    ['/', false],
    ['//etc', false],
    ['/etc', false],
    ['/proc', false],
    ['/proc/self/root/srv/data', false],
    ['/run/docker.sock', false],
    ['/var/run/docker.sock', false],
    ['srv/data', false],
    ['./srv/data', false],
    ['', false],
    ['/SRV/data', false],
  ])('%s: %s', (path, isAllowed) => {
    expect(isMountAllowed(path, ['/srv/data'])).toBe(isAllowed);
    const group: TaskGroup = { ...aGroup(), mounts: [{ type: 'bind', source: path, target: '/d', readOnly: true }] };
    const consent = { ...NO_CONSENT, hostMounts: ['/srv/data'] };
    const told = refusalOf(
      group,
      consent,
      new Map([
        [path, '/srv/data'],
        ['/srv/data', '/srv/data'],
      ]),
    );
    // The agent judges by where a path leads as well, and a control plane that took it would not be believed.
    if (!isAllowed && path !== 'srv/data' && path !== './srv/data') expect(told).toContain('--allow-host-mount');
    if (isAllowed) expect(told).toBeNull();
  });

  it.each(['/srv/data/../../etc', '../etc', 'srv', '/srv\0/etc', ''])(
    '%j is refused as the source of a bind mount',
    (source) => {
      expect(mountSchema.safeParse({ type: 'bind', source, target: '/d' }).success).toBe(false);
    },
  );

  it.each(['/etc', '../etc', 'a/b', '.', '..', '~'])('%j is refused as the name of a volume', (source) => {
    expect(mountSchema.safeParse({ type: 'volume', source, target: '/d' }).success).toBe(false);
  });
});

function shapeOf(schema: unknown): object {
  const { shape, in: before } = schema as { readonly shape?: object; readonly in?: unknown };
  if (shape !== undefined) return shape;
  if (before === undefined) throw new Error('the schema has no shape');
  // What is parsed is made into something else afterwards.
  return shapeOf(before);
}
