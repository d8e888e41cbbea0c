import { describe, expect, it } from 'vitest';
import {
  configOfRequest,
  quotaChanges,
  quotaStatus,
  weightChanges,
  weightInfos,
} from '../../../control-plane/facade-mesos/translate/quota.ts';
import { quotaRequestSchema } from '../../../control-plane/facade-mesos/wire/operator-call.ts';
import { aRole } from '../../support/builders.ts';

const config = (role: string, guarantees: Record<string, number> = {}, limits: Record<string, number> = {}) => {
  const quantities = (amounts: Record<string, number>) =>
    Object.fromEntries(Object.entries(amounts).map(([name, value]) => [name, { value }]));
  return { role, guarantees: quantities(guarantees), limits: quantities(limits) };
};

describe('weights', () => {
  it('are set for the roles of Berth that are meant, of one that is named twice the last', () => {
    const infos = [
      { role: '*', weight: 2 },
      { role: ' eng/ml ', weight: 3 },
      { role: 'eng/ml', weight: 0.001 },
    ];
    expect([...weightChanges(infos)]).toEqual([
      ['default', { weight: 2 }],
      ['eng/ml', { weight: 0.001 }],
    ]);
  });

  it.each([
    [0, 'Weights must be positive'],
    [-1, 'Weights must be positive'],
    [Number.NaN, 'Weights must be positive'],
    [0.0001, 'Weights must lie between 0.001 and 1000000'],
    [Number.POSITIVE_INFINITY, 'Weights must lie between 0.001 and 1000000'],
  ])('%d is none', (weight, text) => {
    expect(() => weightChanges([{ role: 'eng', weight }])).toThrow(text);
  });

  it('are shown where one was set', () => {
    const roles = [aRole('default', { weight: 2 }), aRole('eng', { limit: { cpus: 1 } })];
    expect(weightInfos(roles)).toEqual([{ role: '*', weight: 2 }]);
  });
});

describe('quota', () => {
  it('is what is guaranteed and the limit, and nothing else that is set', () => {
    const changes = quotaChanges([config('eng', { cpus: 1.0004, mem: 64 }, { cpus: 2, mem: 64, disk: 5, fpga: 1 })]);
    expect([...changes]).toEqual([
      ['eng', { guarantee: { cpus: 1, memMiB: 64 }, limit: { cpus: 2, memMiB: 64, diskMiB: 5, fpga: 1 } }],
    ]);
    expect([...quotaChanges([config('*')])]).toEqual([['default', { guarantee: {}, limit: {} }]]);
  });

  it.each([
    [config('a/b'), "Updating quota on nested role 'a/b' is not supported yet"],
    [config('..'), "Invalid 'QuotaConfig.role': Role '..' cannot include '..' as a component"],
    [config('a', { cpus: Number.NaN }), "Invalid guarantee configuration {'cpus': NaN}: NaN not supported"],
    [config('a', {}, { cpus: -0.1 }), "Invalid limit configuration {'cpus': -0.1}: Negative values not supported"],
    [config('a', {}, { gpus: 0.5 }), "The 'gpus' resource must be an unsigned integer"],
    [config('a', {}, { ports: 5 }), 'It is no resource that can be counted here'],
    [config('a', { mem: 1024 ** 4 + 1 }), "Invalid 'QuotaConfig.guarantees': {'mem': 1099511627777} is invalid"],
    [config('a', { cpus: 2 }, { cpus: 1 }), "'QuotaConfig.guarantees' {cpus:2} is not contained within"],
  ])('%j is none', (wrong, text) => {
    expect(() => quotaChanges([wrong])).toThrow(text);
  });

  it('is shown in both of its forms', () => {
    const roles = [
      aRole('eng', { guarantee: { cpus: 1 }, limit: { cpus: 2, memMiB: 64 } }),
      aRole('ops', { weight: 2 }),
    ];
    expect(quotaStatus(roles)).toEqual({
      infos: [{ role: 'eng', guarantee: [{ name: 'cpus', type: 'SCALAR', scalar: { value: 1 }, role: '*' }] }],
      configs: [config('eng', { cpus: 1 }, { cpus: 2, mem: 64 })],
    });
    expect(quotaStatus([])).toEqual({});
  });

  it.each([
    [{ guarantee: [] }, 'no role is given'],
    [{ role: 'a', guarantee: [] }, "QuotaInfo with empty 'guarantee'"],
    [{ role: 'a', guarantee: [{ name: 'ports', type: 'RANGES' }] }, 'must not include non-scalar resources'],
    [{ role: 'a', guarantee: [{ name: 'cpus', type: 'SCALAR', revocable: {} }] }, 'must not contain RevocableInfo'],
    [{ role: 'a', guarantee: [{ name: 'disk', type: 'SCALAR', disk: {} }] }, 'must not contain DiskInfo'],
    [
      { role: 'a', guarantee: [{ name: 'cpus', type: 'SCALAR', reservations: [{ role: 'b' }] }] },
      'must not contain any ReservationInfo',
    ],
    [
      {
        role: 'a',
        guarantee: [
          { name: 'cpus', type: 'SCALAR', scalar: { value: 1 } },
          { name: 'cpus', type: 'SCALAR', scalar: { value: 1 } },
        ],
      },
      "duplicate resource name 'cpus'",
    ],
  ])('%j is no request for it', (request, text) => {
    expect(() => configOfRequest(quotaRequestSchema.parse(request))).toThrow(text);
  });
});
