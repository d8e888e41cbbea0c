import { describe, expect, it } from 'vitest';
import { berthRole, wireRole } from '../../../control-plane/facade-mesos/translate/roles.ts';
import { ROLE_PATTERN } from '../../../shared/domain/ids.ts';

describe('a role of Mesos as one of Berth', () => {
  it.each([
    ['*', 'default'],
    ['eng', 'eng'],
    ['eng/ml', 'eng/ml'],
    ['a/b/c/d/e/f/g/h', 'a/b/c/d/e/f/g/h'],
  ])('%s is %s', (wire, role) => expect(berthRole(wire)).toEqual({ ok: true, role }));

  it.each(['Eng', 'eng/Machine_Learning', 'slave_public', 'fähre', 'a.b/c'])(
    '%s is no name of Berth, and gets one of its own',
    (wire) => {
      const reading = berthRole(wire);
      expect(reading).toMatchObject({ ok: true });
      if (!reading.ok) return;
      expect(reading.role).toMatch(ROLE_PATTERN);
      expect(reading.role.split('/')).toHaveLength(wire.split('/').length);
      expect(reading).not.toEqual(berthRole(`${wire}x`));
    },
  );

  it.each([
    ['', 'Empty role name is invalid'],
    ['/eng', "Role '/eng' cannot start with a slash"],
    ['eng/', "Role 'eng/' cannot end with a slash"],
    ['eng//ml', "Role 'eng//ml' cannot contain two adjacent slashes"],
    ['eng/.', "Role 'eng/.' cannot include '.' as a component"],
    ['../eng', "Role '../eng' cannot include '..' as a component"],
    ['eng/*', "Role 'eng/*' cannot include '*' as a component"],
    ['-eng', "Role component '-eng' is invalid because it begins with a dash"],
    ['eng/m l', "Role component 'm l' is invalid because it contains backspace or whitespace"],
    ['a/b/c/d/e/f/g/h/i', "Role 'a/b/c/d/e/f/g/h/i' has more than 8 components"],
  ])('%j is none: %s', (wire, message) => expect(berthRole(wire)).toEqual({ ok: false, message }));

  it('is none where it is longer than a role may be', () => {
    const long = `${'a'.repeat(60)}/`.repeat(4).slice(0, -1);
    expect(berthRole(long)).toMatchObject({ ok: false, message: expect.stringContaining('longer than 200') });
  });
});

describe('a role of Berth as Mesos spells it', () => {
  it.each([
    [{}, 'default', '*'],
    [{}, 'eng/ml', 'eng/ml'],
    [{ 'slave-public-1234abcd': 'slave_public' }, 'slave-public-1234abcd', 'slave_public'],
    [{ default: 'default' }, 'default', 'default'],
    [{}, 'constructor', 'constructor'],
  ])('with the spellings %j, %s is %s', (spelled, role, wire) => expect(wireRole(spelled, role)).toBe(wire));
});
