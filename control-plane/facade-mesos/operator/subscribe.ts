/** SUBSCRIBE: an operator is told the state, and from that moment on everything that becomes different. */
import type { Lasting } from '../../auth/lasting.ts';
import type { Principal } from '../../auth/principal.ts';
import { type InventoryChange, watchInventory } from '../../services/inventory-watch.ts';
import { jsonPieces, objectPart, type Turns } from '../http/json-pieces.ts';
import { recordOf } from '../http/record-io.ts';
import { type RecordMessage, recordStream } from '../http/record-stream.ts';
import type { FacadeParts } from '../parts.ts';
import type { Scene } from '../state/scene.ts';
import { operatorEvents } from '../translate/operator-events.ts';
import { ownFacts } from '../translate/state-framework.ts';
import { stateDocument } from './documents.ts';
import type { OperatorReader } from './reads.ts';

/** Streams that one replica keeps. With one more, the oldest ends, as with Mesos. */
export const SUBSCRIBERS_MAX = 100;

export interface SubscribeOptions {
  readonly url: URL;
  /** What it ends with. */
  readonly lasting: Lasting;
}

export class OperatorStreams {
  readonly #parts: FacadeParts;
  readonly #reader: OperatorReader;
  readonly #turns: Turns;
  /** In the order in which they came. */
  readonly #open = new Set<AbortController>();

  constructor(parts: FacadeParts, reader: OperatorReader, turns: Turns) {
    this.#parts = parts;
    this.#reader = reader;
    this.#turns = turns;
  }

  subscribe(principal: Principal, { url, lasting }: SubscribeOptions): Response {
    const { over, signal } = lasting;
    const { inventory, changes } = watchInventory(this.#parts.ctx, principal, { signal });
    this.#admit(over, signal);
    const told = tell(this.#reader.sceneOf(inventory, url), { changes, turns: this.#turns, signal });
    return recordStream(told, { clock: this.#parts.ctx.clock, over });
  }

  #admit(over: AbortController, ended: AbortSignal): void {
    const [oldest] = this.#open;
    if (this.#open.size >= SUBSCRIBERS_MAX) oldest?.abort();
    this.#open.add(over);
    ended.addEventListener('abort', () => this.#open.delete(over), { once: true });
    if (ended.aborted) this.#open.delete(over);
  }
}

interface TellOptions {
  readonly changes: AsyncGenerator<readonly InventoryChange[], void>;
  readonly turns: Turns;
  readonly signal: AbortSignal;
}

async function* tell(
  scene: Scene,
  { changes, turns, signal }: TellOptions,
): AsyncGenerator<readonly RecordMessage[], void> {
  const pieces: string[] = [];
  for (const piece of jsonPieces(subscribed(scene))) {
    pieces.push(piece);
    await turns.take();
    if (signal.aborted) return;
  }
  yield [recordOf(pieces)];
  const { inventory } = scene;
  const about = { own: ownFacts(inventory, scene.replica), sight: inventory };
  for await (const batch of changes) {
    const events = batch.flatMap((change) => operatorEvents(change, about));
    if (events.length > 0) yield events;
  }
}

function subscribed(scene: Scene) {
  return objectPart({ type: 'SUBSCRIBED', subscribed: objectPart({ get_state: stateDocument(scene) }) });
}
