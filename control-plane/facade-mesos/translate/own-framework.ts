/**
 * Berth's own jobs, as tools that know only frameworks see them: their tasks are those of one framework. Its name is what stands in
 * names of DNS, as in `web.berth.mesos`. Pure.
 */
import type { JobSpec, TaskGroup } from '../../../shared/domain/job.ts';
import type { Task } from '../../../shared/domain/task.ts';

/** No framework that subscribes can have this id. */
export const OWN_FRAMEWORK_ID = 'berth';

export const OWN_FRAMEWORK_CAPABILITIES = ['MULTI_ROLE', 'PARTITION_AWARE', 'TASK_KILLING_STATE', 'GPU_RESOURCES'];

/**
 * The name under which another framework is shown. One that comes to Berth's own name in DNS, where case and most punctuation go, or to
 * one below it, has its id behind it: else whoever may run a framework could have others sent to itself in the place of a job.
 */
export function otherFrameworkName(name: string, id: string): string {
  const labels = name.toLowerCase().split('.').map(dnsLabel);
  const inDns = labels.filter((label) => label !== '').join('.');
  const isOwnDomain = inDns === OWN_FRAMEWORK_ID || inDns.endsWith(`.${OWN_FRAMEWORK_ID}`);
  return isOwnDomain ? `${name}-${id}` : name;
}

function dnsLabel(text: string): string {
  return text
    .replaceAll('_', '-')
    .replaceAll(/[^a-z0-9-]/g, '')
    .replaceAll(/^-+|-+$/g, '');
}

const PLAIN_ROLE = 'default';

/**
 * The name of the task's job; before it that of its group where the job has several, behind it the role from the innermost outwards
 * where it isn't the usual one, since another role may have a job of the same name: `db.shop`, `web.ml.eng`. Names hold no dots.
 */
export function ownTaskName({ jobName, group, role }: Task, spec: JobSpec | null): string {
  const groups = (spec?.groups.length ?? 1) > 1 ? [group] : [];
  const roles = role === PLAIN_ROLE ? [] : role.split('/').reverse();
  return [...groups, jobName, ...roles].join('.');
}

/** Its ports by name and number, for those who make records of services of them. */
export function ownDiscovery(task: Task, name: string, group: TaskGroup | null): object | undefined {
  const ports = Object.entries(task.ports);
  if (ports.length === 0) return undefined;
  const protocols = new Map((group?.ports ?? []).map((port) => [port.name, port.protocol]));
  return {
    visibility: 'CLUSTER',
    name,
    ports: {
      ports: ports.map(([port, number]) => ({ number, name: port, protocol: protocols.get(port) ?? 'tcp' })),
    },
  };
}

const NETWORKS = { bridge: 'BRIDGE', host: 'HOST', none: 'NONE' } as const;

/** Nothing for what runs without a container. */
export function ownContainer(task: Task, group: TaskGroup | null): object | undefined {
  if (group === null || group.runtime !== 'docker') return undefined;
  const mappings = group.network === 'bridge' ? portMappings(task, group) : [];
  return {
    type: 'DOCKER',
    docker: {
      image: group.image,
      network: NETWORKS[group.network],
      privileged: group.privileged,
      ...(mappings.length > 0 && { port_mappings: mappings }),
    },
  };
}

function portMappings({ ports }: Task, group: TaskGroup): object[] {
  return group.ports.flatMap(({ name, containerPort, protocol }) => {
    const hostPort = ports[name];
    if (hostPort === undefined) return [];
    return [{ host_port: hostPort, container_port: containerPort ?? hostPort, protocol }];
  });
}
