import { describe, expect, it } from 'vitest';
import { isMountAllowed, missingConsents } from '../../../shared/domain/consent.ts';
import { DANGERS, dangersOf, type TaskGroup } from '../../../shared/domain/job.ts';
import { NO_CONSENT, type NodeConsent } from '../../../shared/domain/node.ts';
import { aGroup } from '../../support/builders.ts';

const bind = (source: string) => ({ type: 'bind' as const, source, target: '/in', readOnly: true });

const CASES: readonly {
  readonly danger: string;
  readonly group: TaskGroup;
  readonly enough: Partial<NodeConsent>;
  readonly missing: readonly string[];
}[] = [
  {
    danger: 'host-network',
    group: aGroup({ network: 'host' }),
    enough: { hostNetwork: true },
    missing: ["the host's network"],
  },
  {
    danger: 'host-mounts',
    group: aGroup({ mounts: [bind('/data/x'), bind('/etc'), { type: 'tmpfs', target: '/tmp', readOnly: false }] }),
    enough: { hostMounts: ['/data', '/etc'] },
    missing: ['a mount of /data/x', 'a mount of /etc'],
  },
  {
    danger: 'privileged',
    group: aGroup({ privileged: true }),
    enough: { privileged: true },
    missing: ['privileged containers'],
  },
  {
    danger: 'devices',
    group: aGroup({ devices: ['/dev/kvm'] }),
    enough: { devices: ['/dev/kvm'] },
    missing: ['the device /dev/kvm'],
  },
  {
    danger: 'capabilities',
    group: aGroup({ capAdd: ['NET_ADMIN', 'SYS_TIME'] }),
    enough: { capabilities: ['SYS_TIME', 'NET_ADMIN'] },
    missing: ['the capability NET_ADMIN', 'the capability SYS_TIME'],
  },
  {
    danger: 'process-runtime',
    group: aGroup({ runtime: 'process', network: 'host' }),
    enough: { processRuntime: true },
    missing: ['processes outside of containers'],
  },
  {
    danger: 'executor',
    group: { ...aGroup(), runtime: 'executor', executor: 'runner' },
    enough: { executors: true },
    missing: ['executors of frameworks'],
  },
];

const EVERYTHING: NodeConsent = {
  hostNetwork: true,
  hostMounts: ['/'],
  privileged: true,
  devices: ['/dev/kvm'],
  capabilities: ['NET_ADMIN', 'SYS_TIME'],
  processRuntime: true,
  executors: true,
};

describe('missingConsents', () => {
  it('knows every danger', () => {
    expect(CASES.map(({ danger }) => danger)).toEqual([...DANGERS]);
  });

  it.each(CASES)('$danger needs its own consent, and no other will do', ({ danger, group, enough, missing }) => {
    expect(dangersOf(group)).toEqual([danger]);
    expect(missingConsents(group, NO_CONSENT)).toEqual(missing);
    expect(missingConsents(group, { ...NO_CONSENT, ...enough })).toEqual([]);
    const others = Object.fromEntries(Object.keys(enough).map((key) => [key, NO_CONSENT[key as keyof NodeConsent]]));
    expect(missingConsents(group, { ...EVERYTHING, ...others })).toEqual(missing);
  });

  it('asks of an executor what it asks of the tasks that it runs', () => {
    expect(missingConsents({ ...aGroup(), isExecutor: true }, NO_CONSENT)).toEqual(['executors of frameworks']);
  });

  it('asks nothing for an ordinary task', () => {
    const group = aGroup({ mounts: [{ type: 'volume', source: 'cache', target: '/cache', readOnly: false }] });
    expect(missingConsents(group, NO_CONSENT)).toEqual([]);
  });

  it('names only what is not allowed, and takes devices exactly', () => {
    const group = aGroup({ devices: ['/dev/kvm', '/dev/kvm2'], capAdd: ['NET_ADMIN'] });
    const consent = { ...NO_CONSENT, devices: ['/dev/kvm', '/dev'], capabilities: ['NET_ADMIN'] };
    expect(missingConsents(group, consent)).toEqual(['the device /dev/kvm2']);
  });
});

describe('isMountAllowed', () => {
  it.each([
    ['/data', ['/data'], true],
    ['/data/', ['/data'], true],
    ['/data/a/b', ['/data'], true],
    ['/data/a', ['/data/'], true],
    ['//data/./a', ['/data'], true],
    ['/database', ['/data'], false],
    ['/dat', ['/data'], false],
    ['/', ['/data'], false],
    ['/anything', ['/'], true],
    ['/data/../etc', ['/data'], false],
    ['data', ['/data'], false],
    ['', ['/'], false],
    ['/etc', [], false],
    ['/etc', [''], false],
    ['/etc', ['etc'], false],
    ['/b/x', ['/a', '/b'], true],
  ])('%s below %j: %s', (path, allowed, expected) => {
    expect(isMountAllowed(path, allowed)).toBe(expected);
  });
});
