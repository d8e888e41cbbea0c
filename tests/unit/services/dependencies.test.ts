import { describe, expect, it } from 'vitest';
import { allDependencies, DEPENDENCIES_MAX } from '../../../control-plane/services/dependencies.ts';
import type { JobKey } from '../../../shared/domain/ids.ts';
import type { Job } from '../../../shared/domain/job.ts';
import { aJob, aSpec } from '../../support/builders.ts';

const named = ({ role, name }: JobKey) => (role === 'default' ? name : `${role}:${name}`);

function follow(jobs: readonly Job[], name: string, dependsOn: readonly string[], role = 'default'): string[] {
  const jobByKey = (key: JobKey) => jobs.find(({ spec }) => spec.name === key.name && spec.role === key.role);
  return allDependencies(aSpec({ name, role, kind: 'service', dependsOn }), { jobByKey, nameOf: named }).map(named);
}

function job(name: string, dependsOn: readonly string[], role = 'default'): Job {
  return aJob({ spec: { name, role, kind: 'service', dependsOn } });
}

describe('what a job depends on', () => {
  it('is all that can be reached from it, once each, whether it exists or not', () => {
    const jobs = [job('api', ['db', 'cache']), job('cache', ['db'])];
    expect(follow(jobs, 'web', ['api', 'cache'])).toEqual(['api', 'cache', 'db']);
    expect(follow([], 'web', [])).toEqual([]);
  });

  it('may be in another role, whose own names are of that role', () => {
    expect(follow([job('api', ['db'], 'eng/ml')], 'web', ['eng/ml:api'])).toEqual(['eng/ml:api', 'eng/ml:db']);
  });

  it.each([
    ['itself', [], ['web'], /\/dependsOn\/0 is the job itself/],
    ['itself by its role', [], ['api', 'default:web'], /\/dependsOn\/1 is the job itself/],
    [
      'one that leads back to it',
      [job('api', ['db']), job('db', ['web'])],
      ['cache', 'api'],
      /\/dependsOn\/1 closes a circle.*web → api → db → web; leave one of them out/,
    ],
    ['one over another role', [job('api', ['default:web'], 'eng')], ['eng:api'], /web → eng:api → web/],
  ] as const)('may not be %s', (_what, jobs, dependsOn, message) => {
    expect(() => follow(jobs, 'web', dependsOn)).toThrow(message);
  });

  it('has an end, even where others go round in a circle without it', () => {
    expect(follow([job('a', ['b']), job('b', ['a'])], 'web', ['a'])).toEqual(['a', 'b']);
  });

  it('may not be more than one transaction can compare', () => {
    const chain = Array.from({ length: DEPENDENCIES_MAX + 1 }, (_, at) => job(`j${at}`, [`j${at + 1}`]));
    expect(() => follow(chain, 'web', ['j0'])).toThrow(/more than 100 jobs/);
    expect(follow(chain, 'web', ['j2'])).toHaveLength(DEPENDENCIES_MAX);
  });
});
