/** The agent's settings, and what the control plane is told because of them. */
import { describe, expect, it } from 'vitest';
import { detectAddress, firstOwn } from '../../../node-agent/adapters/machine/detect-address.ts';
import { describeNode, newNodeId } from '../../../node-agent/config/describe.ts';
import type { GpuChoice, GpuReport } from '../../../node-agent/config/gpus.ts';
import { helpText, OPTIONS } from '../../../node-agent/config/option-table.ts';
import { type AgentOptions, parseOptions } from '../../../node-agent/config/options.ts';
import { parseReservations } from '../../../node-agent/config/reservations.ts';
import { NO_CHANGE, parseResources } from '../../../node-agent/config/resources.ts';
import { NODE_ID_PATTERN } from '../../../shared/domain/ids.ts';
import { NO_CONSENT } from '../../../shared/domain/node.ts';
import { evenChance } from './world.ts';

const tooMany = Array.from({ length: 51 }, (_, n) => `r${n}:cpus=1`).join(';');
const declared = Array.from({ length: 12 }, (_, n) => `custom.c${n}-${'x'.repeat(50)}=1`).join(',');
const tooLarge = Array.from({ length: 50 }, (_, n) => `r${n}:${declared}`).join(';');
const enough = ['--control-plane', 'https://berth.example'];

function options(args: readonly string[], env: Readonly<Record<string, string>> = {}): AgentOptions {
  const parsed = parseOptions(args, env);
  if (parsed.type !== 'run') throw new Error(JSON.stringify(parsed));
  return parsed.options;
}

function faults(args: readonly string[], env: Readonly<Record<string, string>> = {}): readonly string[] {
  const parsed = parseOptions(args, env);
  return parsed.type === 'faulty' ? parsed.faults : [];
}

