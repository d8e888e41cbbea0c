/** In what a task runs: a container of the engine, or a process of the node. */
import { countPorts, hasPort, type PortRange } from '../../../shared/domain/resources.ts';
import type { WireResource } from '../wire/resource.ts';
import type { WireCommandInfo, WireContainerInfo, WireDockerInfo } from '../wire/task-info.ts';
import { dockerProgram, imageProgram, processProgram } from './command.ts';
import { dockerOptions } from './docker-parameters.ts';
import { mountsOf, SANDBOX } from './mounts.ts';
import type { LaunchedTask } from './native-operation.ts';
import { isNamedNetwork, unsupported } from './task-checks.ts';
import { WireFault } from './wire-fault.ts';

export interface ContainerWish {
  readonly command: WireCommandInfo;
  readonly container: WireContainerInfo | undefined;
  readonly ports: readonly PortRange[];
  /** Those of its resources that are volumes. */
  readonly persistent: readonly WireResource[];
  readonly volumeOf: (resource: WireResource) => string;
}

type Runtime = Partial<Omit<LaunchedTask, 'task' | 'resources'>>;

/** Ports that one task holds. */
const PORTS_MAX = 100;

export function runtimeOf(wish: ContainerWish): Runtime {
  const { container } = wish;
  if (container?.type === 'DOCKER' && container.docker !== undefined)
    return dockerRuntime(wish, container, container.docker);
  if (container?.network_infos.some(isNamedNetwork)) throw unsupported('container.network_infos');
  const image = container?.mesos?.image;
  if (container === undefined || image === undefined) return processRuntime(wish);
  if (image.type === 'APPC' || image.docker === undefined)
    throw unsupported('container.mesos.image', 'use one of Docker');
  return {
    image: image.docker.name,
    ...imageProgram(wish.command),
    ...userOf(wish.command),
    // Without networks of its own, such a container has that of the machine.
    network: 'host',
    ports: heldPorts(wish.ports, [], 'host'),
    mounts: mountsOf(container, wish.persistent, wish.volumeOf),
    pullPolicy: image.cached ? 'missing' : 'always',
    env: { MESOS_SANDBOX: SANDBOX },
  };
}

function processRuntime({ command, container, ports, persistent }: ContainerWish): Runtime {
  const remedy = 'give the task an image, since a process of the node has no mounts';
  if ((container?.volumes.length ?? 0) > 0) throw unsupported('container.volumes', remedy);
  if (persistent.length > 0) throw unsupported('resources.disk.persistence', remedy);
  return { runtime: 'process', ...processProgram(command), ...userOf(command), ports: heldPorts(ports, [], 'host') };
}

function userOf({ user }: WireCommandInfo): Pick<LaunchedTask, 'user'> {
  return user === undefined || user === '' ? {} : { user };
}

/** The user of the command is that of the executor, not of the container. */
function dockerRuntime(wish: ContainerWish, container: WireContainerInfo, docker: WireDockerInfo): Runtime {
  const options = dockerOptions(docker);
  const network = networkOf(container, docker, options.network);
  return {
    image: docker.image,
    ...dockerProgram(wish.command, options.entrypoint),
    ...(options.user !== undefined && { user: options.user }),
    ...(options.workingDir !== undefined && { workingDir: options.workingDir }),
    network,
    ports: heldPorts(wish.ports, docker.port_mappings, network),
    mounts: [...mountsOf(container, wish.persistent, wish.volumeOf), ...options.mounts],
    pullPolicy: options.pullPolicy ?? (docker.force_pull_image ? 'always' : 'missing'),
    privileged: options.privileged ?? docker.privileged,
    devices: [...options.devices],
    capAdd: [...options.capAdd],
    env: { MESOS_SANDBOX: SANDBOX, ...options.env },
    labels: { ...options.labels },
  };
}

type Network = NonNullable<LaunchedTask['network']>;

function networkOf(
  { network_infos: infos }: WireContainerInfo,
  { network = 'HOST' }: WireDockerInfo,
  option: string | undefined,
): Network {
  if (option !== undefined) return engineNetwork(option, "container.docker.parameters 'network'");
  switch (network) {
    case 'HOST':
      return 'host';
    case 'BRIDGE':
      return 'bridge';
    case 'NONE':
      return 'none';
    case 'USER': {
      const [info, second] = infos;
      if (info === undefined) throw new WireFault('No network info found in container info');
      if (second !== undefined) throw new WireFault('Only a single network can be defined in Docker run');
      if (info.name === undefined) throw new WireFault('No network name found in network info');
      return engineNetwork(info.name, 'container.network_infos.name');
    }
  }
}

function engineNetwork(name: string, field: string): Network {
  if (name === 'host' || name === 'bridge' || name === 'none') return name;
  throw unsupported(`${field} '${name}'`, 'use host, bridge or none');
}

/** Every port of the task is held as such, so that it is the node's own; those that are mapped lead to where the container listens. */
function heldPorts(
  held: readonly PortRange[],
  mappings: WireDockerInfo['port_mappings'],
  network: Network,
): NonNullable<LaunchedTask['ports']> {
  const count = countPorts(held);
  if (count > PORTS_MAX) throw new WireFault(`Task uses ${count} ports; at most ${PORTS_MAX} can be held by one task`);
  if (count > 0 && network === 'none') {
    throw new WireFault("Task uses ports, and the network NONE has none: leave 'ports' out of its resources");
  }
  checkMappings(held, mappings, network);
  return held.flatMap(({ first, last }) =>
    Array.from({ length: last - first + 1 }, (_, offset) => {
      const hostPort = first + offset;
      const mapping = mappings.find(({ host_port: mapped }) => mapped === hostPort);
      const name = `p${hostPort}`;
      if (mapping === undefined) return { name, hostPort };
      return { name, hostPort, containerPort: mapping.container_port, protocol: protocolOf(mapping.protocol ?? 'tcp') };
    }),
  );
}

function checkMappings(held: readonly PortRange[], mappings: WireDockerInfo['port_mappings'], network: Network): void {
  if (mappings.length === 0) return;
  if (network !== 'bridge')
    throw new WireFault('Port mappings are only supported for bridge and user-defined networks');
  if (held.length === 0) throw new WireFault('Port mappings require port resources');
  const mapped = mappings.map(({ host_port: port }) => port);
  const absent = mapped.find((port) => !hasPort(held, port));
  if (absent !== undefined) throw new WireFault(`Port [${absent}] not included in resources`);
  const twice = mapped.find((port, index) => mapped.indexOf(port) < index);
  if (twice !== undefined) {
    throw unsupported(`container.docker.port_mappings with host port ${twice} twice`, 'map two ports of the host');
  }
}

function protocolOf(protocol: string): 'tcp' | 'udp' {
  const lower = protocol.toLowerCase();
  if (lower === 'tcp' || lower === 'udp') return lower;
  throw unsupported(`container.docker.port_mappings.protocol '${protocol}'`, 'use tcp or udp');
}
