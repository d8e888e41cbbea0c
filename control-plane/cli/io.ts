/** The world as the CLI sees it: streams, environment, time and signals. `main.ts` brings the real one, tests bring their own. */
import type { Clock } from '../../shared/util/clock.ts';
import type { Random } from '../../shared/util/random.ts';

export interface Output {
  write(text: string): void;
  readonly isTerminal: boolean;
  /** Characters per line; null where nothing is known, as of a file. */
  readonly columns: number | null;
}

export type Interruption = 'SIGINT' | 'SIGTERM';

export interface Io {
  readonly out: Output;
  readonly err: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly fetch: typeof globalThis.fetch;
  readonly clock: Clock;
  readonly random: Random;
  /** Asks for a line on the terminal and doesn't show what is typed. Null: standard input is no terminal. */
  readHidden(prompt: string): Promise<string | null>;
  /** All of standard input, as text. */
  readStdin(): Promise<string>;
  /**
   * Calls `handler` for each signal from now on, instead of ending the process. Returns what undoes it. The handler that was
   * set last gets the signal.
   */
  onInterruption(handler: (signal: Interruption) => void): () => void;
  /** Ends the process at once, without waiting for anything. */
  exitNow(code: number): void;
}
