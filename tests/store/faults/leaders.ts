/** Which of several members leads. */
import { present } from '../../../shared/util/assert.ts';
import type { TestEtcd } from '../../support/etcd.ts';
import { until } from './place.ts';

/** Waits until one of them leads. */
export async function leaderOf(members: readonly TestEtcd[]): Promise<TestEtcd> {
  let leader: TestEtcd | null = null;
  await until('a leader', async () => {
    leader = await whoLeads(members);
    return leader !== null;
  });
  return present<TestEtcd>(leader, 'the leader');
}

/** By their own account; null when none says so. */
export async function whoLeads(members: readonly TestEtcd[]): Promise<TestEtcd | null> {
  const leads = await Promise.all(members.map((member) => member.isLeader()));
  return members.find((_, index) => leads[index]) ?? null;
}
