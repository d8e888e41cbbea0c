import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  jobUidOf,
  NAME_PATTERN,
  NODE_ID_PATTERN,
  nameFor,
  ROLE_PATTERN,
  roleWithin,
  TASK_ID_PATTERN,
  type TaskCoordinates,
  taskCoordinates,
  taskId,
} from '../../../shared/domain/ids.ts';

const name = fc.stringMatching(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/);
const shortName = fc.stringMatching(/^[a-b](?:[0-1-]{0,2}[0-1])?$/);

describe('task ids', () => {
  const coordinates = { jobName: 'demo', jobUid: 'u1', jobVersion: 3, group: 'main', index: 4, attempt: 2 };

  it('are spelled from where the task stands', () => {
    expect(taskId(coordinates)).toBe('demo-main-4-u1-v3a2');
  });

  it('keep to their pattern, however long the names', () => {
    fc.assert(
      fc.property(name, name, fc.nat(9999), (jobName, group, index) => {
        const id = taskId({
          ...coordinates,
          jobName,
          group,
          index,
          jobUid: 'x'.repeat(16),
          jobVersion: 999_999,
          attempt: 1000,
        });
        expect(id).toMatch(TASK_ID_PATTERN);
      }),
    );
  });

  it('tell their coordinates to who knows the job', () => {
    fc.assert(
      fc.property(name, name, fc.nat(9999), fc.nat(12), (jobName, group, index, attempt) => {
        const place = { ...coordinates, jobName, group, index, attempt };
        const id = taskId(place);
        expect(taskCoordinates(id, place)).toEqual(place);
        expect(jobUidOf(id)).toBe('u1');
        expect(taskCoordinates(id, { jobName, jobUid: 'u2' })).toBeNull();
        expect(taskCoordinates(id, { jobName: `${jobName}x`, jobUid: 'u1' })).toBeNull();
      }),
    );
  });

  it.each(['unknown', 'demo-main-4-u1-v3', 'demo-main-x-u1-v3a2', 'u1-v3a2'])('are not found in %s', (id) => {
    expect(jobUidOf(id)).toBeNull();
    expect(taskCoordinates(id, coordinates)).toBeNull();
  });

  it('differ within a job whenever the places differ', () => {
    // A job's name and uid belong together, so the name is the same for all tasks of a uid.
    const place = fc.record({
      group: shortName,
      index: fc.nat(11),
      jobVersion: fc.integer({ min: 1, max: 12 }),
      attempt: fc.nat(12),
    });
    fc.assert(
      fc.property(place, place, (a, b) => {
        const of = (each: Partial<TaskCoordinates>) => taskId({ ...coordinates, ...each });
        expect(of(a) === of(b)).toBe(JSON.stringify(a) === JSON.stringify(b));
      }),
      { numRuns: 1000 },
    );
  });
});

describe('names', () => {
  const good = ['a', '0', 'a-b', 'a--b', 'x'.repeat(63)];
  const bad = ['', '-a', 'a-', 'A', 'a_b', 'a.b', 'a/b', 'a b', 'é', 'x'.repeat(64), 'a\n', '..'];

  it.each([
    ['names', NAME_PATTERN],
    ['node ids', NODE_ID_PATTERN],
  ] as const)('%s are single DNS labels', (_what, pattern) => {
    expect(good.filter((text) => !pattern.test(text))).toEqual([]);
    expect(bad.filter((text) => pattern.test(text))).toEqual([]);
  });

  it('of roles are up to eight of them', () => {
    expect(['eng', 'eng/ml', Array(8).fill('a').join('/')].filter((role) => !ROLE_PATTERN.test(role))).toEqual([]);
    const wrong = [
      '',
      '/',
      'eng/',
      '/eng',
      'eng//ml',
      'eng/../x',
      '*',
      'eng+ml',
      Array(9).fill('a').join('/'),
      'eng\n',
    ];
    expect(wrong.filter((role) => ROLE_PATTERN.test(role))).toEqual([]);
  });
});

describe('roleWithin', () => {
  it.each([
    ['eng', 'eng', true],
    ['eng/ml', 'eng', true],
    ['eng/ml/vision', 'eng', true],
    ['eng', 'eng/ml', false],
    ['engine', 'eng', false],
    ['ops', 'eng', false],
    ['eng', '*', true],
    ['eng', '', false],
  ])('%s in %s: %s', (role, scope, expected) => {
    expect(roleWithin(role, scope)).toBe(expected);
  });
});

describe('a name for a text', () => {
  it.each(['web', 'web-1', 'a'.repeat(63)])('is %s itself where that is a name', (text) => {
    expect(nameFor(text)).toBe(text);
  });

  it('keeps what can be kept', () => {
    expect(nameFor('Web 1')).toMatch(/^web-1-[0-9a-f]{8}$/);
    expect(nameFor('___')).toMatch(/^[0-9a-f]{8}$/);
    expect(new Set(['Web 1', 'web_1', 'web-1', '-web-1'].map(nameFor)).size).toBe(4);
  });

  it('is a name, and the same each time, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (text) => {
        expect(nameFor(text)).toMatch(NAME_PATTERN);
        expect(nameFor(text)).toBe(nameFor(text));
      }),
    );
  });
});
