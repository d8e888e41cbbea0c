/**
 * What a door that translates has to look up about a framework, its tasks and its offers, beside what it is told anyway. Reads of
 * this replica's mirror, which decide nothing: whoever says no by them waits for the present first (`framework-access.ts`).
 */
import type { FinishedOperation } from '../../shared/domain/finished-operation.ts';
import type { Framework } from '../../shared/domain/framework.ts';
import type { FrameworkId, NodeId, OfferId } from '../../shared/domain/ids.ts';
import type { Reservation } from '../../shared/domain/reservation.ts';
import { isTerminal, type Task } from '../../shared/domain/task.ts';
import type { OfferView } from '../../shared/protocol/framework.ts';
import type { VolumeView } from '../../shared/protocol/reservations.ts';
import { coordinatesOf } from '../scheduler/launch.ts';
import type { ServiceContext } from './context.ts';
import { offerView, tasksByName } from './framework-views.ts';
import { volumeView } from './reservation-views.ts';
import { reachOffers } from './standing-offers.ts';

export interface FrameworkStanding {
  readonly framework: Framework;
  /** A replica holds its stream. */
  readonly isConnected: boolean;
}

/** Null: there is none of that id. */
export function frameworkStanding({ mirror }: ServiceContext, id: FrameworkId): FrameworkStanding | null {
  const framework = mirror.snapshot.frameworks.get(id);
  return framework === undefined ? null : { framework, isConnected: mirror.snapshot.isConnected(id) };
}

/**
 * Resolves when a replica holds the framework's stream, as far as this one knows, and at the latest after so long. The record that
 * says so goes with the lease of a replica that was held up, and is put again as soon as that one comes round.
 */
export function whenConnected({ mirror, clock }: ServiceContext, id: FrameworkId, withinMs: number): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      timer.cancel();
      unsubscribe();
      resolve();
    };
    const look = () => {
      if (mirror.snapshot.isConnected(id)) done();
    };
    const timer = clock.setTimer(withinMs, done);
    const unsubscribe = mirror.subscribe(look);
    look();
  });
}

/**
 * The task that the framework calls so; null: none is on record. Its id follows from its name and from that of its framework, so only
 * where the framework had another name then are all of its tasks looked through.
 */
export function launchedTask({ mirror }: ServiceContext, framework: Framework, name: string): Task | null {
  const { snapshot } = mirror;
  const task = snapshot.tasks.get(coordinatesOf(framework, { name }).id);
  if (task?.framework?.id === framework.id && task.framework.name === name) return task;
  return tasksByName(snapshot, framework.id).get(name) ?? null;
}

/** Those of the framework that have not ended. */
export function liveTasks({ mirror }: ServiceContext, id: FrameworkId): Task[] {
  return [...mirror.snapshot.tasksOfFramework(id)].filter(({ state }) => !isTerminal(state));
}

/** Those of the framework that have a name and that it hasn't acknowledged. */
export function finishedOperations({ mirror }: ServiceContext, id: FrameworkId): FinishedOperation[] {
  return [...mirror.snapshot.operationsOf(id)];
}

export interface NodeFacts {
  /** An operator has said that it is no more. */
  readonly isGone: boolean;
  /** Null: it doesn't count as unreachable. */
  readonly unreachableSinceMs: number | null;
  readonly attributes: Readonly<Record<string, string>>;
}

export function nodeFacts({ mirror }: ServiceContext, node: NodeId): NodeFacts {
  const { epochs, nodes } = mirror.snapshot;
  const epoch = epochs.get(node);
  return {
    isGone: epoch?.gone !== undefined,
    unreachableSinceMs: epoch?.unreachableSinceMs ?? null,
    attributes: nodes.get(node)?.attributes ?? {},
  };
}

/** What is reserved on the node, and the volumes there. */
export function nodeHoldings(
  { mirror }: ServiceContext,
  node: NodeId,
): { readonly reservations: readonly Reservation[]; readonly volumes: readonly VolumeView[] } {
  const { snapshot } = mirror;
  const ledger = snapshot.ledgers.get(node);
  if (ledger === undefined) return { reservations: [], volumes: [] };
  const volumes = Object.values(ledger.volumes).map((volume) => volumeView(snapshot, ledger, volume));
  return { reservations: Object.values(ledger.reservations), volumes };
}

/**
 * Of the offers that are named, those that stand and are the framework's own, in the order of their names. This replica gets the
 * time to hear of those that it doesn't know.
 */
export async function ownOffers(
  ctx: ServiceContext,
  framework: FrameworkId,
  ids: readonly OfferId[],
): Promise<readonly OfferView[]> {
  if (ids.length > 0) await reachOffers(ctx, framework, ids);
  const { snapshot } = ctx.mirror;
  return [...new Set(ids)].flatMap((id) => {
    const standing = snapshot.standingOffer(id);
    return standing?.offer.framework === framework ? [offerView(snapshot, standing.node, standing.offer)] : [];
  });
}