describe('settings', () => {
  it('need nothing but the address of the control plane', () => {
    expect(options(enough)).toMatchObject({
      controlPlane: ['https://berth.example'],
      consent: NO_CONSENT,
      startConcurrency: 4,
      dockerSocket: '/var/run/docker.sock',
    });
  });

  it('are read from the environment too, and arguments win', () => {
    const env = {
      BERTH_CONTROL_PLANE: 'http://a:1,http://b:2',
      BERTH_NODE_ID: 'from-env',
      BERTH_ALLOW_PRIVILEGED: 'true',
      BERTH_ALLOW_HOST_MOUNT: '/srv,/data',
      BERTH_RESOURCES: 'cpus=2,memMiB=1024',
    };
    const read = options(['--node-id', 'from-args'], env);
    expect(read.controlPlane).toEqual(['http://a:1', 'http://b:2']);
    expect(read.nodeId).toBe('from-args');
    expect(read.consent).toMatchObject({ privileged: true, hostMounts: ['/srv', '/data'] });
    expect(read.resources).toMatchObject({ cpus: 2, memMiB: 1024 });
  });

  it('allow executors only where that is said', () => {
    expect(options(enough).consent.executors).toBe(false);
    expect(options([...enough, '--allow-executors']).consent.executors).toBe(true);
  });

  it('take capabilities with and without their prefix', () => {
    expect(options([...enough, '--allow-capability', 'cap_net_admin']).consent.capabilities).toEqual(['NET_ADMIN']);
  });

  it('keep things for roles, in one argument or several, and in the environment', () => {
    const scalars = { cpus: 0, memMiB: 0, diskMiB: 0, gpus: 0, custom: {} };
    const both = [
      { role: 'eng/ml', scalars: { ...scalars, cpus: 0.5, custom: { licenses: 2 } } },
      { role: 'ops', scalars: { ...scalars, diskMiB: 5000 } },
    ];
    const [first, second] = ['eng/ml:cpus=0.5,custom.licenses=2', 'ops:diskMiB=5000'];
    expect(options([...enough, '--reservations', `${first}; ${second};`]).reservations).toEqual(both);
    expect(options([...enough, '--reservations', first, '--reservations', second]).reservations).toEqual(both);
    expect(parseReservations(['eng:ports=1-2']).faults).toEqual(["names ports, which can't be reserved"]);
    expect(options(enough, { BERTH_RESERVATIONS: `${first};${second}` }).reservations).toEqual(both);
    expect(options(enough).reservations).toEqual([]);
  });

  it('choose GPUs by a list, in arguments and in the environment', () => {
    expect(options(enough).gpus).toBe('all');
    expect(options([...enough, '--gpus', 'none']).gpus).toBe('none');
    expect(options([...enough, '--gpus', '0,GPU-1a', '--gpus', '1:0']).gpus).toEqual(['0', 'GPU-1a', '1:0']);
    expect(options(enough, { BERTH_GPUS: 'MIG-1b, 2' }).gpus).toEqual(['MIG-1b', '2']);
  });

  it('need no control plane to say what would be told', () => {
    expect(parseOptions(['--describe', '--gpus', 'none'], {})).toMatchObject({
      type: 'describe',
      options: { gpus: 'none' },
    });
    expect(parseOptions(['--describe', '--control-plane', 'ftp://x'], {})).toMatchObject({ type: 'faulty' });
  });

  it('take the socket from DOCKER_HOST where it is one', () => {
    expect(options(enough, { DOCKER_HOST: 'unix:///run/other.sock' }).dockerSocket).toBe('/run/other.sock');
    expect(faults(enough, { DOCKER_HOST: 'tcp://elsewhere:2375' })).toHaveLength(1);
  });

  it('allow processes outside of containers only where that is said, and then need no engine', () => {
    const given = [
      '--allow-process-runtime',
      '--docker-socket',
      'none',
      '--process-user',
      'build',
      '--process-uids',
      '70000-70099',
    ];
    expect(options(enough).consent.processRuntime).toBe(false);
    expect(options([...enough, ...given])).toMatchObject({
      dockerSocket: null,
      consent: { ...NO_CONSENT, processRuntime: true },
      processes: { users: ['build'], userIds: { first: 70_000, last: 70_099 }, dir: null },
    });
  });

  it.each<[string, readonly string[]]>([
    ['control-plane', []],
    ['control-plane', ['--control-plane', 'berth.example']],
    ['control-plane', ['--control-plane', 'ftp://berth.example']],
    ['node-id', [...enough, '--node-id', 'Not_One']],
    ['attributes', [...enough, '--attributes', 'no-value']],
    ['resources', [...enough, '--resources', 'cpus=lots']],
    ['resources', [...enough, '--resources', 'memMiB=1.5']],
    ['resources', [...enough, '--resources', 'gpus=0.5']],
    ['resources', [...enough, '--resources', 'gpus=1025']],
    ['reserve', [...enough, '--reserve', 'gpus=1']],
    ['gpus', [...enough, '--gpus', 'some']],
    ['gpus', [...enough, '--gpus', '0,,1']],
    ['gpus', [...enough, '--gpus', 'all,0']],
    ['gpus', [...enough, '--gpus', '0:']],
    ['resources', [...enough, '--resources', 'ports=5-2']],
    ['resources', [...enough, '--resources', 'ports=1-70000']],
    ['resources', [...enough, '--resources', 'custom.Bad_Name=1']],
    ['reserve', [...enough, '--reserve', 'cpus']],
    ['reservations', [...enough, '--reservations', 'eng']],
    ['reservations', [...enough, '--reservations', 'Eng:cpus=1']],
    ['reservations', [...enough, '--reservations', 'eng:cpus=a']],
    ['reservations', [...enough, '--reservations', 'eng:cpus=0']],
    ['reservations', [...enough, '--reservations', 'eng:ports=20000']],
    ['reservations', [...enough, '--reservations', 'eng:gpus=0.5']],
    ['reservations', [...enough, '--reservations', 'eng:cpus=1', '--reservations', 'eng:cpus=2']],
    ['reservations', [...enough, '--reservations', tooMany]],
    ['reservations', [...enough, '--reservations', tooLarge]],
    ['docker-socket', [...enough, '--docker-socket', 'docker.sock']],
    ['allow-host-mount', [...enough, '--allow-host-mount', '/srv/../etc']],
    ['allow-device', [...enough, '--allow-device', 'kvm']],
    ['allow-capability', [...enough, '--allow-capability', 'net admin']],
    ['docker-socket', [...enough, '--docker-socket', 'none']],
    ['process-user', [...enough, '--process-user', 'no body']],
    ['process-uids', [...enough, '--process-uids', '1000-2000']],
    ['process-uids', [...enough, '--process-uids', '70000-60000']],
    ['process-uids', [...enough, '--process-uids', 'many']],
    ['process-dir', [...enough, '--process-dir', 'tasks']],
    ['start-concurrency', [...enough, '--start-concurrency', '0']],
    ['start-concurrency', [...enough, '--start-concurrency', '2.5']],
    ['keep-ended-max', [...enough, '--keep-ended-max', '-1']],
    ['log-level', [...enough, '--log-level', 'loud']],
    ['join-token', [...enough, '--join-token', 'a', '--join-token-file', '/b']],
    ['state-dir', [...enough, '--state-dir', '/a', '--state-dir', '/b']],
  ])('--%s is named when it is wrong: %j', (name, args) => {
    expect(faults(args).join('\n')).toContain(`--${name}`);
  });

  it('that are wrong are told all at once', () => {
    expect(faults(['--node-id', 'X', '--log-level', 'Y', '--resources', 'cpus=a,memMiB=b'])).toHaveLength(5);
  });

  it('that do not exist are refused', () => {
    expect(faults([...enough, '--frobnicate'])[0]).toContain('--frobnicate');
  });

  it('are all in the help', () => {
    for (const name of Object.keys(OPTIONS)) expect(helpText()).toContain(`--${name}`);
  });
});

