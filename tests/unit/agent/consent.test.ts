/** The operator's half of what a task may do. */
import { describe, expect, it } from 'vitest';
import { refusalOf } from '../../../node-agent/core/consent.ts';
import type { MountSpec, TaskGroup } from '../../../shared/domain/job.ts';
import { NO_CONSENT, type NodeConsent } from '../../../shared/domain/node.ts';
import { aGroup } from '../../support/builders.ts';

const bind = (source: string): MountSpec => ({ type: 'bind', source, target: '/data', readOnly: true });

function refusal(
  group: Partial<TaskGroup>,
  consent: Partial<NodeConsent> = {},
  paths: Readonly<Record<string, string | null>> = {},
): string | null {
  return refusalOf({ ...aGroup(), ...group }, { ...NO_CONSENT, ...consent }, new Map(Object.entries(paths)));
}

describe('without consent', () => {
  it('an ordinary task runs, with volumes and memory of its own', () => {
    const mounts: MountSpec[] = [
      { type: 'volume', source: 'data', target: '/a', readOnly: false },
      { type: 'tmpfs', target: '/b', readOnly: false },
    ];
    expect(refusal({ mounts })).toBeNull();
  });

  it.each<[Partial<TaskGroup>, string]>([
    [{ network: 'host' }, '--allow-host-network'],
    [{ privileged: true }, '--allow-privileged'],
    [{ devices: ['/dev/kvm'] }, '--allow-device /dev/kvm'],
    [{ capAdd: ['SYS_ADMIN'] }, '--allow-capability SYS_ADMIN'],
    [{ mounts: [bind('/srv')] }, '--allow-host-mount /srv'],
    [{ isExecutor: true }, '--allow-executors'],
    [{ runtime: 'executor', executor: 'runner' }, '--allow-executors'],
    [{ runtime: 'process', network: 'host' }, '--allow-process-runtime'],
  ])('%j is refused, and the setting is named', (group, setting) => {
    expect(refusal(group)).toContain(setting);
  });
});

describe('consent', () => {
  it('to processes outside of containers holds for their network too, and for no container', () => {
    const consent = { processRuntime: true };
    expect(refusal({ runtime: 'process', network: 'host' }, consent)).toBeNull();
    expect(refusal({ network: 'host' }, consent)).toContain('--allow-host-network');
  });

  it('is for exactly that device and that capability', () => {
    const consent = { devices: ['/dev/kvm'], capabilities: ['NET_ADMIN'] };
    expect(refusal({ devices: ['/dev/kvm'], capAdd: ['NET_ADMIN'] }, consent)).toBeNull();
    expect(refusal({ devices: ['/dev/kvm', '/dev/mem'] }, consent)).toContain('/dev/mem');
    expect(refusal({ capAdd: ['ALL'] }, consent)).toContain('ALL');
  });

  it('to executors covers them and what they run', () => {
    expect(refusal({ isExecutor: true }, { executors: true })).toBeNull();
    expect(refusal({ runtime: 'executor', executor: 'runner' }, { executors: true })).toBeNull();
  });

  it.each<[string, string, string | null, string | null]>([
    ['the path itself', '/srv', '/srv', null],
    ['what lies below it', '/srv/data/x', '/srv/data/x', null],
    ['a spelling with slashes to spare', '/srv//data/', '/srv/data', null],
    ['nothing that only begins like it', '/srv-other', '/srv-other', '--allow-host-mount /srv-other'],
    ['nothing that climbs out', '/srv/../etc', '/etc', '--allow-host-mount'],
    ['nothing that leads out through a link', '/srv/link', '/etc', '--allow-host-mount /etc'],
    ['nothing that leads next to it', '/srv/link', '/srv-other', '--allow-host-mount /srv-other'],
    ['nothing that does not exist', '/srv/gone', null, 'does not exist'],
  ])('to a mount covers %s', (_, source, leadsTo, expected) => {
    const told = refusal({ mounts: [bind(source)] }, { hostMounts: ['/srv'] }, { [source]: leadsTo, '/srv': '/srv' });
    if (expected === null) expect(told).toBeNull();
    else expect(told).toContain(expected);
  });

  it('to a path that is itself a link covers where it leads', () => {
    const paths = { '/data/x': '/mnt/disk1/x', '/data': '/mnt/disk1' };
    expect(refusal({ mounts: [bind('/data/x')] }, { hostMounts: ['/data'] }, paths)).toBeNull();
  });
});
