import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseKey, RECORD_KINDS, type RecordKind } from '../../../control-plane/store/keys.ts';
import { decodeRecord, encodeRecord, putRecord, RecordError } from '../../../control-plane/store/records.ts';
import { aJob, aTask } from '../../support/builders.ts';
import { SAMPLES } from './samples.ts';

/** Members that an earlier version of Berth didn't write; they have a default instead. */
const LATER: Partial<Record<RecordKind, readonly string[]>> = {
  jobs: ['templates', 'goodVersion', 'deployments', 'suspended'],
  versions: ['change', 'templates'],
  nodes: ['address', 'gpus', 'reservations'],
  ledger: ['offers', 'filters', 'reservations', 'volumes'],
  tasks: ['health', 'target', 'failures', 'framework', 'template'],
  frameworks: ['nodeConstraints', 'annotations'],
  secrets: ['sealed'],
  settings: ['auditKeepDays'],
};

describe.each(RECORD_KINDS)('a record of the kind %s', (kind) => {
  const { key, value } = SAMPLES[kind];

  test('comes back as it was written, under a key of that kind', () => {
    const text = encodeRecord(kind, value);
    expect(decodeRecord(kind, key, text)).toEqual(value);
    expect(JSON.parse(text)).toMatchObject({ v: 1 });
    expect(parseKey(key)?.[0]).toBe(kind);
  });

  test('is refused when any of its members is missing', () => {
    const required = Object.keys(value).filter((member) => !LATER[kind]?.includes(member));
    for (const member of required) {
      const broken = { v: 1, ...value, [member]: undefined };
      expect(() => decodeRecord(kind, key, JSON.stringify(broken))).toThrow(`record ${key} is malformed at /${member}`);
    }
  });

  test('is refused when any of its members has another type', () => {
    for (const member of Object.keys(value)) {
      const broken = { v: 1, ...value, [member]: { wrong: [[{}]] } };
      expect(() => decodeRecord(kind, key, JSON.stringify(broken))).toThrow(RecordError);
    }
  });

  test('loses members that nobody knows, on both ways', () => {
    const more = { ...value, surprise: true };
    expect(JSON.parse(encodeRecord(kind, more))).not.toHaveProperty('surprise');
    expect(decodeRecord(kind, key, JSON.stringify({ v: 1, ...more }))).toEqual(value);
  });
});

describe('what is not a record', () => {
  const key = SAMPLES.alive.key;

  test.each([
    ['', "isn't JSON"],
    ['{"v":1', "isn't JSON"],
    ['null', 'has version undefined'],
    ['[]', 'has version undefined'],
    ['{"epoch":1}', 'has version undefined'],
    ['{"v":2,"epoch":1}', 'has version 2; this program reads version 1'],
    ['{"v":"1","epoch":1}', 'has version "1"'],
    ['{"v":1}', 'is malformed at /epoch'],
    ['{"v":1,"epoch":1.5}', 'is malformed at /epoch'],
    ['{"v":1,"epoch":-1}', 'is malformed at /epoch'],
  ])('%s is refused, naming the key and the reason', (text, reason) => {
    expect(() => decodeRecord('alive', key, text)).toThrow(`record ${key} ${reason}`);
  });

  test('whatever text stands under a key, the answer is a record or a RecordError', () => {
    fc.assert(
      fc.property(fc.constantFrom(...RECORD_KINDS), fc.oneof(fc.string(), fc.json()), (kind, text) => {
        try {
          decodeRecord(kind, 'key', text);
        } catch (error) {
          expect(error).toBeInstanceOf(RecordError);
        }
      }),
    );
  });
});

test('a value that could not be read again is not written', () => {
  const task = { ...aTask(aJob()), notBeforeMs: Number.NaN };
  expect(() => putRecord('tasks', '/berth/tasks/x', task)).toThrow(
    'record /berth/tasks/x is malformed at /notBeforeMs',
  );
});

test('a task of a framework that an older program wrote is of no group and has no annotations', () => {
  const framework = { id: 'f000000000001', name: 'one', acknowledged: 1, labels: {} };
  const text = JSON.stringify({ v: 1, ...aTask(aJob()), framework });
  expect(decodeRecord('tasks', '/berth/tasks/x', text).framework).toEqual({
    ...framework,
    annotations: {},
    together: null,
  });
});

test('a write carries its lease only when it has one', () => {
  const text = encodeRecord('alive', { epoch: 1 });
  expect(putRecord('alive', 'k', { epoch: 1 })).toEqual({ type: 'put', key: 'k', value: text });
  expect(putRecord('alive', 'k', { epoch: 1 }, '7')).toEqual({ type: 'put', key: 'k', value: text, lease: '7' });
});
