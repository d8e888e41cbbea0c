import { describe, expect, it } from 'vitest';
import {
  identityFrom,
  isOtherMachine,
  readMachineIdentity,
} from '../../../node-agent/adapters/machine/machine-identity.ts';

const SYSTEM = '3d1219c7c4c5404aaa1f6d2a48adfda4';
const PRODUCT = '4C4C4544-0042-3510-8052-B4C04F4D4D32';
const NOTHING = { system: null, mounts: null, hardware: [] };

describe('what a machine is told by', () => {
  it('is its hardware, and the system on it', () => {
    expect(identityFrom({ system: `${SYSTEM}\n`, mounts: '', hardware: [`${PRODUCT}\n`, null] })).toEqual({
      hardware: '4c4c45440042351080 52b4c04f4d4d32'.replace(' ', ''),
      system: SYSTEM,
    });
    expect(identityFrom({ ...NOTHING, hardware: [null, '10000000a1b2c3d4'] })).toEqual({
      hardware: '10000000a1b2c3d4',
    });
  });

  it.each(['', '\n', 'uninitialized\n', '0'.repeat(32), 'no id', SYSTEM.toUpperCase()])(
    'is no system id: %j',
    (system) => {
      expect(identityFrom({ ...NOTHING, system })).toEqual({});
    },
  );

  it('is no id that lives until the next boot only', () => {
    const line = '36 25 0:32 /machine-id /etc/machine-id ro,relatime - tmpfs tmpfs rw';
    expect(
      identityFrom({ ...NOTHING, system: SYSTEM, mounts: `25 1 8:1 / / rw - ext4 /dev/sda1 rw\n${line}\n` }),
    ).toEqual({});
    expect(identityFrom({ ...NOTHING, system: SYSTEM, mounts: '25 1 8:1 / / rw - ext4 /dev/sda1 rw\n' })).toEqual({
      system: SYSTEM,
    });
  });

  it.each([
    '00000000-0000-0000-0000-000000000000',
    'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF',
    '03000200-0400-0500-0006-000700080009',
    '12345678-9ABC-DEF0-1234-56789ABCDEF0',
    '0123456789',
    'none',
  ])('is nothing that a vendor forgot to fill in: %s', (id) => {
    expect(identityFrom({ ...NOTHING, hardware: [id] })).toEqual({});
  });

  it('is nothing where nothing can be read', async () => {
    expect(await readMachineIdentity(() => Promise.resolve(null))).toEqual({});
  });
});

describe('a state folder', () => {
  it.each([
    ['has stayed', { hardware: 'a', system: 's' }, { hardware: 'a', system: 's' }, false],
    [
      'has stayed where the system was installed anew',
      { hardware: 'a', system: 's' },
      { hardware: 'a', system: 't' },
      false,
    ],
    ['has come to a clone with the same system', { hardware: 'a', system: 's' }, { hardware: 'b', system: 's' }, true],
    ['has come to another system, as far as can be told', { hardware: 'a', system: 's' }, { system: 't' }, true],
    ['may have been anywhere', { hardware: 'a' }, { system: 's' }, null],
    ['may have been anywhere before', {}, { hardware: 'a', system: 's' }, null],
  ] as const)('%s', (_what, before, now, isOther) => {
    expect(isOtherMachine(before, now)).toBe(isOther);
  });
});
