/** Endpoints of services from the few facts that a test cares about, and a source of them that the test decides. */
import type { EndpointSource } from '../../control-plane/balancer/endpoint-source.ts';
import type { EndpointView } from '../../shared/protocol/endpoints.ts';

/** A ready endpoint of the job `web`, published under the host `web.example`, unless it is said otherwise. */
export function endpointOf(given: Partial<EndpointView> = {}): EndpointView {
  const job = given.job ?? 'web';
  const index = given.index ?? 0;
  const task = given.task ?? `${job}-main-${index}-u1-v1a1`;
  const portName = given.portName ?? 'http';
  return {
    id: `${task}/${portName}`,
    role: 'default',
    job,
    jobUid: `uid-${job}`,
    version: 1,
    group: 'main',
    index,
    task,
    node: 'node-1',
    host: 'node-1',
    address: '127.0.0.1',
    portName,
    port: 20_000 + index,
    containerPort: null,
    protocol: 'tcp',
    state: 'ready',
    since: '2026-01-01T00:00:00.000Z',
    publish: { mode: 'http', hosts: ['web.example'] },
    labels: {},
    ...given,
  };
}

/** Lists come when the test says so. */
export class PlayedEndpoints implements EndpointSource {
  #list: readonly EndpointView[] | null = null;
  #news = Promise.withResolvers<void>();
  #failure: Error | null = null;

  put(list: readonly EndpointView[]): void {
    this.#list = [...list];
    this.#tell();
  }

  /** Ends the watch that is on with an error; the next one starts as if nothing had been. */
  fail(error: Error): void {
    this.#failure = error;
    this.#tell();
  }

  async *watch(signal: AbortSignal): AsyncGenerator<readonly EndpointView[]> {
    signal.addEventListener('abort', () => this.#news.resolve(), { once: true });
    let told: readonly EndpointView[] | null = null;
    while (!signal.aborted) {
      const failure = this.#failure;
      this.#failure = null;
      if (failure !== null) throw failure;
      if (this.#list !== null && this.#list !== told) {
        told = this.#list;
        yield told;
      } else if (!signal.aborted) {
        await this.#news.promise;
      }
    }
  }

  #tell(): void {
    const { resolve } = this.#news;
    this.#news = Promise.withResolvers<void>();
    resolve();
  }
}
