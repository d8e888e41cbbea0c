/** `/state-summary`: how many tasks each node and each framework has in which state, and which of them go together. */
import { listPart, objectPart } from '../http/json-pieces.ts';
import { type FrameworkFacts, stateFramework } from '../translate/state-framework.ts';
import { stateSlave } from '../translate/state-slave.ts';
import { presentState } from '../translate/state-task.ts';
import type { Scene } from './scene.ts';

const COUNTED_STATES = [
  'TASK_STAGING',
  'TASK_STARTING',
  'TASK_RUNNING',
  'TASK_KILLING',
  'TASK_FINISHED',
  'TASK_KILLED',
  'TASK_FAILED',
  'TASK_LOST',
  'TASK_ERROR',
  'TASK_UNREACHABLE',
] as const;

export function summaryDocument(scene: Scene, { hostname, cluster }: { hostname: string; cluster: string }) {
  const frameworks = [...scene.frameworks()];
  const { byFramework, byNode } = countTasks(scene, frameworks);
  return objectPart({
    hostname,
    cluster,
    slaves: listPart(scene.nodes, (item) => ({
      ...stateSlave(item, scene.inventory),
      ...(byNode.get(item.node.id) ?? new TaskCount()).summary('framework_ids'),
    })),
    frameworks: listPart(frameworks, (facts) => ({
      ...stateFramework(facts, scene.holdingOf(facts)),
      ...(byFramework.get(facts) ?? new TaskCount()).summary('slave_ids'),
    })),
  });
}

class TaskCount {
  readonly #states = new Map<string, number>();
  readonly #others = new Set<string>();

  /** `other`: the framework of a node's task, or the node of a framework's. */
  add(state: string, other: string): void {
    this.#states.set(state, (this.#states.get(state) ?? 0) + 1);
    this.#others.add(other);
  }

  summary(others: 'framework_ids' | 'slave_ids'): Readonly<Record<string, unknown>> {
    const counts = COUNTED_STATES.map((state) => [state, this.#states.get(state) ?? 0] as const);
    return { ...Object.fromEntries(counts), [others]: [...this.#others] };
  }
}

function countTasks(scene: Scene, frameworks: readonly FrameworkFacts[]) {
  const byFramework = new Map<FrameworkFacts, TaskCount>();
  const byNode = new Map<string, TaskCount>();
  for (const facts of frameworks) {
    const own = new TaskCount();
    byFramework.set(facts, own);
    const { live, unreachable, ended } = scene.sortedTasks(facts);
    for (const item of [...live, ...unreachable, ...ended]) {
      const node = item.task.node ?? '';
      const state = presentState(item.task, facts, scene.placeOf(item));
      own.add(state, node);
      const there = byNode.get(node) ?? new TaskCount();
      there.add(state, facts.id);
      byNode.set(node, there);
    }
  }
  return { byFramework, byNode };
}
