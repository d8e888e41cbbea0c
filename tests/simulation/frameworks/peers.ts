/** How the replicas of a world reach each other on behalf of frameworks: a question goes on to whichever holds the stream. */
import type { Peers } from '../../../control-plane/services/framework-peers.ts';
import { askedSchema } from '../../../shared/protocol/framework.ts';
import type { Network } from '../network.ts';
import type { Replica } from '../replica.ts';
import type { SimulatedProcess } from '../simulated-process.ts';

const TIMEOUT_MS = 5000;
const ASKED_PATH = /^\/v1\/peer\/frameworks\/([^/]+)\/asked$/;

export function peersAmong(network: Network, replicas: () => readonly Replica[]): (process: SimulatedProcess) => Peers {
  return (process) => ({
    peerToken: () => Promise.resolve(''),
    fetch: (input, init) => {
      const url = new URL(String(input));
      const [, framework] = ASKED_PATH.exec(url.pathname) ?? [];
      const replica = replicas().find(({ name }) => name === url.hostname);
      if (framework === undefined) return Promise.reject(new TypeError(`nobody answers at ${url.pathname}`));
      const { tasks } = askedSchema.parse(JSON.parse(String(init?.body)));
      return network.call({
        from: process,
        to: replica?.process ?? null,
        timeoutMs: TIMEOUT_MS,
        ...(init?.signal ? { signal: init.signal } : {}),
        work: () => {
          replica?.streams?.askHere(framework, tasks);
          return Promise.resolve(new Response(null, { status: 204 }));
        },
      });
    },
  });
}