describe('resources', () => {
  it('are read with ranges of ports and amounts of their own', () => {
    expect(parseResources('cpus=1.5, memMiB=512, ports=8000-8010+9000, custom.licenses=2.5')).toEqual({
      faults: [],
      change: {
        cpus: 1.5,
        memMiB: 512,
        ports: [
          { first: 8000, last: 8010 },
          { first: 9000, last: 9000 },
        ],
        custom: { licenses: 2.5 },
      },
    });
  });
});

const found = {
  hostname: 'edge-7.example',
  arch: 'arm64',
  os: 'linux',
  cpus: 4,
  memMiB: 8000,
  diskMiB: 50_000,
  ports: [{ first: 20_000, last: 32_000 }],
  gpus: { type: 'absent' } as const,
};

function described(change: {
  readonly resources?: string;
  readonly reserve?: string;
  readonly reservations?: string;
  readonly attributes?: Record<string, string>;
  readonly gpus?: GpuChoice;
  readonly report?: GpuReport;
  readonly address?: string;
}) {
  const { attributes = {}, resources = '', reserve = '', reservations = '', gpus = 'all' } = change;
  const { report = found.gpus } = change;
  return describeNode({
    nodeId: 'n1',
    found: { ...found, gpus: report },
    engine: 'docker 1',
    agentVersion: '1',
    options: {
      address: change.address ?? null,
      attributes,
      gpus,
      resources: resources === '' ? NO_CHANGE : parseResources(resources).change,
      reserve: reserve === '' ? NO_CHANGE : parseResources(reserve).change,
      reservations: parseReservations([reservations]).reservations,
      consent: NO_CONSENT,
    },
  });
}

describe('the address of the node', () => {
  it.each(['192.0.2.7', '2001:db8::7', 'edge-7', 'edge-7.site.example', '7.example'])('may be %s', (address) => {
    expect(options([...enough, '--address', address]).address).toBe(address);
    expect(options(enough, { BERTH_ADDRESS: address }).address).toBe(address);
    expect(described({ address }).node.address).toBe(address);
  });

  it.each(['edge:8080', '192.0.2.300', 'http://edge', '-edge', '[2001:db8::7]', 'a b'])('may not be %s', (address) => {
    expect(faults([...enough, `--address=${address}`])).toEqual([
      `--address (or BERTH_ADDRESS) is "${address}"; it must be an IP address or the name of a host, without a port`,
    ]);
  });

  it('may not be where nobody is reached, and is left open otherwise', () => {
    expect(faults([...enough, '--address', '0.0.0.0'])[0]).toContain('where nobody is reached');
    expect(options(enough).address).toBeNull();
  });

  it('is by itself the one that leads to the control plane, be that there or not', async () => {
    expect(await detectAddress(['http://127.0.0.1:1'])).toBe('127.0.0.1');
    expect(await detectAddress(['http://name.invalid:1', 'http://127.0.0.1:1'])).toBe('127.0.0.1');
  });

  it('is else the first of its own', () => {
    const of = (address: string, family: 'IPv4' | 'IPv6', internal = false) => ({ address, family, internal });
    const all = [of('127.0.0.1', 'IPv4', true), of('fe80::1', 'IPv6'), of('2001:db8::7', 'IPv6')];
    expect(firstOwn([...all, of('192.0.2.7', 'IPv4')])).toBe('192.0.2.7');
    expect(firstOwn(all)).toBe('2001:db8::7');
    expect(firstOwn(all.slice(0, 2))).toBeNull();
  });
});

