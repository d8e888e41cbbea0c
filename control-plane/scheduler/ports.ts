/** Which host ports a task gets on the node that takes it. */

import type { TaskId } from '../../shared/domain/ids.ts';
import type { PortSpec } from '../../shared/domain/job.ts';
import { countPorts, type PortRange, portsOf, subtractPorts } from '../../shared/domain/resources.ts';
import { invariant } from '../../shared/util/assert.ts';
import { textHash } from '../../shared/util/text-hash.ts';

export interface PortRequest {
  readonly task: TaskId;
  readonly ports: readonly PortSpec[];
  /** All ports that the node offers. */
  readonly offered: readonly PortRange[];
  readonly free: readonly PortRange[];
}

/**
 * Host ports by the names that the group gives them. Those asked for by number are taken first; the others are the next
 * free ones from a point among the node's ports that follows from the task's id. So the same snapshot gives the same
 * ports, and yet one that has just become free isn't handed to the next task while clients of the last one still call it.
 *
 * The caller has asked the port filters.
 */
export function allocatePorts({ task, ports, offered, free }: PortRequest): Record<string, number> {
  const fixed = ports.flatMap(({ hostPort }) => (hostPort === undefined ? [] : [hostPort]));
  let left = subtractPorts(free, portsOf(fixed));
  let from = portAt(offered, textHash(task) % Math.max(1, countPorts(offered)));
  const byName: Record<string, number> = {};
  for (const { name, hostPort } of ports) {
    const port = hostPort ?? nextPort(left, from);
    invariant(port !== null, `no host port is left for ${name} of task ${task}`);
    byName[name] = port;
    if (hostPort !== undefined) continue;
    left = subtractPorts(left, portsOf([port]));
    from = port;
  }
  return byName;
}

/** The lowest port at or above `from`, or else the lowest of all. */
function nextPort(free: readonly PortRange[], from: number): number | null {
  const above = free.find((range) => range.last >= from);
  return above === undefined ? (free[0]?.first ?? null) : Math.max(above.first, from);
}

/** The port at this place, counted over all ranges. */
function portAt(ranges: readonly PortRange[], place: number): number {
  let skipped = place;
  for (const { first, last } of ranges) {
    if (skipped <= last - first) return first + skipped;
    skipped -= last - first + 1;
  }
  return 0;
}
