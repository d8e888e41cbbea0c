import { describe, expect, it } from 'vitest';
import { parseJobFile, readJobFiles } from '../../../control-plane/cli/job-file.ts';

const TWO_JOBS = `# a comment
name: one
groups:
  - image: busybox
    args: [echo, hi]
    constraints:
      - {attribute: zone, operator: =, value: a}
---
name: two
role: eng/ml
groups: [{image: busybox, comand: [x]}]
`;

describe('a job file', () => {
  it('holds several jobs', () => {
    const { documents, faults } = parseJobFile('jobs.yaml', TWO_JOBS);
    expect(faults).toEqual([]);
    expect(documents.map(({ key }) => key)).toEqual([
      { name: 'one', role: 'default' },
      { name: 'two', role: 'eng/ml' },
    ]);
    expect(documents[0]?.spec.groups[0]).toMatchObject({ image: 'busybox', args: ['echo', 'hi'] });
  });

  it('may be JSON', () => {
    const { documents } = parseJobFile('job.json', '{"name": "one", "groups": [{"image": "busybox"}]}');
    expect(documents[0]?.spec).toEqual({ name: 'one', groups: [{ image: 'busybox' }] });
  });

  it.each([
    ['/groups/0/args/1', 'jobs.yaml:5:18'],
    ['/groups/0/constraints/0/value', 'jobs.yaml:7:40'],
    ['/groups/0/image', 'jobs.yaml:4:5'],
    ['/groups/0', 'jobs.yaml:4:5'],
    // What is missing is looked for where it would stand.
    ['/groups/0/resources/cpus', 'jobs.yaml:4:5'],
    ['/', 'jobs.yaml:2:1'],
    ['', 'jobs.yaml:2:1'],
  ])('knows where %s stands', (path, place) => {
    const [first] = parseJobFile('jobs.yaml', TWO_JOBS).documents;
    const at = path === '' ? '' : `${path}: `;
    expect(first?.locate({ path, message: 'is wrong' })).toBe(`${place}: ${at}is wrong`);
  });

  it('points at a field that nobody knows, also in a later document', () => {
    const [, second] = parseJobFile('jobs.yaml', TWO_JOBS).documents;
    const fault = { path: '/groups/0/comand', message: 'unknown field' };
    expect(second?.locate(fault)).toBe('jobs.yaml:11:27: /groups/0/comand: unknown field');
  });

  it('follows escapes in a pointer', () => {
    const { documents } = parseJobFile('x', 'name: a\nlabels:\n  b/c~d: 1\n');
    expect(documents[0]?.locate({ path: '/labels/b~1c~0d', message: 'must be text' })).toMatch(/^x:3:3:/);
  });

  it.each([
    ['', /^x: holds no job$/],
    ['# only a comment\n', /^x: holds no job$/],
    ['name: [', /^x:1:\d+: /],
    ['name: a\nname: b\n', /^x:2:1: Map keys must be unique/],
    ['- a\n- b\n', /^x:1:1: a job is a map/],
    ['just text', /^x:1:1: a job is a map/],
    ['groups: []\n', /^x:1:1: \/name: is required/],
    ['name: 5\n', /^x:1:1: \/name: is required/],
    ['name: a\nrole: [b]\n', /^x:2:1: \/role: must be a text/],
    ['name: a\n\tgroups: []\n', /^x:2:1: /],
  ])('that says %j is refused at its place', (text, fault) => {
    const parsed = parseJobFile('x', text);
    expect(parsed.documents).toEqual([]);
    expect(parsed.faults.join('\n')).toMatch(fault);
  });

  it('that explodes by its aliases is refused', () => {
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x,x]\n${'bcdefgh'
      .split('')
      .map((name, at) => `${name}: &${name} [${Array(10).fill(`*${'abcdefgh'[at]}`).join(',')}]`)
      .join('\n')}\nname: bomb\n`;
    const { documents, faults } = parseJobFile('x', bomb);
    expect(documents).toEqual([]);
    expect(faults.join()).toMatch(/alias/i);
  });
});

describe('reading job files', () => {
  const text = 'name: a\ngroups: [{image: b}]\n';

  it('takes - as standard input', async () => {
    const [document] = await readJobFiles(['-'], async () => text);
    expect(document).toMatchObject({ file: 'stdin', key: { name: 'a' } });
  });

  it('reports the faults of all files together', async () => {
    const failure = readJobFiles(['-', '-'], async () => 'nonsense');
    await expect(failure).rejects.toMatchObject({
      exitCode: 2,
      lines: [expect.stringMatching(/stdin:1:1/), expect.anything()],
    });
  });

  it('names a file that is not there', async () => {
    await expect(readJobFiles(['/nowhere/job.yaml'], async () => '')).rejects.toThrow(/\/nowhere\/job.yaml/);
  });
});
