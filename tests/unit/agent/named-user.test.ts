/** Users of the machine that its operator lends to tasks. */
import { expect, it } from 'vitest';
import { namedUser, namedUserFaults, namedUserRefusal } from '../../../node-agent/core/named-user.ts';

const PASSWD = `root:x:0:0:root:/root:/bin/sh
admin:x:0:0::/root:/bin/sh
build:x:1001:1002::/home/build:/bin/sh
broken:x::
`;

it('are found as the machine lists them', () => {
  expect(namedUser(PASSWD, 'build')).toEqual({ uid: 1001, gid: 1002 });
  expect(namedUser(PASSWD, 'buil')).toBeNull();
  expect(namedUser(PASSWD, 'broken')).toBeNull();
});

it.each([
  [['build'], []],
  [['build', 'nosuch'], [/--process-user is "nosuch".*no such user/]],
  [['broken'], [/"broken"/]],
  [
    ['root', 'admin'],
    [/"root", which is root/, /"admin", which is root/],
  ],
])('are refused where they are not there, or root: %j', (names, faults) => {
  expect(namedUserFaults(PASSWD, names)).toEqual(faults.map((fault) => expect.stringMatching(fault)));
});

it.each([
  ['build', null],
  ['other', /--process-user other$/],
  ['build:build', /without a group/],
  ['1001', /a number/],
  ['root', /never runs as root/],
])('are for tasks as they are listed: %s', (name, refusal) => {
  expect(namedUserRefusal(name, ['build'])).toEqual(refusal === null ? null : expect.stringMatching(refusal));
});
