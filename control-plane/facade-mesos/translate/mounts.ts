/**
 * What a task sees beside its image. Berth keeps no folder for a container that outlives it, so what lies in a sandbox is memory, which
 * counts as the task's own.
 */
import type { WireResource } from '../wire/resource.ts';
import type { WireContainerInfo, WireVolume } from '../wire/task-info.ts';
import type { LaunchedTask } from './native-operation.ts';
import { unsupported } from './task-checks.ts';
import { WireFault } from './wire-fault.ts';

/** Where a container finds its sandbox. */
export const SANDBOX = '/mnt/mesos/sandbox';

type Mount = NonNullable<LaunchedTask['mounts']>[number];

/** `persistent`: resources that are volumes. `volumeOf`: what Berth calls one; throws where there is none. */
export function mountsOf(
  { volumes, docker }: Pick<WireContainerInfo, 'volumes' | 'docker'>,
  persistent: readonly WireResource[],
  volumeOf: (resource: WireResource) => string,
): Mount[] {
  const driver = docker?.volume_driver;
  if (driver !== undefined && driver !== 'local') throw unsupported('container.docker.volume_driver');
  const mounts = [
    ...volumes.map(mountOf),
    ...persistent.map(
      (resource): Mount => ({
        type: 'persistent',
        source: volumeOf(resource),
        target: inContainer(resource.disk?.volume?.container_path ?? ''),
        readOnly: resource.disk?.volume?.mode === 'RO',
      }),
    ),
  ];
  const hasSandbox = mounts.some(({ target }) => target === SANDBOX);
  return hasSandbox ? mounts : [{ type: 'tmpfs', target: SANDBOX }, ...mounts];
}

function mountOf(volume: WireVolume): Mount {
  const { container_path: path, host_path: hostPath, image, source, mode } = volume;
  const readOnly = mode === 'RO';
  const target = inContainer(path);
  if (image !== undefined) throw unsupported('container.volumes.image');
  if (hostPath !== undefined) return hostMount(hostPath, path, readOnly);
  switch (source?.type) {
    case 'HOST_PATH':
      return { type: 'bind', source: source.host_path?.path ?? '', target, readOnly };
    case 'SANDBOX_PATH':
      if (source.sandbox_path?.type === 'PARENT') throw unsupported('container.volumes.source.sandbox_path PARENT');
      return { type: 'tmpfs', target };
    case 'DOCKER_VOLUME':
      return { ...namedVolume(source.docker_volume), target, readOnly };
    case undefined:
      throw new WireFault("Task's `ContainerInfo` is invalid: Invalid volume: 'source.type' is unknown");
    default:
      throw unsupported(`container.volumes.source of the type ${source?.type}`);
  }
}

/** A relative path of the host lies in the sandbox. */
function hostMount(hostPath: string, path: string, readOnly: boolean): Mount {
  if (hostPath.startsWith('/')) return { type: 'bind', source: hostPath, target: inContainer(path), readOnly };
  if (path.startsWith('/')) return { type: 'tmpfs', target: path };
  throw new WireFault(`Both host_path '${hostPath}' and container_path '${path}' of a volume are relative`);
}

function namedVolume(volume: NonNullable<WireVolume['source']>['docker_volume']): Pick<Mount, 'type' | 'source'> {
  if (volume === undefined) {
    throw new WireFault(
      "Task's `ContainerInfo` is invalid: Invalid volume: 'source.docker_volume' is not set for DOCKER_VOLUME volume",
    );
  }
  if ((volume.driver ?? 'local') !== 'local') throw unsupported('container.volumes.source.docker_volume.driver');
  if (Object.keys(volume.driver_options ?? {}).length > 0) {
    throw unsupported('container.volumes.source.docker_volume.driver_options');
  }
  return { type: 'volume', source: volume.name };
}

function inContainer(path: string): string {
  return path.startsWith('/') ? path : `${SANDBOX}/${path}`;
}
