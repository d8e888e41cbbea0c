/** One stream of a framework, from its opening to its end: what it has said, and how those who have news for it wake it. */
import type { FrameworkId } from '../../shared/domain/ids.ts';
import { type FrameworkEvent, TOLD_MAX } from '../../shared/protocol/framework.ts';
import { FrameworkFeed } from './framework-feed.ts';

/** Of one step, so that none makes the others of this replica wait. */
const STEP_TOLD_MAX = 500;

export interface StreamOpening {
  readonly id: FrameworkId;
  readonly session: number;
  /** Ends the stream. To be aborted when the reader has had enough, whatever the reason. */
  readonly signal: AbortSignal;
}

export class OpenStream {
  readonly framework: FrameworkId;
  readonly session: number;
  readonly feed: FrameworkFeed;
  /** The revision of the record that says that it is open; 0: it is being put. */
  claim = 0;
  isClosed = false;
  /** Messages that were sent on it and may still be on record. */
  readonly toldMessages = new Set<string>();
  readonly #told: FrameworkEvent[] = [];
  #wake = () => {};
  #isWoken = false;
  #isBroken = false;

  constructor({ id, session }: StreamOpening) {
    this.framework = id;
    this.session = session;
    this.feed = new FrameworkFeed(id);
  }

  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** The history that it was opened in is lost; whoever reads opens it anew. */
  breakOff(): void {
    this.#isBroken = true;
  }

  /** To be said once, in their order, after what its feed has to say. False: too much waits already, and none of them is said. */
  tell(events: readonly FrameworkEvent[]): boolean {
    if (this.#told.length + events.length > TOLD_MAX) return false;
    this.#told.push(...events);
    return true;
  }

  /** The next of what it was told to say. */
  takeTold(): readonly FrameworkEvent[] {
    return this.#told.splice(0, STEP_TOLD_MAX);
  }

  wake(): void {
    this.#isWoken = true;
    this.#wake();
  }

  /** Resolves when it was woken since the last time, or when the signal is aborted. */
  woken(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        signal.removeEventListener('abort', done);
        this.#isWoken = false;
        resolve();
      };
      this.#wake = done;
      signal.addEventListener('abort', done, { once: true });
      if (this.#isWoken || signal.aborted) done();
    });
  }
}
