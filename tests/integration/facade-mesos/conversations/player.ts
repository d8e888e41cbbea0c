/** Plays a conversation, turn by turn, and holds what comes against it. */
import { expect } from 'vitest';
import { eventually } from '../../../support/processes.ts';
import { CLIENTS, requestOf } from './clients.ts';
import { type Answer, type Conversation, TAKEN, type Turn } from './conversation.ts';
import { HEARTBEAT } from './messages.ts';
import { asTemplate, type Bindings, filledIn } from './placeholders.ts';
import { fieldOf, type Wire } from './wire.ts';
import type { World } from './world.ts';

/** What was heard, in its order. */
export async function play(world: World, conversation: Conversation): Promise<object[]> {
  const player = new Player(world, conversation);
  try {
    for (const turn of conversation.turns) await player.turn(turn);
    return player.heard;
  } finally {
    player.stop();
  }
}

interface Stream {
  readonly wire: Wire;
  readonly streamId: string;
  /** How many records have been read. */
  read: number;
}

class Player {
  readonly heard: object[] = [];
  readonly #world: World;
  readonly #conversation: Conversation;
  readonly #bindings: Bindings = new Map();
  #streams: Stream[] = [];

  constructor(world: World, conversation: Conversation) {
    this.#world = world;
    this.#conversation = conversation;
  }

  stop(): void {
    for (const { wire } of this.#streams) wire.close();
  }

  async turn(turn: Turn): Promise<void> {
    if ('subscribes' in turn) return this.#subscribe(turn.subscribes);
    if ('calls' in turn) return this.#call(turn.calls, turn.answer ?? TAKEN);
    if ('hears' in turn) return this.#hear(this.#stream(0), turn.hears);
    if ('hearsBefore' in turn) return this.#hear(this.#stream(1), turn.hearsBefore);
    if ('ends' in turn) return this.#end(this.#stream(turn.ends === 'present' ? 0 : 1));
    await this.#world.happens(turn.meanwhile, this.#bindings.get('<framework>') ?? '');
  }

  #stream(back: 0 | 1): Stream {
    const stream = this.#streams.at(-1 - back);
    if (stream === undefined) throw new Error('there is no such stream');
    return stream;
  }

  async #open(body: object, streamId: string | null): Promise<Wire> {
    const client = CLIENTS[this.#conversation.client];
    const { berth, port } = this.#world;
    const addressed = { host: `127.0.0.1:${port}`, token: berth.admin, streamId };
    return this.#world.connect(requestOf(client, filledIn(client.json(body), this.#bindings), addressed));
  }

  async #subscribe(body: object): Promise<void> {
    const wire = await this.#open(body, null);
    const head = await wire.head();
    const streamId = fieldOf(head, 'mesos-stream-id') ?? '';
    this.#streams.push({ wire, streamId, read: 0 });
    expect(head[0]).toBe('HTTP/1.1 200 OK');
    expect(fieldOf(head, 'content-type')).toBe('application/json');
    expect(fieldOf(head, 'transfer-encoding')).toBe('chunked');
    expect(streamId).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    for (const name of ['content-length', 'content-encoding']) expect(fieldOf(head, name)).toBeUndefined();
  }

  async #call(body: object, { status, text }: Answer): Promise<void> {
    const wire = await this.#open(body, this.#stream(0).streamId);
    const head = await wire.head();
    expect([head[0], await wire.body()]).toEqual([status, filledIn(text, this.#bindings)]);
    if (status === TAKEN.status) expect(fieldOf(head, 'content-type')).toBeUndefined();
    wire.close();
  }

  async #hear(stream: Stream, templates: readonly string[]): Promise<void> {
    for (const template of templates) {
      const text = await this.#next(stream, template === HEARTBEAT);
      expect(asTemplate(text, template, this.#bindings)).toBe(template);
      this.heard.push(JSON.parse(text) as object);
    }
  }

  /** The text of the next record, each of which has to be a chunk of its own. */
  async #next(stream: Stream, isHeartbeat: boolean): Promise<string> {
    for (;;) {
      const chunk = await eventually('a record', async () => stream.wire.chunks().chunks[stream.read]);
      stream.read += 1;
      const [, length, text = ''] = /^([1-9][0-9]*)\n(\{[ -~]*\})$/.exec(chunk) ?? [];
      if (Number(length) !== text.length) throw new Error(`this chunk is no record: ${chunk}`);
      if (isHeartbeat || text !== HEARTBEAT) return text;
    }
  }

  async #end(stream: Stream): Promise<void> {
    await eventually('the end of the stream', async () => stream.wire.chunks().isOver);
    const rest = stream.wire.chunks().chunks.slice(stream.read);
    expect(rest.filter((chunk) => chunk !== `${HEARTBEAT.length}\n${HEARTBEAT}`)).toEqual([]);
  }
}
