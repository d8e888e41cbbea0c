/** A replica behind a real socket, with one node, and what may happen to them between two turns of a conversation. */
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import { ChunkedResponse } from '../../../../control-plane/adapters/http/chunked-response.ts';
import { keys } from '../../../../control-plane/store/keys.ts';
import { freeResources } from '../../../../shared/domain/ledger.ts';
import type { Clock } from '../../../../shared/util/clock.ts';
import { startApi, type TestApi } from '../../../support/api.ts';
import { ApiAgent } from '../../../support/api-agent.ts';
import { aGroup } from '../../../support/builders.ts';
import { Hand } from '../../../support/frameworks.ts';
import { caughtUp } from '../../../support/replica.ts';
import type { Happening } from './conversation.ts';
import { Wire } from './wire.ts';

interface Pool {
  readonly tasks: number;
  readonly offers: number;
  readonly reservations: number;
  readonly isWhole: boolean;
}

/** Nobody holds anything. */
export const WHOLE: Pool = { tasks: 0, offers: 0, reservations: 0, isWhole: true };

const ATTRIBUTES = { hostname: 'edge-1.example', arch: 'x64', os: 'linux', node: 'edge-1', ip: '10.0.0.7' };

export class World {
  readonly berth: TestApi;
  readonly port: number;
  readonly #agent: ApiAgent;
  readonly #server: Server;
  readonly #wires: Wire[] = [];

  private constructor(berth: TestApi, agent: ApiAgent, server: Server) {
    this.berth = berth;
    this.#agent = agent;
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  /** Clients that can't send a token are let in. */
  static async start(options: { readonly clock?: Clock } = {}): Promise<World> {
    const berth = await startApi({ ...options, mesosAnonymous: { roles: ['*'], actions: ['*'] } });
    const server = createAdaptorServer({
      fetch: berth.api.fetch,
      serverOptions: { ServerResponse: ChunkedResponse },
    }) as Server;
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new World(berth, await ApiAgent.register(berth, 'edge-1', { attributes: ATTRIBUTES }), server);
  }

  /** A connection, on which this is sent first. It ends with the world. */
  async connect(text = ''): Promise<Wire> {
    const wire = await Wire.open(this.port);
    this.#wires.push(wire);
    wire.write(text);
    return wire;
  }

  async stop(): Promise<void> {
    for (const wire of this.#wires) wire.close();
    this.berth.stop();
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  /** `framework`: that of the conversation. */
  async happens(happening: Happening, framework: string): Promise<void> {
    const { berth } = this;
    await caughtUp(berth.replica.ctx);
    await this.#change(happening, framework);
    await caughtUp(berth.replica.ctx);
  }

  async #change(happening: Happening, framework: string): Promise<unknown> {
    const { berth } = this;
    const maintenance = '/v1/nodes/edge-1/maintenance';
    switch (happening) {
      case 'offers are made':
        return berth.replica.settle();
      case 'the task runs':
        return this.#agent.report(this.#taskId(), 'running');
      case 'the task finishes':
        return this.#agent.report(this.#taskId(), 'finished', { reason: 'exited', exitCode: 0 });
      case 'the task fails for want of memory':
        return this.#agent.report(this.#taskId(), 'failed', { reason: 'out-of-memory', exitCode: 137 });
      case 'the task was killed':
        return this.#agent.report(this.#taskId(), 'killed', { reason: 'stop-requested', exitCode: 137 });
      case 'the executor says something':
        return this.#speak(framework);
      case 'a window is set':
        return this.#send('PUT', maintenance, { startsAt: '2126-01-01T00:00:00Z', durationSeconds: 3600 });
      case 'the window is taken back':
        return this.#send('DELETE', maintenance);
      case 'the node falls silent':
        return this.#silence();
      case 'an operator removes the framework':
        return this.#send('DELETE', `/v1/frameworks/${framework}?reason=enough`);
    }
  }

  async #send(method: string, path: string, json?: object): Promise<void> {
    const answer = await this.berth.send(method, path, json === undefined ? {} : { json });
    if (!answer.ok) throw new Error(`${method} ${path} was answered ${answer.status}: ${await answer.text()}`);
  }

  /** The record that says that it is alive goes with its lease. */
  async #silence(): Promise<void> {
    const { ctx, settle } = this.berth.replica;
    await ctx.store.transact({ compares: [], writes: [{ type: 'delete', key: keys.alive('edge-1') }] });
    await caughtUp(ctx);
    await settle();
  }

  #taskId(): string {
    const [task] = this.berth.replica.ctx.mirror.snapshot.tasks.keys();
    if (task === undefined) throw new Error('no task was launched');
    return task;
  }

  async #speak(framework: string): Promise<void> {
    const template = { group: { ...aGroup(), isExecutor: true as const }, priority: 50, replaceAfterSeconds: 60 };
    const state = 'running' as const;
    const { id } = await new Hand(this.berth.replica.ctx).launch(framework, 'runner', {
      node: 'edge-1',
      state,
      template,
    });
    const json = { taken: [], said: [{ id: 'said000000000001', task: id, data: 'Grüße' }] };
    const answer = await this.#agent.send('POST', '/v1/agent/messages', { json });
    if (answer.status !== 200) throw new Error(`it was answered ${answer.status}: ${await answer.text()}`);
  }

  /** What is held of the node, by tasks and by offers, and whether all that isn't is free. */
  async pool(): Promise<Pool> {
    await caughtUp(this.berth.replica.ctx);
    const ledger = this.berth.replica.ctx.mirror.snapshot.ledgers.get('edge-1');
    if (ledger === undefined) throw new Error('there is no ledger');
    const free = freeResources(ledger);
    return {
      tasks: Object.keys(ledger.entries).length,
      offers: Object.keys(ledger.offers).length,
      reservations: Object.keys(ledger.reservations).length,
      isWhole: free.cpus === ledger.total.cpus && free.memMiB === ledger.total.memMiB,
    };
  }
}
