/** Which hierarchies of cgroups a machine has, by what its kernel says. */
import { expect, it } from 'vitest';
import { cgroupLayout } from '../../../node-agent/adapters/process/cgroups.ts';

const UNIFIED = 'cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nodev,noexec,relatime,nsdelegate 0 0';
const OLD = [
  'tmpfs /sys/fs/cgroup tmpfs rw,relatime,mode=755 0 0',
  'cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0',
  'cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0',
  'cgroup /sys/fs/cgroup/pids cgroup rw,relatime,pids 0 0',
];
const OLD_ROOTS = {
  cpu: '/sys/fs/cgroup/cpu,cpuacct',
  memory: '/sys/fs/cgroup/memory',
  pids: '/sys/fs/cgroup/pids',
};

it.each([
  [
    'version 2',
    [UNIFIED],
    {
      version: 2,
      roots: { cpu: '/sys/fs/cgroup', memory: '/sys/fs/cgroup', pids: '/sys/fs/cgroup' },
      tracking: '/sys/fs/cgroup',
    },
  ],
  ['version 1', OLD, { version: 1, roots: OLD_ROOTS, tracking: '/sys/fs/cgroup/pids' }],
  [
    'version 1 with a freezer',
    [...OLD, 'cgroup /sys/fs/cgroup/freezer cgroup rw,freezer 0 0'],
    { version: 1, roots: OLD_ROOTS, tracking: '/sys/fs/cgroup/freezer' },
  ],
  [
    'version 1 with an empty hierarchy of version 2',
    [...OLD, 'cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0'],
    { version: 1, roots: OLD_ROOTS, tracking: '/sys/fs/cgroup/unified' },
  ],
  [
    'version 1 without memory',
    ['cgroup /cg/cpu cgroup rw,cpu 0 0', 'cgroup /cg/freezer cgroup rw,freezer 0 0'],
    { version: 1, roots: { cpu: '/cg/cpu' }, tracking: '/cg/freezer' },
  ],
  ['no hierarchy', ['proc /proc proc rw 0 0'], null],
])('of %s', (_, mounts, layout) => {
  expect(cgroupLayout(mounts.join('\n'))).toEqual(layout);
});
