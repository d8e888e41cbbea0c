/** The stream of one framework, in Mesos's events. What the events alone don't say is looked up as they come. */
import type { Framework } from '../../../shared/domain/framework.ts';
import type { FrameworkId } from '../../../shared/domain/ids.ts';
import type { FrameworkEvent, OfferView, TaskUpdateView } from '../../../shared/protocol/framework.ts';
import { frameworkStanding, launchedTask, nodeFacts, nodeHoldings } from '../../services/framework-facts.ts';
import { HEARTBEAT_MS } from '../http/record-stream.ts';
import type { FacadeParts } from '../parts.ts';
import { masterInfoOf } from '../translate/addresses.ts';
import { type EventFacts, wireEvent } from '../translate/events.ts';
import { knownFramework } from '../translate/known-framework.ts';
import { offerResources } from '../translate/resources.ts';
import type { StatusFacts } from '../translate/statuses.ts';
import type { WireEvent } from '../wire/event.ts';

/** Why a framework has ended that asked for it by itself: it is told nothing more. */
export const TEARDOWN_REASON = 'torn down by its own call';

type Batch = IteratorResult<readonly FrameworkEvent[], void>;

/** `first`: what was taken of `batches` already. */
export async function* wireEvents(
  parts: FacadeParts,
  id: FrameworkId,
  first: Batch,
  batches: AsyncIterable<readonly FrameworkEvent[]>,
): AsyncGenerator<readonly WireEvent[], void> {
  const teller = new Teller(parts, id);
  if (!first.done) yield teller.events(first.value);
  for await (const batch of batches) yield teller.events(batch);
}

class Teller {
  readonly #parts: FacadeParts;
  readonly #id: FrameworkId;
  #facts: { readonly of: Framework; readonly facts: EventFacts } | null = null;

  constructor(parts: FacadeParts, id: FrameworkId) {
    this.#parts = parts;
    this.#id = id;
  }

  events(batch: readonly FrameworkEvent[]): WireEvent[] {
    const framework = frameworkStanding(this.#parts.ctx, this.#id)?.framework ?? this.#facts?.of;
    if (framework === undefined) return [];
    // It may have changed what it says of itself; that is read anew only then.
    if (this.#facts?.of !== framework) this.#facts = { of: framework, facts: this.#factsOf(framework) };
    const { facts } = this.#facts;
    const told = batch.filter(({ type }) => type !== 'ended' || framework.teardown?.reason !== TEARDOWN_REASON);
    return told.map((event) => wireEvent(event, facts));
  }

  #factsOf(framework: Framework): EventFacts {
    const { ctx } = this.#parts;
    const known = knownFramework(framework);
    const { capabilities, wireRole } = known;
    return {
      framework: known,
      master: masterInfoOf(ctx.replica),
      heartbeatSeconds: HEARTBEAT_MS / 1000,
      resourcesOf: (offer: OfferView) =>
        offerResources(offer, nodeHoldings(ctx, offer.node), {
          isRefined: capabilities.has('RESERVATION_REFINEMENT'),
          allocatedTo: capabilities.has('MULTI_ROLE') ? wireRole(offer.role) : null,
          wireRole,
        }),
      factsOf: ({ task, node }: TaskUpdateView): StatusFacts => {
        const { isGone, ...about } =
          node === null ? { isGone: false, unreachableSinceMs: null, attributes: {} } : nodeFacts(ctx, node);
        return { task: launchedTask(ctx, framework, task), isNodeGone: isGone, ...about };
      },
      attributesOf: (node) => nodeFacts(ctx, node).attributes,
    };
  }
}
