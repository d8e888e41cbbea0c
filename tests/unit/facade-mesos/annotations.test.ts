import { describe, expect, it } from 'vitest';
import {
  frameworkAnnotations,
  frameworkNotesOf,
  taskAnnotations,
  taskNotesOf,
  wireFrameworkId,
} from '../../../control-plane/facade-mesos/translate/annotations.ts';
import { ANNOTATIONS_LENGTH_MAX, annotationsSchema } from '../../../shared/protocol/framework.ts';

describe('what is kept of a framework', () => {
  const notes = { info: { name: 'Painter', checkpoint: true }, roles: { 'r-1': 'R_1' }, id: 'old-0001' };

  it('comes back as it was', () => {
    const annotations = frameworkAnnotations(notes);
    expect(annotations).not.toBeNull();
    expect(frameworkNotesOf(annotations ?? {})).toEqual(notes);
    expect(wireFrameworkId({ id: 'f0', annotations: annotations ?? {} })).toBe('old-0001');
  });

  it.each([{}, { mesos: '' }, { mesos: 'not json' }, { mesos: '7' }, { mesos: '{"roles":[]}' }, { other: 'x' }])(
    'is nothing where there is %j',
    (annotations) => {
      expect(frameworkNotesOf(annotations)).toEqual({ info: {}, roles: {} });
      expect(wireFrameworkId({ id: 'f0', annotations })).toBe('f0');
    },
  );

  it('is as long as it may be for the use case behind it, and no longer', () => {
    const fill = (length: number) => frameworkAnnotations({ info: { fill: 'x'.repeat(length) }, roles: {} });
    const spare = JSON.stringify(fill(0)).length;
    const most = fill(ANNOTATIONS_LENGTH_MAX.framework - spare);
    expect(annotationsSchema(ANNOTATIONS_LENGTH_MAX.framework).safeParse(most).success).toBe(true);
    expect(fill(ANNOTATIONS_LENGTH_MAX.framework - spare + 1)).toBeNull();
  });
});

describe('what is kept of a task', () => {
  it('comes back as it was, with labels of one key twice', () => {
    const notes = { name: 'wall', executor_id: 'e', labels: [{ key: 'a', value: '1' }, { key: 'a' }] };
    expect(taskNotesOf(taskAnnotations(notes) ?? {})).toEqual(notes);
  });

  it.each([{}, { mesos: '[' }, { mesos: '{"labels":7}' }])('is nothing where there is %j', (annotations) => {
    expect(taskNotesOf(annotations)).toEqual({});
  });

  it('is refused where it is too long', () => expect(taskAnnotations({ data: 'x'.repeat(8192) })).toBeNull());
});
