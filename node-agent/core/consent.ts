/**
 * Whether the node's operator lets a task do what its group asks for beyond the ordinary. The caller's token has been
 * checked by the control plane; this is the other half, decided where the machine is.
 */
import type { TaskGroup } from '../../shared/domain/job.ts';
import type { NodeConsent } from '../../shared/domain/node.ts';

/** Where a path of the node leads once every symbolic link is followed; null: there is nothing. */
export type ResolvedPaths = ReadonlyMap<string, string | null>;

/** Why the task is refused, naming the setting that would allow it; null: it may run. */
export function refusalOf(group: TaskGroup, consent: NodeConsent, paths: ResolvedPaths): string | null {
  const isOfExecutor = group.isExecutor || group.runtime === 'executor';
  if (isOfExecutor && !consent.executors) return refused('executors of frameworks', '--allow-executors');
  if (group.runtime === 'process') {
    return consent.processRuntime ? null : refused('processes outside of containers', '--allow-process-runtime');
  }
  if (group.network === 'host' && !consent.hostNetwork) {
    return refused('the host network', '--allow-host-network');
  }
  if (group.privileged && !consent.privileged) return refused('a privileged container', '--allow-privileged');
  const device = group.devices.find((path) => !consent.devices.includes(path));
  if (device !== undefined) return refused(`the device ${device}`, `--allow-device ${device}`);
  const capability = group.capAdd.find((name) => !consent.capabilities.includes(name));
  if (capability !== undefined) return refused(`the capability ${capability}`, `--allow-capability ${capability}`);
  for (const source of bindSources(group)) {
    const refusal = mountRefusal(source, consent.hostMounts, paths);
    if (refusal !== null) return refusal;
  }
  return null;
}

/** The paths of the node that the group mounts. */
export function bindSources(group: TaskGroup): string[] {
  return group.mounts.flatMap((mount) => (mount.type === 'bind' && mount.source !== undefined ? [mount.source] : []));
}

function mountRefusal(source: string, allowed: readonly string[], paths: ResolvedPaths): string | null {
  if (!allowed.some((path) => isWithin(normalize(source), normalize(path)))) {
    return refused(`a mount of ${source}`, `--allow-host-mount ${source}`);
  }
  const resolved = paths.get(source) ?? null;
  if (resolved === null) return `${source} does not exist on this node; create it, or mount another path`;
  // An allowed path may itself be a link, so both its own spelling and where it leads are accepted.
  const roots = allowed.flatMap((path) => [normalize(path), paths.get(path) ?? normalize(path)]);
  if (roots.some((root) => isWithin(resolved, root))) return null;
  return refused(`a mount of ${source}, which leads to ${resolved}`, `--allow-host-mount ${resolved}`);
}

function isWithin(path: string, root: string): boolean {
  return path === root || root === '/' || path.startsWith(`${root}/`);
}

/** The path without `.`, `..`, doubled and trailing slashes; spelled out here so that deciding needs no file system. */
function normalize(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return `/${parts.join('/')}`;
}

function refused(what: string, setting: string): string {
  return `the node's operator does not allow ${what}; its agent would need ${setting}`;
}
