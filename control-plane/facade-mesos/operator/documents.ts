/** Tasks, executors, frameworks and agents of a scene in the shapes of v1, as parts that are written one by one. */
import type { TaskItem } from '../../services/inventory.ts';
import { listPart, objectPart } from '../http/json-pieces.ts';
import type { Scene } from '../state/scene.ts';
import { operatorAgent, operatorExecutor, operatorFramework, operatorTask } from '../translate/operator-views.ts';
import type { FrameworkFacts } from '../translate/state-framework.ts';

export function stateDocument(scene: Scene) {
  return objectPart({
    get_tasks: tasksDocument(scene),
    get_executors: executorsDocument(scene),
    get_frameworks: frameworksDocument(scene),
    get_agents: agentsDocument(scene),
  });
}

export function tasksDocument(scene: Scene) {
  return objectPart({
    tasks: listPart(tasksOf(scene, 'live'), (found) => taskOf(scene, found)),
    unreachable_tasks: listPart(tasksOf(scene, 'unreachable'), (found) => taskOf(scene, found)),
    completed_tasks: listPart(tasksOf(scene, 'ended'), (found) => taskOf(scene, found)),
  });
}

export function executorsDocument(scene: Scene) {
  const executors = listPart(tasksOf(scene, 'executors'), ({ item, facts }) => operatorExecutor(item, facts));
  return objectPart({ executors });
}

export function frameworksDocument(scene: Scene) {
  const make = (facts: FrameworkFacts) => operatorFramework(facts, scene.holdingOf(facts), scene.inventory.everyNode);
  return objectPart({
    frameworks: listPart(scene.frameworks(), make),
    completed_frameworks: listPart(scene.endedFrameworks(), make),
  });
}

export function agentsDocument(scene: Scene) {
  return objectPart({ agents: listPart(scene.nodes, (item) => operatorAgent(item, scene.inventory)) });
}

interface FoundTask {
  readonly item: TaskItem;
  readonly facts: FrameworkFacts;
}

/** Of all frameworks, also of those that are over. */
function* tasksOf(scene: Scene, kind: 'live' | 'unreachable' | 'ended' | 'executors'): Generator<FoundTask> {
  for (const frameworks of [scene.frameworks(), scene.endedFrameworks()]) {
    for (const facts of frameworks) {
      for (const item of scene.sortedTasks(facts)[kind]) yield { item, facts };
    }
  }
}

function taskOf(scene: Scene, { item, facts }: FoundTask) {
  return operatorTask(item, facts, scene.placeOf(item));
}
