/** What becomes of containers, as their engine tells it: the same witness for whoever has them started and stopped. */
import type { IncomingMessage } from 'node:http';
import type { Engine } from './engine.ts';

export interface ContainerEvent {
  readonly type: 'start' | 'die';
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
  /** On this process's steady clock. */
  readonly seenAtMs: number;
}

type Listener = (event: ContainerEvent) => void;

const WAIT_MAX_MS = 120_000;

interface Line {
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> };
}

export class ContainerFeed {
  readonly #listeners = new Set<Listener>();
  readonly #response: IncomingMessage;
  #text = '';

  private constructor(response: IncomingMessage) {
    this.#response = response;
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => this.#take(chunk));
    response.on('error', () => undefined);
  }

  static async open(engine: Engine): Promise<ContainerFeed> {
    return new ContainerFeed(await engine.events({ type: ['container'], event: ['start', 'die'] }));
  }

  /** Resolves with the event that `isLast` says is the last. Rejects when none is in time. */
  until(what: string, isLast: (event: ContainerEvent) => boolean): Promise<ContainerEvent> {
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void) => {
        clearTimeout(timer);
        this.#listeners.delete(listener);
        settle();
      };
      const timer = setTimeout(
        () => finish(() => reject(new Error(`waited ${WAIT_MAX_MS} ms in vain for ${what}`))),
        WAIT_MAX_MS,
      );
      const listener = (event: ContainerEvent) => {
        if (isLast(event)) finish(() => resolve(event));
      };
      this.#listeners.add(listener);
    });
  }

  close(): void {
    this.#response.destroy();
  }

  #take(chunk: string): void {
    const seenAtMs = performance.now();
    const lines = (this.#text + chunk).split('\n');
    this.#text = lines.pop() ?? '';
    for (const line of lines) {
      const { Action, Actor } = JSON.parse(line) as Line;
      if (Action !== 'start' && Action !== 'die') continue;
      const event = { type: Action, id: Actor.ID, labels: Actor.Attributes, seenAtMs } as const;
      for (const listener of [...this.#listeners]) listener(event);
    }
  }
}
