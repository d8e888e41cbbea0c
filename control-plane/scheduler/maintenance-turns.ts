/**
 * Which nodes are out of service by the clock alone: windows begin and end without anything being changed. All of them are looked at
 * only when one has turned, or when one has been set, changed or taken off.
 */
import type { NodeId } from '../../shared/domain/ids.ts';
import { isRunning, type MaintenanceWindow, nextTurnMs } from '../../shared/domain/maintenance.ts';

export class MaintenanceTurns {
  readonly #windows = new Map<NodeId, MaintenanceWindow>();
  #nowMs = Number.NEGATIVE_INFINITY;
  /** When the first of them turns. */
  #nextMs = Number.POSITIVE_INFINITY;
  #hasChanged = false;

  /** Undefined: nothing is said of the node. */
  learn(node: NodeId, window: MaintenanceWindow | undefined): void {
    if (this.#windows.get(node) === window) return;
    if (window === undefined) this.#windows.delete(node);
    else this.#windows.set(node, window);
    this.#hasChanged = true;
  }

  /** Forgets those that aren't among these. */
  keepOnly(windows: ReadonlyMap<NodeId, MaintenanceWindow>): void {
    for (const node of this.#windows.keys()) if (!windows.has(node)) this.learn(node, undefined);
  }

  /** Moves to another time, which may be an earlier one. Nodes that are in service now and weren't, or the other way round. */
  moveTo(nowMs: number): readonly NodeId[] {
    const beforeMs = this.#nowMs;
    this.#nowMs = nowMs;
    if (!this.#hasChanged && beforeMs <= nowMs && nowMs < this.#nextMs) return [];
    this.#hasChanged = false;
    const turned: NodeId[] = [];
    let nextMs = Number.POSITIVE_INFINITY;
    for (const [node, window] of this.#windows) {
      if (isRunning(window, beforeMs) !== isRunning(window, nowMs)) turned.push(node);
      nextMs = Math.min(nextMs, nextTurnMs(window, nowMs));
    }
    this.#nextMs = nextMs;
    return turned;
  }

  /** When the next window begins or ends; infinite where none does. */
  get nextMs(): number {
    return this.#nextMs;
  }
}
