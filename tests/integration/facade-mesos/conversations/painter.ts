/** A framework that a test drives call by call, over real sockets and without a token. */
import { expect } from 'vitest';
import { eventually } from '../../../support/processes.ts';
import { caughtUp } from '../../../support/replica.ts';
import { SUBSCRIBED, subscription, TASK } from './messages.ts';
import { asTemplate } from './placeholders.ts';
import { fieldOf, type Wire } from './wire.ts';
import type { World } from './world.ts';

export interface Answered {
  readonly status: number;
  readonly text: string;
}

export async function answerOf(wire: Wire): Promise<Answered> {
  const [line = ''] = await wire.head();
  return { status: Number(line.split(' ')[1]), text: await wire.body() };
}

/** A request with this body, of a client that is let in without a token. */
export function posted(body: string, headers: readonly string[] = ['Content-Type: application/json']): string {
  const head = ['POST /api/v1/scheduler HTTP/1.1', 'Host: berth', ...headers];
  return `${head.join('\r\n')}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** A framework as a test drives it. */
export class Painter {
  readonly world: World;
  readonly wire: Wire;
  readonly id: string;
  readonly streamId: string;
  #read = 0;

  private constructor(world: World, { wire, id, streamId }: Pick<Painter, 'wire' | 'id' | 'streamId'>) {
    this.world = world;
    this.wire = wire;
    this.id = id;
    this.streamId = streamId;
  }

  static async subscribe(world: World, body: object = subscription('mesos-framework')): Promise<Painter> {
    const wire = await world.connect(posted(JSON.stringify(body)));
    const head = await wire.head();
    const [first = ''] = await eventually('two records', async () => {
      const { chunks } = wire.chunks();
      return chunks.length >= 2 && chunks;
    });
    const bindings = new Map<string, string>();
    const text = first.split('\n')[1] ?? '';
    expect(asTemplate(text, SUBSCRIBED, bindings)).toBe(SUBSCRIBED);
    await caughtUp(world.berth.replica.ctx);
    const [id = '', streamId = ''] = [bindings.get('<framework>'), fieldOf(head, 'mesos-stream-id')];
    return new Painter(world, { wire, id, streamId });
  }

  call(json: object, streamId = this.streamId): Promise<Answered> {
    return this.text(JSON.stringify({ framework_id: { value: this.id }, ...json }), streamId);
  }

  async text(body: string, streamId = this.streamId): Promise<Answered> {
    const wire = await this.world.connect(
      posted(body, ['Content-Type: application/json', `Mesos-Stream-Id: ${streamId}`]),
    );
    const answer = await answerOf(wire);
    wire.close();
    await caughtUp(this.world.berth.replica.ctx);
    return answer;
  }

  /** The next event but heartbeats. */
  async next(): Promise<Record<string, unknown> & { readonly type: string }> {
    for (;;) {
      const chunk = await eventually('an event', async () => this.wire.chunks().chunks[this.#read]);
      this.#read += 1;
      const event = JSON.parse(chunk.split('\n')[1] ?? '') as Record<string, unknown> & { readonly type: string };
      if (event.type !== 'HEARTBEAT') return event;
    }
  }

  async until(type: string): Promise<Record<string, unknown>> {
    for (;;) {
      const event = await this.next();
      if (event.type === type) return event;
    }
  }

  async status(): Promise<Status> {
    return ((await this.until('UPDATE')) as { update: { status: Status } }).update.status;
  }

  async offer(): Promise<string> {
    await this.world.happens('offers are made', this.id);
    const { offers } = (await this.until('OFFERS')) as { offers: { offers: { id: { value: string } }[] } };
    return offers.offers[0]?.id.value ?? '';
  }
}

export interface Status {
  readonly task_id: { readonly value: string };
  readonly state: string;
  readonly reason?: string;
  readonly message?: string;
  readonly uuid?: string;
}

export function launching(offer: string, tasks: readonly object[]): object {
  const operations = [{ type: 'LAUNCH', launch: { task_infos: tasks } }];
  return { type: 'ACCEPT', accept: { offer_ids: [{ value: offer }], operations } };
}

export const named = (name: string, change: object = {}) => ({ ...TASK, task_id: { value: name }, ...change });
