import { describe, expect, it } from 'vitest';
import { frameworkNotesOf } from '../../../control-plane/facade-mesos/translate/annotations.ts';
import { readWishes } from '../../../control-plane/facade-mesos/translate/framework-info.ts';
import { infoOf, knownFramework } from '../../../control-plane/facade-mesos/translate/known-framework.ts';
import { wishesSchema } from '../../../control-plane/facade-mesos/wire/framework-info.ts';
import { subscriptionSchema } from '../../../shared/protocol/framework.ts';

const MULTI_ROLE = { capabilities: [{ type: 'MULTI_ROLE' }] };

function read(info: object, rest: object = {}) {
  const wire = wishesSchema.parse({ framework_info: { user: 'root', name: 'painter', ...info }, ...rest });
  return readWishes(wire);
}

function wishes(info: object, rest: object = {}) {
  const reading = read(info, rest);
  if (!reading.ok) throw new Error(reading.message);
  expect(subscriptionSchema.safeParse(reading.value).error).toBeUndefined();
  return reading.value;
}

describe('what a framework says of itself', () => {
  it('is a subscription of Berth, for a client that says no more than it must', () => {
    expect(wishes({})).toMatchObject({
      name: 'painter',
      roles: ['default'],
      failoverTimeoutSeconds: 0,
      capabilities: [],
      minAllocatable: {},
      suppressed: [],
      nodeConstraints: {},
    });
  });

  it.each<[object, object]>([
    [{ role: 'eng' }, { roles: ['eng'] }],
    [{ role: '*' }, { roles: ['default'] }],
    [{ ...MULTI_ROLE, roles: ['eng/ml', '*'] }, { roles: ['eng/ml', 'default'] }],
    [{ failover_timeout: 604_800 }, { failoverTimeoutSeconds: 604_800 }],
    [{ failover_timeout: 'Infinity' }, { failoverTimeoutSeconds: 31_536_000 }],
    [{ capabilities: [{ type: 'GPU_RESOURCES' }, { type: 'SOMETHING_NEW' }] }, { capabilities: ['gpus'] }],
    [
      {
        role: 'eng',
        offer_filters: {
          eng: {
            min_allocatable_resources: {
              quantities: [{ quantities: { gpus: { value: 1 }, mem: { value: 64 }, disk: { value: 2 } } }],
            },
          },
        },
      },
      { minAllocatable: { eng: [{ gpus: 1, memMiB: 64, diskMiB: 2 }] } },
    ],
    [{ role: 'eng', offer_filters: { eng: { min_allocatable_resources: {} } } }, { minAllocatable: { eng: [] } }],
    [{ role: 'eng', offer_filters: { eng: {} } }, { minAllocatable: {} }],
  ])('%j', (info, expected) => expect(wishes(info)).toMatchObject(expected));

  it('has a name that can stand in ids, and keeps its own', () => {
    const { name, annotations = {} } = wishes({ name: 'My Painter' });
    expect(name).toMatch(/^my-painter-[0-9a-f]{8}$/);
    expect(infoOf({ name, annotations })).toMatchObject({ name: 'My Painter', user: 'root' });
  });

  it('is read again whole, though JSON has no word for what lasts for ever', () => {
    const { name, annotations = {} } = wishes({ failover_timeout: 'Infinity', hostname: 'h' });
    expect(infoOf({ name, annotations })).toMatchObject({ user: 'root', hostname: 'h' });
  });

  it('keeps how it spells its roles, what it can do, and its id where that is of another shape', () => {
    const { annotations = {} } = wishes({
      id: { value: 'old-0001' },
      principal: 'p',
      capabilities: [{ type: 'MULTI_ROLE' }, { type: 'PARTITION_AWARE' }],
      roles: ['Slave_Public'],
    });
    const known = knownFramework({ id: 'f0', name: 'painter', principal: 'anna', annotations });
    expect(known).toMatchObject({ id: 'old-0001', principal: 'p', subject: 'anna' });
    expect([...known.capabilities]).toEqual(['MULTI_ROLE', 'PARTITION_AWARE']);
    const [[role = '', spelled] = []] = Object.entries(frameworkNotesOf(annotations).roles);
    expect([known.wireRole(role), spelled]).toEqual(['Slave_Public', 'Slave_Public']);
    expect(frameworkNotesOf(wishes({ id: { value: 'f0123456789abcdef' } }).annotations ?? {}).id).toBeUndefined();
  });

  it('keeps the user and the checkpointing that it came with first', () => {
    const wire = wishesSchema.parse({ framework_info: { user: 'other', name: 'painter', checkpoint: true } });
    const reading = readWishes(wire, { info: { user: 'root', checkpoint: false }, roles: {} });
    expect(reading.ok && frameworkNotesOf(reading.value.annotations ?? {}).info).toMatchObject({
      user: 'root',
      checkpoint: false,
    });
  });

  it.each<[object, object, string]>([
    [
      { ...MULTI_ROLE, role: 'eng' },
      {},
      "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable",
    ],
    [{ roles: ['eng'] }, {}, "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable"],
    [{ ...MULTI_ROLE, roles: ['a', 'b', 'a'] }, {}, "'FrameworkInfo.roles' contains duplicate items: { a }"],
    [
      { ...MULTI_ROLE, roles: ['a', '/b'] },
      {},
      "'FrameworkInfo.roles' contains invalid role: Role '/b' cannot start with a slash",
    ],
    [{ ...MULTI_ROLE, roles: [] }, {}, "'FrameworkInfo.roles' is empty"],
    [{ ...MULTI_ROLE, roles: ['*', 'default'] }, {}, "Roles '*' and 'default' are one and the same here"],
    [{ role: '' }, {}, "'FrameworkInfo.role' is not a valid role: Empty role name is invalid"],
    [{ failover_timeout: -1 }, {}, 'The framework failover_timeout (-1) is invalid'],
    [{ failover_timeout: 'NaN' }, {}, 'The framework failover_timeout (NaN) is invalid'],
    [
      { offer_filters: { eng: {} } },
      {},
      "Invalid framework offer filters: role 'eng' is not contained in the list of roles",
    ],
    [
      {
        offer_filters: {
          '*': { min_allocatable_resources: { quantities: [{ quantities: { cpus: { value: -1 } } }] } },
        },
      },
      {},
      "Invalid framework offer filters: invalid quantity 'cpus': -1",
    ],
    [{}, { suppressed_roles: ['eng'] }, "Suppressed role 'eng' is not contained in the list of roles"],
    [{ labels: { labels: [{ key: 'k', value: 'x'.repeat(17_000) }] } }, {}, 'FrameworkInfo is too large to be kept'],
  ])('%j %j is refused: %s', (info, rest, message) => {
    const reading = read(info, rest);
    expect(reading).toMatchObject({ ok: false, message: expect.stringContaining(message) });
  });
});

