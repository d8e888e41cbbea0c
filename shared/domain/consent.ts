/** What a group demands beyond the ordinary, held against what a node's operator has allowed. */
import { unreachable } from '../util/assert.ts';
import { type Danger, dangersOf, type TaskGroup } from './job.ts';
import type { NodeConsent } from './node.ts';

/**
 * What the group demands and the node doesn't allow, each as the object of "doesn't allow": `the host's network`,
 * `a mount of /etc`. Empty: everything is allowed.
 */
export function missingConsents(group: TaskGroup, consent: NodeConsent): string[] {
  return dangersOf(group).flatMap((danger) => missingFor(danger, group, consent));
}

function missingFor(danger: Danger, group: TaskGroup, consent: NodeConsent): string[] {
  switch (danger) {
    case 'host-network':
      return consent.hostNetwork ? [] : ["the host's network"];
    case 'host-mounts':
      return group.mounts
        .filter((mount) => mount.type === 'bind' && !isMountAllowed(mount.source ?? '', consent.hostMounts))
        .map((mount) => `a mount of ${mount.source ?? 'an unnamed path'}`);
    case 'privileged':
      return consent.privileged ? [] : ['privileged containers'];
    case 'devices':
      return group.devices.filter((path) => !consent.devices.includes(path)).map((path) => `the device ${path}`);
    case 'capabilities':
      return group.capAdd
        .filter((name) => !consent.capabilities.includes(name))
        .map((name) => `the capability ${name}`);
    case 'process-runtime':
      return consent.processRuntime ? [] : ['processes outside of containers'];
    case 'executor':
      return consent.executors ? [] : ['executors of frameworks'];
    default:
      return unreachable(danger);
  }
}

/** Whether the path is one of `allowed` or lies below one. By whole segments: `/data` doesn't allow `/database`. */
export function isMountAllowed(path: string, allowed: readonly string[]): boolean {
  const wanted = segmentsOf(path);
  if (!path.startsWith('/') || wanted.includes('..')) return false;
  return allowed.some(
    (root) => root.startsWith('/') && segmentsOf(root).every((segment, depth) => wanted[depth] === segment),
  );
}

function segmentsOf(path: string): string[] {
  return path.split('/').filter((segment) => segment !== '' && segment !== '.');
}
