/** What the engine is told of a task. */
import { describe, expect, it } from 'vitest';
import { containerOptions } from '../../../node-agent/adapters/docker/container-options.ts';
import { nvidiaRuntimeRemedy, saysCommandUnusable } from '../../../node-agent/adapters/docker/engine-errors.ts';
import {
  findCredentials,
  fullReference,
  parseAuths,
  registryHost,
} from '../../../node-agent/adapters/docker/registry-credentials.ts';
import { processGpuEnvironment } from '../../../node-agent/core/gpu-environment.ts';
import { type GroupSpec, INDEX_PLACEHOLDER } from '../../../shared/domain/job.ts';
import { aGroup } from '../../support/builders.ts';
import { anAssigned } from './world.ts';

const owner = { nodeId: 'n1', hostname: 'box' };

const SOURCES = new Map([
  ['/srv', '/mnt/srv'],
  ['data', '/state/volumes/data'],
]);

function optionsFor(group: Partial<GroupSpec>, ports: Readonly<Record<string, number>> = {}) {
  const assigned = anAssigned('t1', { group, ports });
  return containerOptions(owner, { assigned, epoch: 7, run: 2, mountSources: SOURCES });
}

const limits = (change: Partial<GroupSpec['resources']>) =>
  optionsFor({ resources: { ...aGroup().resources, ...change } }).HostConfig;

describe('a container with GPUs', () => {
  const withGpus = (
    gpus: number,
    devices: readonly string[] | undefined,
    env: Readonly<Record<string, string>> = {},
  ) => {
    const group = { resources: { ...aGroup().resources, gpus }, env };
    const assigned = anAssigned('t1', { group, devices });
    return { assigned, ...containerOptions(owner, { assigned, epoch: 7, run: 0, mountSources: new Map() }) };
  };
  const gpuVariables = (env: readonly string[] = []) => env.filter((pair) => /GPUS|VISIBLE/.test(pair));

  it('is given them by their ids, and told which they are', () => {
    const { HostConfig, Env } = withGpus(2, ['GPU-a', 'MIG-b'], { NVIDIA_VISIBLE_DEVICES: 'all' });
    expect(HostConfig?.DeviceRequests).toEqual([
      { Driver: 'nvidia', DeviceIDs: ['GPU-a', 'MIG-b'], Capabilities: [['gpu']] },
    ]);
    expect(gpuVariables(Env)).toEqual(['NVIDIA_VISIBLE_DEVICES=GPU-a,MIG-b', 'BERTH_GPUS=GPU-a,MIG-b']);
  });

  it.each([[undefined], [[]]])(
    'sees none where it asked for none, whatever its image or its job would like (%j)',
    (devices) => {
      const { HostConfig, Env } = withGpus(0, devices, { NVIDIA_VISIBLE_DEVICES: 'all' });
      expect(HostConfig?.DeviceRequests).toEqual([]);
      expect(gpuVariables(Env)).toEqual(['NVIDIA_VISIBLE_DEVICES=void', 'BERTH_GPUS=']);
    },
  );

  it('is left alone where the node only counts its GPUs', () => {
    const { HostConfig, Env } = withGpus(1, undefined, { NVIDIA_VISIBLE_DEVICES: 'all' });
    expect(HostConfig?.DeviceRequests).toEqual([]);
    expect(gpuVariables(Env)).toEqual(['NVIDIA_VISIBLE_DEVICES=all']);
  });

  it('differs from a process, which CUDA has to keep to its own', () => {
    const ids = { BERTH_GPUS: 'GPU-a,GPU-b', NVIDIA_VISIBLE_DEVICES: 'GPU-a,GPU-b' };
    expect(processGpuEnvironment(withGpus(2, ['GPU-a', 'GPU-b']).assigned)).toEqual({
      ...ids,
      CUDA_VISIBLE_DEVICES: 'GPU-a,GPU-b',
    });
    expect(processGpuEnvironment(withGpus(0, []).assigned)).toEqual({
      BERTH_GPUS: '',
      NVIDIA_VISIBLE_DEVICES: 'void',
      CUDA_VISIBLE_DEVICES: '',
    });
    expect(processGpuEnvironment(withGpus(1, []).assigned)).toEqual({});
  });

  it.each([
    'could not select device driver "nvidia" with capabilities: [[gpu]]',
    'failed to discover GPU vendor from CDI: no known GPU vendor found',
    'failed to create task for container: CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=GPU-a',
  ])('needs a runtime that some engines lack: %s', (words) => {
    expect(nvidiaRuntimeRemedy(words)).toMatch(
      /nvidia-container-toolkit.*nvidia-ctk runtime configure --runtime=docker/,
    );
    expect(nvidiaRuntimeRemedy(words)).toContain(words);
  });

  it('fails for other reasons too', () => {
    expect(nvidiaRuntimeRemedy('nvidia-container-cli: device error: GPU-a: unknown device')).toBeNull();
  });
});

