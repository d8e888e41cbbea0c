/** The cluster as a whole: its ledgers all the while, what is left when it has come to rest, and whether all replicas say the same. */
import type { NodeView } from '../../../shared/protocol/views.ts';
import type { ClusterSample, FinalView, History, Mishap } from '../history.ts';
import type { Violation } from './violation.ts';

export function checkCluster(history: History): Violation[] {
  const { samples, finals, leftovers, mishaps, unrest } = history;
  return [
    ...samples.flatMap(checkSample),
    ...(finals[0]?.nodes ?? []).flatMap(checkEmpty),
    ...checkAgreement(finals),
    ...leftovers.map(({ node, container, task }) => ({
      ...{ rule: 'nothing is left over', about: node },
      message: `container ${container} of ${task} still runs`,
    })),
    ...mishaps
      .filter((mishap) => !isExcused(mishap, history))
      .map(({ process, what }) => ({
        ...{ rule: 'no process fails by itself', about: process, message: what },
      })),
    ...(unrest === null ? [] : [{ rule: 'the cluster comes to rest', about: 'the cluster', message: unrest }]),
  ];
}

function checkSample({ atMs, nodes }: ClusterSample): Violation[] {
  return nodes.flatMap((node) => {
    const over = (['cpus', 'memMiB', 'diskMiB', 'gpus'] as const).find((name) => node.used[name] > node.total[name]);
    if (over === undefined) return [];
    const message = `at ${atMs} ms, ${node.used[over]} of ${node.total[over]} ${over} were used`;
    return [{ rule: 'no node is overcommitted', about: node.id, message }];
  });
}

function checkEmpty({ id, tasks, used, state }: NodeView): Violation[] {
  if (tasks === 0 && used.cpus === 0 && used.memMiB === 0 && state === 'ready') return [];
  const message = `it is ${state}, and ${tasks} tasks hold ${used.cpus} cores of it`;
  return [{ rule: 'ledgers are empty in the end', about: id, message }];
}

function checkAgreement([first, ...others]: readonly FinalView[]): Violation[] {
  if (first === undefined) return [{ rule: 'all replicas agree', about: 'the cluster', message: 'none said anything' }];
  return others.flatMap((other) =>
    (['jobs', 'tasks', 'nodes'] as const).flatMap((what) => {
      if (JSON.stringify(first[what]) === JSON.stringify(other[what])) return [];
      const message = `its ${what} differ from those that ${first.replica} has just read (${other[what].length} and ${first[what].length})`;
      return [{ rule: 'all replicas agree', about: other.replica, message }];
    }),
  );
}

/** An agent can't begin without a place to write. A service manager starts it again until it can. */
function isExcused({ process, atMs }: Mishap, { faults }: History): boolean {
  return faults.some(
    ({ kind, targets, beganAtMs, endedAtMs }) =>
      kind === 'disk-full' && targets.includes(process) && atMs >= beganAtMs && atMs <= endedAtMs + EXCUSED_AFTER_MS,
  );
}

/** From the end of an agent until that is noticed. */
const EXCUSED_AFTER_MS = 2000;
