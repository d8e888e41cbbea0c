/** What becomes different, as operators are told of it. Pure. */
import type { InventoryChange, TaskChange } from '../../services/inventory-watch.ts';
import type { OperatorEvent } from '../wire/operator.ts';
import { nodeIp } from './addresses.ts';
import { frameworkInfo, latestStatus, operatorAgent, operatorFramework, operatorTask } from './operator-views.ts';
import { type FrameworkFacts, factsOf } from './state-framework.ts';
import { Holding } from './state-holdings.ts';
import { isHiddenExecutor, presentState, type TaskOwner, type TaskPlace } from './state-task.ts';

export interface OperatorSight {
  /** Berth's own framework, of which only tasks change. */
  readonly own: TaskOwner;
  readonly sight: Parameters<typeof operatorAgent>[1];
}

/** None for what Mesos doesn't tell of. */
export function operatorEvents(change: InventoryChange, { own, sight }: OperatorSight): OperatorEvent[] {
  switch (change.type) {
    case 'node-added':
      return [{ type: 'AGENT_ADDED', agent_added: { agent: operatorAgent(change.node, sight) } }];
    case 'node-removed':
      return [{ type: 'AGENT_REMOVED', agent_removed: { agent_id: { value: change.node } } }];
    case 'framework-added':
      return [{ type: 'FRAMEWORK_ADDED', framework_added: { framework: standing(change.framework) } }];
    case 'framework-changed':
      return [{ type: 'FRAMEWORK_UPDATED', framework_updated: { framework: standing(change.framework) } }];
    case 'framework-removed': {
      const { framework } = change;
      const info = frameworkInfo(factsOf({ framework, isConnected: false, tasks: [] }));
      return [{ type: 'FRAMEWORK_REMOVED', framework_removed: { framework_info: info } }];
    }
    case 'task-added':
    case 'task-changed':
      return taskEvents(change, own);
  }
}

/** What it holds and is offered isn't said with it: that changes without the framework. */
function standing(item: Omit<Parameters<typeof factsOf>[0], 'tasks'>) {
  const facts: FrameworkFacts = factsOf({ ...item, tasks: [] });
  return operatorFramework(facts, new Holding(), new Map());
}

function taskEvents(
  { type, change }: Extract<InventoryChange, { readonly type: 'task-added' | 'task-changed' }>,
  own: TaskOwner,
): OperatorEvent[] {
  const { item, framework } = change;
  if (isHiddenExecutor(item)) return [];
  const owner = framework === null ? own : factsOf({ framework, isConnected: true, tasks: [] });
  const place = placeOf(change);
  if (type === 'task-added') return [{ type: 'TASK_ADDED', task_added: { task: operatorTask(item, owner, place) } }];
  const updated = {
    framework_id: { value: owner.id },
    status: latestStatus(item, owner, place),
    state: presentState(item.task, owner, place),
  };
  return [{ type: 'TASK_UPDATED', task_updated: updated }];
}

function placeOf({ node, isNodeGone }: TaskChange): TaskPlace {
  if (node === null) return { unreachableSinceMs: null, isNodeGone, ip: null };
  const { hostname, address, attributes } = node.node;
  return {
    unreachableSinceMs: node.unreachableSinceMs,
    isNodeGone,
    ip: nodeIp({ host: hostname, address, attributes }),
  };
}
