/** What befalls etcd: members that die, stand still or hear nothing, all of them at once, and its own upkeep at a bad time. */
import { z } from 'zod';
import type { SeededRandom } from '../../simulation/seeded-random.ts';
import type { Member, World } from '../world/world.ts';
import { type Fault, type FaultKind, seconds, untilSeen } from './fault.ts';
import { heldLink } from './links.ts';
import { isStopped } from './processes.ts';

/** At most one of these at a time: two members fewer, and nothing is left to torment but the waiting. */
const STORE = 'etcd';

export const STORE_FAULTS: readonly FaultKind[] = [
  { name: 'member-killed', weight: 6, make: async (world, random) => killed([random.pick(world.members)], random) },
  { name: 'member-paused', weight: 6, make: async (world, random) => paused([random.pick(world.members)], random) },
  { name: 'leader-killed', weight: 4, make: async (world, random) => ofLeader(world, random, killed) },
  { name: 'leader-paused', weight: 4, make: async (world, random) => ofLeader(world, random, paused) },
  { name: 'store-killed', weight: 2, make: async (world, random) => killed(world.members, random) },
  { name: 'store-paused', weight: 2, make: async (world, random) => paused(world.members, random) },
  { name: 'member-unheard', weight: 4, make: async (world, random) => unheard(random.pick(world.members), random) },
  { name: 'history-compacted', weight: 5, make: async (world) => compacted(world.members) },
  { name: 'member-defragmented', weight: 3, make: async (world, random) => defragmented(random.pick(world.members)) },
];

function killed(members: readonly Member[], random: SeededRandom): Fault {
  return {
    ...{ targets: members.map(({ name }) => name), claims: [STORE], durationMs: seconds(random, 0.5, 8) },
    async begin() {
      await Promise.all(members.map(({ etcd }) => etcd.kill()));
      await untilSeen('the members are dead', () => members.every(({ etcd }) => etcd.pid === null));
    },
    async end() {
      await Promise.all(members.map(({ etcd }) => etcd.restart()));
    },
  };
}

function paused(members: readonly Member[], random: SeededRandom): Fault {
  return {
    ...{ targets: members.map(({ name }) => name), claims: [STORE], durationMs: seconds(random, 0.5, 9) },
    async begin() {
      for (const { etcd } of members) etcd.pause();
      await untilSeen('the members stand still', () => members.every(({ etcd }) => isStopped(etcd.pid)));
    },
    async end() {
      for (const { etcd } of members) etcd.resume();
    },
  };
}

async function ofLeader(
  { members }: World,
  random: SeededRandom,
  make: (members: readonly Member[], random: SeededRandom) => Fault,
): Promise<Fault | null> {
  const leads = await Promise.all(members.map(({ etcd }) => etcd.isLeader()));
  const leader = members.find((_, at) => leads[at]);
  return leader === undefined ? null : make([leader], random);
}

/** What the others send to it doesn't arrive, while what it sends does. */
function unheard({ name, peerLink }: Member, random: SeededRandom): Fault {
  const wire = heldLink([peerLink], random.pick(['requests', 'answers'] as const));
  return { ...wire, targets: [name], claims: [STORE], durationMs: seconds(random, 1, 10) };
}

const STATUS = z.object({ header: z.object({ revision: z.string() }) });
const MAINTENANCE_TIMEOUT_MS = 10_000;

/** Up to now: whoever is behind finds nothing to go on from. */
function compacted(members: readonly Member[]): Fault {
  return {
    ...{ targets: [STORE], claims: [STORE], durationMs: 0 },
    async begin() {
      await untilSeen('a member compacts its history', async () => {
        for (const member of members) {
          const status = await ask(member, '/v3/maintenance/status', {});
          const revision = STATUS.safeParse(status).data?.header.revision;
          if (revision === undefined) continue;
          if ((await ask(member, '/v3/kv/compaction', { revision, physical: true })) !== null) return true;
        }
        return false;
      });
    },
    async end() {},
  };
}

/** It answers nobody meanwhile. */
function defragmented(member: Member): Fault {
  return {
    ...{ targets: [member.name], claims: [STORE], durationMs: 0 },
    async begin() {
      await untilSeen(
        'a member defragments',
        async () => (await ask(member, '/v3/maintenance/defragment', {})) !== null,
      );
    },
    async end() {},
  };
}

/** Null: it didn't do it. */
async function ask({ etcd }: Member, path: string, body: object): Promise<unknown> {
  try {
    const signal = AbortSignal.timeout(MAINTENANCE_TIMEOUT_MS);
    const response = await fetch(etcd.url + path, { method: 'POST', body: JSON.stringify(body), signal });
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}