describe('a container', () => {
  it('is named and labelled after its task', () => {
    const { name, Labels } = optionsFor({});
    expect(name).toBe('berth-n1-t1');
    expect(Labels).toMatchObject({ 'io.berth.task': 't1', 'io.berth.node': 'n1', 'io.berth.epoch': '7' });
  });

  it('says which run of its task it is for, but not in its name, which two may never have at once', () => {
    const { name, Labels, Env } = optionsFor({});
    expect(name).not.toContain('2');
    expect(Labels?.['io.berth.run']).toBe('2');
    expect(Env).toContain('BERTH_RUN=2');
  });

  it.each([
    [2, { CpuPeriod: 100_000, CpuQuota: 200_000 }],
    [0.25, { CpuPeriod: 100_000, CpuQuota: 25_000 }],
    [0.01, { CpuPeriod: 100_000, CpuQuota: 1000 }],
    [0.001, { CpuPeriod: 1_000_000, CpuQuota: 1000 }],
    [0.005, { CpuPeriod: 1_000_000, CpuQuota: 5000 }],
  ])('with %d cores has that share and no more', (cpus, expected) => {
    expect(limits({ cpus })).toMatchObject(expected);
  });

  it('has its memory and no swap, and never less than the engine starts', () => {
    expect(limits({ memMiB: 64 })).toMatchObject({ Memory: 64 * 2 ** 20, MemorySwap: 64 * 2 ** 20 });
    expect(limits({ memMiB: 4 })).toMatchObject({ Memory: 6 * 2 ** 20, MemorySwap: 6 * 2 ** 20 });
  });

  it('has its ports mapped in bridge mode, and none otherwise', () => {
    const ports = [
      { name: 'http', containerPort: 80, protocol: 'tcp' },
      { name: 'dns', protocol: 'udp' },
    ] as const;
    const held = { http: 20_001, dns: 20_002 };
    const bridged = optionsFor({ ports, network: 'bridge' }, held);
    expect(bridged.HostConfig?.PortBindings).toEqual({
      '80/tcp': [{ HostPort: '20001' }],
      '20002/udp': [{ HostPort: '20002' }],
    });
    expect(bridged.ExposedPorts).toEqual({ '80/tcp': {}, '20002/udp': {} });
    expect(optionsFor({ ports, network: 'host' }, held).HostConfig?.PortBindings).toBeUndefined();
    expect(bridged.Env).toEqual(expect.arrayContaining(['BERTH_PORT_HTTP=20001', 'BERTH_PORT_DNS=20002']));
  });

  it('mounts where the path really leads', () => {
    const mounts = [
      { type: 'bind', source: '/srv', target: '/a', readOnly: true },
      { type: 'volume', source: 'data', target: '/b', readOnly: false },
      { type: 'tmpfs', target: '/c', readOnly: false },
    ] as const;
    expect(optionsFor({ mounts }).HostConfig?.Mounts).toEqual([
      { Type: 'bind', Source: '/mnt/srv', Target: '/a', ReadOnly: true },
      { Type: 'volume', Source: 'data', Target: '/b', ReadOnly: false },
      { Type: 'tmpfs', Source: '', Target: '/c', ReadOnly: false },
    ]);
  });

  it('that is an executor is given the folder with its socket, and no other is', () => {
    const assigned = anAssigned('t1', { group: { isExecutor: true } });
    const request = { assigned, epoch: 7, run: 0, mountSources: new Map() };
    const { HostConfig, Env } = containerOptions(owner, { ...request, endpoint: '/state/x/endpoint' });
    const mount = { Type: 'bind', Source: '/state/x/endpoint', Target: '/run/berth-executor', ReadOnly: true };
    expect(HostConfig?.Mounts).toEqual([mount]);
    expect(Env).toContain('BERTH_EXECUTOR_SOCKET=/run/berth-executor/executor.sock');
    const plain = containerOptions(owner, request);
    expect(plain.HostConfig?.Mounts).toEqual([]);
    expect(plain.Env?.join()).not.toContain('BERTH_EXECUTOR_SOCKET');
  });

  it('mounts persistent volumes where the agent keeps them, and names them in a label', () => {
    const mounts = [
      { type: 'persistent', source: 'data', target: '/a', readOnly: false },
      { type: 'persistent', source: 'data', target: '/b', readOnly: true },
      { type: 'persistent', source: 'unmade', target: '/c', readOnly: false },
    ] as const;
    const { HostConfig, Labels } = optionsFor({ mounts });
    expect(HostConfig?.Mounts).toEqual([
      { Type: 'bind', Source: '/state/volumes/data', Target: '/a', ReadOnly: false },
      { Type: 'bind', Source: '/state/volumes/data', Target: '/b', ReadOnly: true },
      { Type: 'bind', Source: '', Target: '/c', ReadOnly: false },
    ]);
    expect(Labels?.['io.berth.volumes']).toBe('data,unmade');
    expect(optionsFor({}).Labels).not.toHaveProperty('io.berth.volumes');
  });

  it('mounts the volume of the index that the task has', () => {
    const mounts = [
      { type: 'persistent', source: `data-${INDEX_PLACEHOLDER}`, target: '/a', readOnly: false },
    ] as const;
    const assigned = anAssigned('t1', { group: { mounts }, index: 3 });
    const mountSources = new Map([['data-3', '/state/volumes/data-3']]);
    const { HostConfig, Labels } = containerOptions(owner, { assigned, epoch: 7, run: 2, mountSources });
    expect(HostConfig?.Mounts).toMatchObject([{ Source: '/state/volumes/data-3', Target: '/a' }]);
    expect(Labels?.['io.berth.volumes']).toBe('data-3');
  });

  it("keeps the image's own command where the job names none", () => {
    expect(optionsFor({})).not.toHaveProperty('Entrypoint');
    expect(optionsFor({ command: ['a'], args: ['b'] })).toMatchObject({ Entrypoint: ['a'], Cmd: ['b'] });
  });
});

