/**
 * What a replica passes on to the one that holds a framework's stream. At most once: nothing is sent a second time, and whoever needs
 * to be sure asks again.
 */
import type { FrameworkId } from '../../shared/domain/ids.ts';
import { type FrameworkEvent, toldAnswerSchema } from '../../shared/protocol/framework.ts';
import type { ServiceContext } from './context.ts';

/** How long another replica may take to take something on to the stream that it holds. */
const PEER_MS = 2000;

/** How this replica reaches the others. */
export interface Peers {
  readonly peerToken: () => Promise<string>;
  readonly fetch: typeof fetch;
}

export class FrameworkPeers {
  readonly #ctx: Pick<ServiceContext, 'mirror' | 'replica' | 'clock' | 'log'>;
  readonly #peers: Peers;

  constructor(ctx: Pick<ServiceContext, 'mirror' | 'replica' | 'clock' | 'log'>, peers: Peers) {
    this.#ctx = ctx;
    this.#peers = peers;
  }

  async ask(framework: FrameworkId, names: readonly string[] | null): Promise<void> {
    await this.#pass(framework, 'asked', { tasks: names });
  }

  /** Whether it went to a stream there, as far as is known. */
  async tell(framework: FrameworkId, events: readonly FrameworkEvent[]): Promise<boolean> {
    const answer = toldAnswerSchema.safeParse(await this.#pass(framework, 'told', { events }));
    return answer.success && answer.data.isTold;
  }

  /** What the other replica answers. Null: nothing, or no other one holds the framework's stream. Never rejects. */
  async #pass(framework: FrameworkId, what: 'asked' | 'told', body: object): Promise<unknown> {
    const { mirror, replica, clock, log } = this.#ctx;
    const holder = mirror.snapshot.connections.get(framework)?.replica;
    const peer = holder === undefined ? undefined : mirror.snapshot.replicas.get(holder);
    if (peer === undefined || peer.id === replica.id) return null;
    const over = new AbortController();
    const timer = clock.setTimer(PEER_MS, () => over.abort());
    try {
      const response = await this.#peers.fetch(new URL(`/v1/peer/frameworks/${framework}/${what}`, peer.url), {
        method: 'POST',
        headers: { authorization: `Bearer ${await this.#peers.peerToken()}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
        signal: over.signal,
      });
      return response.status === 200 ? await response.json() : null;
    } catch (error) {
      log.debug({ error, framework, replica: peer.id }, "the replica that holds a framework's stream was not reached");
      return null;
    } finally {
      timer.cancel();
    }
  }
}
