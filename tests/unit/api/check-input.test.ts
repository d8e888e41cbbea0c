/** Checks as users write them: what is filled in, and what can never work. */
import { describe, expect, it } from 'vitest';
import { jobSpecSchema } from '../../../shared/protocol/job.ts';
import { operationOf, operationSchema } from '../../../shared/protocol/offers.ts';

const PORTS = [
  { name: 'http', containerPort: 80 },
  { name: 'dns', protocol: 'udp' },
];

function parsed(checks: readonly object[], group: object = {}) {
  const groups = [{ image: 'web:1', ports: PORTS, checks, ...group }];
  return jobSpecSchema.safeParse({ name: 'web', kind: 'service', groups });
}

describe('a check', () => {
  it('has everything filled in that it leaves out', () => {
    const { data } = parsed([
      { name: 'web', type: 'http', port: 'http' },
      { name: 'warm', type: 'command', command: ['true'], purpose: 'readiness' },
    ]);
    expect(data?.groups[0]?.checks).toMatchObject([
      {
        ...{ purpose: 'health', method: 'GET', path: '/', statuses: [{ first: 200, last: 399 }], onFailure: 'replace' },
        ...{ intervalSeconds: 10, timeoutSeconds: 5, graceSeconds: 30, failuresMax: 3, successesMin: 1 },
      },
      { onFailure: 'none' },
    ]);
  });

  it.each<[string, object, string, string]>([
    [
      'of a port that the group lacks',
      { type: 'tcp', port: 'web' },
      'port',
      'the group has no port "web"; it has "http"',
    ],
    ['of a port that is udp', { type: 'tcp', port: 'dns' }, 'port', 'port "dns" is udp'],
    ['of no port', { type: 'http' }, 'port', 'is required'],
    [
      'with a header of two lines',
      { type: 'http', port: 'http', headers: { 'x-a': 'one\r\nx-b: two' } },
      'x-a',
      'must be one line',
    ],
    ['without a command', { type: 'command' }, 'command', 'is required'],
    ['with a path that no request has', { type: 'tcp', port: 'http', path: '/' }, 'path', 'is not used'],
    ['with a path that is none', { type: 'http', port: 'http', path: 'ok' }, 'path', 'must be a path'],
    [
      'for readiness that ends tasks',
      { type: 'tcp', port: 'http', purpose: 'readiness', onFailure: 'replace' },
      'onFailure',
      'for readiness',
    ],
    [
      'that restarts where no restart is allowed',
      { type: 'tcp', port: 'http', onFailure: 'restart' },
      'onFailure',
      'add `restart: {inPlace: {}}`',
    ],
    ['that is made all the time', { type: 'tcp', port: 'http', intervalSeconds: 0 }, 'intervalSeconds', ''],
    [
      'with statuses that are none',
      { type: 'http', port: 'http', statuses: [{ first: 300, last: 200 }] },
      'last',
      'must not be below',
    ],
  ])('%s is refused, with the field and what to do', (_, check, field, words) => {
    const issues = parsed([{ name: 'web', ...check }]).error?.issues ?? [];
    expect(issues.map(({ path }) => path.at(-1))).toContain(field);
    expect(issues.map(({ message }) => message).join()).toContain(words);
  });

  it('may restart what may be restarted', () => {
    const check = { name: 'web', type: 'tcp', port: 'http', onFailure: 'restart' };
    expect(parsed([check], { restart: { inPlace: {} } }).success).toBe(true);
  });

  it('has a name of its own', () => {
    const check = { name: 'web', type: 'tcp', port: 'http' };
    expect(parsed([check, check]).error?.issues[0]?.message).toBe('"web" is used twice');
  });
});

describe('a check of a task that a framework launches', () => {
  const launching = (checks: readonly object[], more: object = {}) =>
    operationSchema.safeParse({
      type: 'launch',
      tasks: [{ task: 'a', image: 'web:1', resources: { cpus: 1, memMiB: 64 }, ports: PORTS, checks, ...more }],
    });
  const faultsOf = ({ error }: ReturnType<typeof launching>) =>
    error?.issues.map(({ path, message }) => `${path.slice(2).join('.')} ${message}`) ?? [];

  it('has everything filled in that it leaves out, and is part of what the task is made from', () => {
    const { data } = launching([{ name: 'web', type: 'http', port: 'http', onFailure: 'none' }]);
    if (data === undefined) throw new Error('it is refused');
    const operation = operationOf(data, () => 'r');
    if (!('tasks' in operation)) throw new Error('it is no launch');
    expect(operation.tasks[0]?.template.group.checks).toMatchObject([
      { name: 'web', method: 'GET', statuses: [{ first: 200, last: 399 }], onFailure: 'none', failuresMax: 3 },
    ]);
  });

  const tcp = { name: 'web', type: 'tcp', port: 'http' };
  it.each<[string, readonly object[], object, string[]]>([
    ['without one', [], {}, []],
    ['that ends it', [{ ...tcp, onFailure: 'replace' }], {}, []],
    ['of a port that it lacks', [{ ...tcp, port: 'web' }], {}, ['checks.0.port the group has no port "web"']],
    ['of a port that is udp', [{ ...tcp, port: 'dns' }], {}, ['checks.0.port port "dns" is udp']],
    ['of a name that is taken', [tcp, tcp], {}, ['checks.1.name "web" is used twice']],
    ['for readiness', [{ ...tcp, purpose: 'readiness' }], {}, ['checks.0.purpose must be "health"']],
    ['that restarts it', [{ ...tcp, onFailure: 'restart' }], {}, ['checks.0.onFailure must be "replace"']],
    ['that restarts it in place', [], { restart: { inPlace: {} } }, ['restart.inPlace is for services']],
    ['that is published', [], { ports: [{ name: 'a', publish: { mode: 'tcp', port: 80 } }] }, ['ports.0.publish is']],
    [
      'run by an executor',
      [tcp],
      { executor: 'e', image: undefined, ports: [], command: ['x'] },
      ['checks are up to', 'checks.0.port'],
    ],
  ])('is known not to work %s', (_name, checks, more, faults) => {
    expect(faultsOf(launching(checks, more))).toEqual(faults.map((fault) => expect.stringContaining(fault)));
  });
});
