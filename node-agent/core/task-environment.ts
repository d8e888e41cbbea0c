/** What every task is told about itself and those beside it, whichever runtime it runs in. */
import type { AssignedTask } from '../../shared/protocol/agent.ts';

/** Where the task runs. */
export interface Place {
  readonly nodeId: string;
  readonly hostname: string;
  /** Where its ports are reached by others. Null or absent: by the host's name. */
  readonly address?: string | null;
}

/** Below it each job has a name of its own, for whoever asks Berth's DNS. */
const DOMAIN = 'berth';
/** Its jobs' names go without it. */
const DEFAULT_ROLE = 'default';

/** The job's own variables, then ours: what Berth says about a task can't be faked by the job. */
export function taskEnvironment(place: Place, assigned: AssignedTask, run: number): Record<string, string> {
  return {
    ...assigned.group.env,
    BERTH_TASK_ID: assigned.id,
    BERTH_JOB: assigned.jobName,
    BERTH_JOB_UID: assigned.jobUid,
    BERTH_VERSION: String(assigned.jobVersion),
    BERTH_ROLE: assigned.role,
    BERTH_GROUP: assigned.groupName,
    BERTH_COUNT: String(assigned.group.count),
    BERTH_INDEX: String(assigned.index),
    BERTH_ATTEMPT: String(assigned.attempt),
    BERTH_RUN: String(run),
    BERTH_NODE: place.nodeId,
    BERTH_HOST: place.hostname,
    BERTH_SERVICE: serviceName(assigned),
    BERTH_PEERS: (assigned.peers ?? []).join(','),
    ...portVariables(place, assigned),
  };
}

/** In the order in which the group names them; one that has no port has none of these. */
function portVariables(place: Place, { group, ports }: AssignedTask): Record<string, string> {
  const known = group.ports.flatMap(({ name }) => (Object.hasOwn(ports, name) ? [name] : []));
  const names = [...known, ...Object.keys(ports).filter((name) => !known.includes(name))];
  const numbers = names.flatMap((name) => ports[name] ?? []);
  const [first] = numbers;
  const each = names.flatMap((name) => {
    const upper = name.toUpperCase().replaceAll('-', '_');
    const port = String(ports[name]);
    return [
      [`BERTH_PORT_${upper}`, port],
      [`BERTH_ADDRESS_${upper}`, hostAndPort(place.address ?? place.hostname, port)],
    ] as const;
  });
  return {
    ...(first !== undefined && { BERTH_PORT: String(first), BERTH_PORTS: numbers.join(',') }),
    ...Object.fromEntries(each),
  };
}

function hostAndPort(host: string, port: string): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The job before its role, which is written inside out, as names are: `web.ml.eng.berth` is job `web` of role `eng/ml`. */
function serviceName({ jobName, role }: AssignedTask): string {
  const labels = role === DEFAULT_ROLE ? [] : role.split('/').toReversed();
  return [jobName, ...labels, DOMAIN].join('.');
}

/** The socket by which an executor reaches its agent, in a folder of its own. */
export const EXECUTOR_SOCKET = 'executor.sock';

/** `folder`: as the executor sees it. */
export function socketVariable(folder: string): Record<string, string> {
  return { BERTH_EXECUTOR_SOCKET: `${folder}/${EXECUTOR_SOCKET}` };
}