describe('the words of a failed start', () => {
  it.each([
    ['runc create failed: unable to start container process: exec: "nope": executable file not found in $PATH', true],
    ['runc create failed: unable to start container process: exec: "/etc": permission denied', true],
    ['driver failed programming external connectivity: bind: address already in use', false],
    ['could not select device driver "nvidia" with capabilities: [[gpu]]', false],
  ])('%s', (words, expected) => {
    expect(saysCommandUnusable(words)).toBe(expected);
  });
});

describe('registries', () => {
  it.each([
    ['busybox', null, 'busybox:latest'],
    ['library/busybox:1', null, 'library/busybox:1'],
    ['registry.example/team/tool', 'registry.example', 'registry.example/team/tool:latest'],
    ['registry.example:5000/tool', 'registry.example:5000', 'registry.example:5000/tool:latest'],
    ['localhost/tool@sha256:abc', 'localhost', 'localhost/tool@sha256:abc'],
  ])('%s', (image, host, full) => {
    expect(registryHost(image)).toBe(host);
    expect(fullReference(image)).toBe(full);
  });

  it('are given the credentials that their host has in the file, and no others', () => {
    const auth = Buffer.from('me:a:b').toString('base64');
    const auths = parseAuths(
      JSON.stringify({ auths: { 'https://index.docker.io/v1/': { auth }, 'r.example': { auth } } }),
    );
    expect(findCredentials('r.example', auths)).toMatchObject({ username: 'me', password: 'a:b' });
    expect(findCredentials(null, auths)?.serveraddress).toBe('https://index.docker.io/v1/');
    expect(findCredentials('other.example', auths)).toBeNull();
    expect(() => parseAuths('[]')).toThrow('not a JSON object');
  });
});