describe('the node that is described', () => {
  it('has what was found, less what is kept back', () => {
    const { node } = described({ reserve: 'cpus=0.5,memMiB=1000,ports=20000-20009' });
    expect(node.resources).toMatchObject({ cpus: 3.5, memMiB: 7000, ports: [{ first: 20_010, last: 32_000 }] });
  });

  it('has what the operator says in place of what was found', () => {
    const { node } = described({ resources: 'cpus=16,custom.licenses=3', reserve: 'custom.licenses=1' });
    expect(node.resources).toMatchObject({ cpus: 16, memMiB: 8000, custom: { licenses: 2 } });
  });

  it('is refused when more is kept back than there is', () => {
    expect(described({ reserve: 'cpus=5' }).faults).toEqual(['--reserve keeps back 5 of cpus, and the node has 4']);
    expect(described({ reserve: 'ports=19000' }).faults).toHaveLength(1);
  });

  it('keeps for roles no more than is left', () => {
    const kept = { reserve: 'cpus=1', reservations: 'eng:cpus=2;ops:cpus=1' };
    expect(described(kept)).toMatchObject({ faults: [], node: { reservations: [{ role: 'eng' }, { role: 'ops' }] } });
    expect(described({ ...kept, reservations: 'eng:cpus=2;ops:cpus=1.5' }).faults).toEqual([
      '--reservations keeps 3.5 of cpus for roles, and the node has 3',
    ]);
    expect(described({ reservations: 'eng:gpus=1' }).faults).toHaveLength(1);
    const report = { type: 'failed', why: 'the driver is gone' } as const;
    expect(described({ reservations: 'eng:gpus=1', report }).faults).toEqual([]);
  });

  it('cannot lie about itself in its attributes', () => {
    const { node } = described({ attributes: { zone: 'a', hostname: 'other', node: 'other' } });
    expect(node.attributes).toEqual({ zone: 'a', hostname: 'edge-7.example', node: 'n1', arch: 'arm64', os: 'linux' });
  });
});

const device = (place: string) => ({
  place,
  id: `GPU-${place}`,
  product: 'NVIDIA H100',
  memoryMiB: 81_559,
  driver: '580.1',
  parent: null,
});
const two: GpuReport = { type: 'found', gpus: [device('0'), device('1')], complaints: [] };
const oneLost: GpuReport = { type: 'found', gpus: [device('0')], complaints: ['GPU 1 is lost'] };
const hung: GpuReport = { type: 'failed', why: 'nvidia-smi: it did not end within 20 s' };

describe('the GPUs of the node that is described', () => {
  it.each<[string, Parameters<typeof described>[0], number, readonly string[]]>([
    ['all that were found', { report: two }, 2, ['GPU-0', 'GPU-1']],
    ['those that the operator names', { report: two, gpus: ['1'] }, 1, ['GPU-1']],
    ['none where the operator wants none', { report: two, gpus: 'none' }, 0, []],
    ['as many as the operator counts, if that is right', { report: two, resources: 'gpus=2' }, 2, ['GPU-0', 'GPU-1']],
    ['a mere number where there is no driver', { resources: 'gpus=3' }, 3, []],
    ['none where there is no driver', {}, 0, []],
  ])('are %s, and nobody is told anything', (_, change, count, ids) => {
    const { node, faults, warnings } = described(change);
    expect(node.resources.gpus).toBe(count);
    expect(node.gpus.map(({ id }) => id)).toEqual(ids);
    expect([faults, warnings]).toEqual([[], []]);
  });

  it.each<[string, Parameters<typeof described>[0], string]>([
    [
      'one that is named is not there',
      { report: two, gpus: ['0', 'GPU-9'] },
      "--gpus names GPU-9, which isn't there; there are: 0 (GPU-0, NVIDIA H100), 1 (GPU-1, NVIDIA H100)",
    ],
    ['there is no driver to have any', { gpus: ['0'] }, "--gpus names 0, which isn't there; there are: none"],
    [
      'another number is stated',
      { report: two, resources: 'gpus=1' },
      '--resources says gpus=1, and tasks may have 2 of those that were found; choose them with --gpus, and leave the number out',
    ],
  ])('are a mistake where %s', (_, change, fault) => {
    expect(described(change).faults).toEqual([fault]);
  });

  it.each<[string, Parameters<typeof described>[0], number, readonly string[]]>([
    ['one is lost', { report: oneLost, gpus: ['0', '1'] }, 1, ['GPU 1 is lost', "--gpus names 1, which isn't there"]],
    ['the driver hangs', { report: hung, gpus: ['0'] }, 0, ['nvidia-smi: it did not end within 20 s']],
    [
      'the driver hangs, whatever is stated',
      { report: hung, resources: 'gpus=2' },
      0,
      [
        'nvidia-smi: it did not end within 20 s',
        "--resources says gpus=2, which doesn't count while something is wrong with them",
      ],
    ],
  ])('keep no node away where %s', (_, change, count, warnings) => {
    expect(described(change)).toMatchObject({ node: { resources: { gpus: count } }, faults: [], warnings });
  });
});

describe('an id that is made up', () => {
  it.each(['Edge_Box 7', 'a'.repeat(100), '---', '', 'box.example.org', '日本'])(
    'fits the rule for "%s"',
    (hostname) => {
      expect(newNodeId(hostname, evenChance)).toMatch(NODE_ID_PATTERN);
    },
  );
});