describe('offer constraints', () => {
  const constraints = (...all: object[]) => ({
    offer_constraints: { role_constraints: { '*': { groups: [{ attribute_constraints: all }] } } },
  });
  const rack = { selector: { attribute_name: 'rack' } };

  it.each<[object, object]>([
    [
      { ...rack, predicate: { exists: {} } },
      { attribute: 'rack', operator: 'exists' },
    ],
    [
      { ...rack, predicate: { not_exists: {} } },
      { attribute: 'rack', operator: 'notExists' },
    ],
    [
      { ...rack, predicate: { text_equals: { value: 'r1' } } },
      { attribute: 'rack', operator: '=', value: 'r1' },
    ],
    [
      { ...rack, predicate: { text_not_equals: { value: 'r1' } } },
      { attribute: 'rack', operator: '!=', value: 'r1' },
    ],
    [
      { ...rack, predicate: { text_matches: { regex: 'r[0-9]+' } } },
      { attribute: 'rack', operator: 'matches', value: 'r[0-9]+' },
    ],
    [
      { ...rack, predicate: { text_not_matches: { regex: 'r1|r2' } } },
      { attribute: 'rack', operator: 'notMatches', value: 'r1|r2' },
    ],
    [
      { selector: { pseudoattribute_type: 'HOSTNAME' }, predicate: { text_equals: { value: 'h' } } },
      { attribute: 'hostname', operator: '=', value: 'h' },
    ],
    [
      { selector: { pseudoattribute_type: 'ZONE' }, predicate: { exists: {} } },
      { attribute: 'zone', operator: 'exists' },
    ],
  ])('%j is %j', (wire, constraint) => {
    expect(wishes({}, constraints(wire)).nodeConstraints).toEqual({ default: [[constraint]] });
  });

  it.each<[object, string]>([
    [{ offer_constraints: { role_constraints: { eng: { groups: [] } } } }, "role 'eng' is not contained"],
    [{ offer_constraints: { role_constraints: { '*': { groups: [] } } } }, 'have no groups'],
    [constraints(), 'have an empty group'],
    [
      constraints({ ...rack, predicate: { text_matches: { regex: '(' } } }),
      "Failed to construct regex from pattern '(': it must be a regular expression",
    ],
    [constraints({ ...rack, predicate: {} }), 'exactly one predicate must be set'],
    [constraints({ ...rack, predicate: { exists: {}, not_exists: {} } }), 'exactly one predicate must be set'],
    [constraints({ selector: {}, predicate: { exists: {} } }), 'a selector names no attribute'],
  ])('%j are refused: %s', (rest, message) => {
    const reading = read({}, rest);
    expect(reading).toMatchObject({ ok: false, message: expect.stringContaining(message) });
    expect(reading).toMatchObject({ message: expect.stringContaining("Framework's offer constraints are not valid") });
  });
});
