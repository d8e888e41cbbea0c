/**
 * What has been found out, node by node, for tasks that wait for others to make room: kept from round to round, so that a task
 * that waits in vain costs what has changed rather than a look at every node. All of it follows from the node alone; what
 * roles hold elsewhere, and may be given, is asked anew each time.
 */
import type { NodeId } from '../../shared/domain/ids.ts';
import type { Settings } from '../../shared/domain/settings.ts';
import type { HolderKind } from './holder.ts';
import { type NodeFact, NodeFacts } from './node-facts.ts';

/** Whether what offers hold counts as free: it is soon, without anybody having to go. */
export type OfferedPart = 'held' | 'free';

/** `reserved`: there is room, some of it in what is reserved for the role. */
export type Space = 'none' | 'unreserved' | 'reserved';

/** Of a node that would take such a task, if enough came free there. */
export interface Fit extends NodeFact {
  /** Once what ends has ended, whatever the role may be given. */
  readonly space: Readonly<Record<OfferedPart, Space>>;
}

export interface Lack {
  readonly name: string;
  readonly amount: number;
}

/** Of a node where displacing somebody could be enough. */
export interface Prospect extends NodeFact {
  readonly pool: readonly HolderKind[];
  /** What is missing there of what others have to make room for. */
  readonly lacks: readonly Lack[];
  /** What others have to make room for is there already, whatever the role may be given. */
  readonly isThere: boolean;
  /** Something of the node is reserved for the role. */
  readonly isReserved: boolean;
}

export class WaitMemory {
  readonly fits = new NodeFacts<Fit>();
  readonly prospects = new NodeFacts<Prospect>();
  #settings: Settings | null = null;

  /** `touched`: nodes that may be others than in the round before; null: any. */
  follow(settings: Settings, touched: ReadonlySet<NodeId> | null): void {
    if (touched === null || settings !== this.#settings) {
      this.fits.forget();
      this.prospects.forget();
    }
    this.#settings = settings;
    for (const node of touched ?? []) {
      this.fits.touch(node);
      this.prospects.touch(node);
    }
  }
}
