/**
 * Messages between frameworks and executors. What frameworks say is listed in the assignment until this agent says that it is taken:
 * so neither its own end nor a lost uplink loses it before its time. What executors say waits here, in memory and within a bound,
 * until the control plane has it.
 */
import {
  MESSAGES_MAX,
  type MessageForTask,
  type MessagesRequest,
  type MessagesResponse,
  type SaidMessage,
} from '../../shared/protocol/agent.ts';
import { type Random, randomId } from '../../shared/util/random.ts';
import { ControlPlaneFault, type Executors, type Log, type Subscription } from './contracts.ts';
import type { SessionCalls } from './session.ts';

/** Of what executors say, so much may wait; they are told to try again. */
export const SAID_WAITING_MAX = 64;
/** Of one request, in characters of JSON: the control plane takes no more than a mebibyte. */
const REQUEST_LENGTH_MAX = 524_288;

export interface MessengerParts {
  readonly executors: Executors;
  readonly random: Random;
  readonly log: Log;
}

export class Messenger {
  readonly #parts: MessengerParts;
  /** Those that are listed and came here. `taken`: by their executor, or nobody is there for them. */
  readonly #known = new Map<string, 'waits' | 'taken'>();
  /** Taken, and the control plane doesn't know. */
  readonly #taken: string[] = [];
  readonly #said: SaidMessage[] = [];
  #listed: readonly MessageForTask[] = [];
  #subscription: Subscription | null = null;
  #wake: (() => void) | null = null;

  constructor(parts: MessengerParts) {
    this.#parts = parts;
  }

  open(): void {
    this.#subscription = this.#parts.executors.listen({
      onTaken: (message) => this.#settle(message),
      onSaid: ({ task, data }) => this.#say(task, data),
    });
  }

  close(): void {
    this.#subscription?.close();
  }

  /** What is listed now. What no longer is has had its time. */
  want(messages: readonly MessageForTask[]): void {
    const listed = new Set(messages.map(({ id }) => id));
    for (const [id, state] of this.#known) {
      if (listed.has(id)) continue;
      if (state === 'waits') this.#parts.executors.withdraw(id);
      this.#known.delete(id);
    }
    this.#listed = messages;
    this.#deliver();
  }

  /** Sends for as long as the session lasts. */
  async run(calls: SessionCalls): Promise<void> {
    while (!calls.signal.aborted) {
      if (this.#taken.length + this.#said.length === 0) await this.#something(calls.signal);
      else await this.#sendOnce(calls);
    }
  }

  #deliver(): void {
    for (const message of this.#listed) {
      if (this.#known.has(message.id)) continue;
      const outcome = this.#parts.executors.deliver(message);
      // Tried again when its executor has taken another one.
      if (outcome === 'crowded') continue;
      this.#known.set(message.id, 'waits');
      if (outcome === 'gone') this.#drop(message);
    }
  }

  #drop({ id, task }: MessageForTask): void {
    this.#parts.log.info('dropped a message for a task that no executor runs here', { message: id, task });
    this.#settle(id);
  }

  #settle(message: string): void {
    if (this.#known.get(message) !== 'waits') return;
    this.#known.set(message, 'taken');
    this.#taken.push(message);
    this.#wake?.();
    this.#deliver();
  }

  #say(task: string, data: string): boolean {
    if (this.#said.length >= SAID_WAITING_MAX) return false;
    this.#said.push({ id: randomId(this.#parts.random), task, data });
    this.#wake?.();
    return true;
  }

  async #sendOnce(calls: SessionCalls): Promise<void> {
    const request: MessagesRequest = { taken: this.#taken.slice(0, MESSAGES_MAX), said: this.#batch() };
    const answer = await calls.untilAnswered((controlPlane, epoch, signal) =>
      controlPlane.messages(epoch, request, signal).catch(orRefused),
    );
    if (answer === null) return;
    this.#tellLost(request, answer);
    this.#taken.splice(0, request.taken.length);
    this.#said.splice(0, request.said.length);
  }

  #batch(): SaidMessage[] {
    const batch: SaidMessage[] = [];
    let length = 0;
    for (const message of this.#said.slice(0, MESSAGES_MAX)) {
      length += JSON.stringify(message).length;
      if (batch.length > 0 && length > REQUEST_LENGTH_MAX) break;
      batch.push(message);
    }
    return batch;
  }

  #tellLost({ said }: MessagesRequest, answer: MessagesResponse | ControlPlaneFault): void {
    said.forEach(({ task }, index) => {
      const result = answer instanceof ControlPlaneFault ? answer.message : answer.results[index];
      if (result === 'relayed') return;
      this.#parts.log.warn("an executor's message did not reach its framework", { task, cause: result ?? 'unknown' });
    });
  }

  #something(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#wake = null;
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#wake = done;
      signal.addEventListener('abort', done, { once: true });
      if (signal.aborted) done();
    });
  }
}

/** What will never be taken is not tried again. */
function orRefused(cause: unknown): ControlPlaneFault {
  if (cause instanceof ControlPlaneFault && (cause.kind === 'invalid' || cause.kind === 'refused')) return cause;
  throw cause;
}
