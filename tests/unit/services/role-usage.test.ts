/** What operators are shown as charged to a role is what the allocator charges it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RoleTree } from '../../../control-plane/scheduler/role-tree.ts';
import { RoundMemory } from '../../../control-plane/scheduler/round-memory.ts';
import {
  capacityOf,
  dominantShare,
  NO_USAGE,
  roleUsages,
  totalUsage,
} from '../../../control-plane/services/role-usage.ts';
import { NO_SCALARS, type Scalars } from '../../../shared/domain/resources.ts';
import { aJob, aLedger, anEntry, anOffer, aReservation, aRole, aTask, clusterOf } from '../../support/builders.ts';

const role = fc.constantFrom('a', 'a/b', 'a/b/c', 'd');
const scalars: fc.Arbitrary<Scalars> = fc
  .record({
    cpus: fc.integer({ min: 0, max: 4000 }).map((milli) => milli / 1000),
    memMiB: fc.integer({ min: 0, max: 4096 }),
    gpus: fc.integer({ min: 0, max: 2 }),
  })
  .map((some) => ({ ...NO_SCALARS, ...some, custom: some.gpus > 0 ? { fpga: some.gpus } : {} }));

/** Reserved, held by a task and offered, each for a role; of the latter two half comes from the reservation. */
const holdings = fc.record({ role, reserved: scalars, held: scalars, offered: scalars });

function half({ cpus, memMiB, diskMiB, gpus }: Scalars): Scalars {
  return { cpus: Math.floor(cpus * 500) / 1000, memMiB: Math.floor(memMiB / 2), diskMiB, gpus, custom: {} };
}

describe('the usage of roles', () => {
  it('is the same to those who look and to the allocator, and so is the share', () => {
    fc.assert(
      fc.property(fc.array(holdings, { maxLength: 6 }), fc.subarray(['gpus', 'fpga', 'cpus']), (all, excluded) => {
        const ledgers = all.map(({ role: path, reserved, held, offered }, index) => {
          const job = aJob({ spec: { name: `j${index}`, role: path } });
          const entry = anEntry(job, aTask(job, { state: 'running' }), { reserved: { r1: half(held) } });
          return aLedger({
            node: `n${index}`,
            total: { cpus: 8, memMiB: 8192, diskMiB: 0, gpus: 4, custom: { fpga: 4 }, ports: [] },
            reservations: [aReservation({ role: path, scalars: reserved })],
            entries: [{ ...entry, resources: { ...held, ports: [] } }],
            offers: [anOffer({ role: path, resources: offered, reserved: { r1: half(offered) } })],
          });
        });
        const cluster = clusterOf({
          ledgers,
          roles: [aRole('a', { weight: 2 })],
          settings: { excludedFromShares: excluded },
        });
        const tree = new RoleTree(cluster, new RoundMemory().usageOf(cluster, 0));
        for (const path of ['a', 'a/b', 'a/b/c', 'd']) {
          const node = tree.role(path);
          const held = totalUsage(roleUsages(cluster).get(path) ?? NO_USAGE);
          for (const name of ['cpus', 'memMiB', 'gpus', 'fpga']) {
            const shown = name === 'fpga' ? (held.custom['fpga'] ?? 0) : held[name as 'cpus' | 'memMiB' | 'gpus'];
            expect(shown).toBeCloseTo(tree.amountOf(node.charged, name), 6);
          }
          const { share } = dominantShare(held, capacityOf(cluster), excluded);
          expect(share / node.weight).toBeCloseTo(node.share, 9);
        }
      }),
    );
  });
});
