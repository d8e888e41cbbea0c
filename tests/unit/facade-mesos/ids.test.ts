import { describe, expect, it } from 'vitest';
import {
  base64Of,
  bytesOfUuid,
  frameworkIdOf,
  placeOfUuid,
  streamIdOf,
  updateUuidOf,
} from '../../../control-plane/facade-mesos/translate/ids.ts';
import { FRAMEWORK_ID_PATTERN } from '../../../shared/domain/ids.ts';
import { updateId } from '../../../shared/domain/task-update.ts';

describe('the framework that an id stands for', () => {
  it.each(['f0123456789abcdef', 'fzzzzzzzzzzzz'])('%s is itself', (id) => {
    expect(frameworkIdOf(id)).toBe(id);
  });

  it.each(['201103282247-0000000019-0000', 'F0123456789ABCDEF', 'f', '', 'fähre', 'f0123456789ab/../x'])(
    '%j stands for one of Berth, always the same',
    (id) => {
      expect(frameworkIdOf(id)).toMatch(FRAMEWORK_ID_PATTERN);
      expect(frameworkIdOf(id)).toBe(frameworkIdOf(id));
      expect(frameworkIdOf(`${id}1`)).not.toBe(frameworkIdOf(id));
    },
  );

  it('is the same in every version, since records are found by it', () => {
    expect(frameworkIdOf('201103282247-0000000019-0000')).toBe('f41g19q1cgr26hlo4g1j8wvns');
  });
});

describe('a stream id', () => {
  it('has the shape of a UUID and follows from framework and session', () => {
    const id = streamIdOf('f0123456789abcdef', 3);
    expect(id).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    expect(streamIdOf('f0123456789abcdef', 3)).toBe(id);
    expect(streamIdOf('f0123456789abcdef', 4)).not.toBe(id);
    expect(streamIdOf('f0123456789abcdeg', 3)).not.toBe(id);
  });
});

describe('the uuid of an update', () => {
  const task = 'painter-wall-0-f0123456789abcdef-v1a0';

  it('is 16 bytes that say which task it is of and which place in its history', () => {
    const uuid = updateUuidOf(updateId(task, 70_000)) ?? '';
    expect(bytesOfUuid(uuid)).toHaveLength(16);
    expect(placeOfUuid(task, uuid)).toBe(70_000);
    expect(placeOfUuid(`${task}0`, uuid)).toBeNull();
  });

  it('differs from place to place', () => {
    expect(updateUuidOf(updateId(task, 1))).not.toBe(updateUuidOf(updateId(task, 2)));
  });

  it.each(['', 'AAAA', 'not base64!', base64Of(new Uint8Array(17))])('%j is none', (text) => {
    expect(bytesOfUuid(text)).toBeNull();
    expect(placeOfUuid(task, text)).toBeNull();
  });

  it('is not made of what is no id of an update', () => expect(updateUuidOf('what')).toBeNull());
});
