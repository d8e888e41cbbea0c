/** What no client should send, over real sockets: each gets Mesos's answer, and the pool is whole afterwards. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../store/manual-clock.ts';
import { eventually } from '../../support/processes.ts';
import { CLIENTS, requestOf } from './conversations/clients.ts';
import { subscription, TASK } from './conversations/messages.ts';
import { answerOf, launching, Painter, posted } from './conversations/painter.ts';
import { WHOLE, World } from './conversations/world.ts';

let world: World;

beforeEach(async () => {
  world = await World.start();
});
afterEach(() => world.stop());

const TYPE = 'Content-Type: application/json';
const REVIVE = { type: 'REVIVE', framework_id: { value: 'f000000000000000' } };

describe('a request', () => {
  it.each<[string, string, readonly string[], number, string]>([
    ['a type with parameters', '{}', ['Content-Type: application/json; charset=utf-8'], 415, 'application/json'],
    ['a type of records', '{}', ['Content-Type: application/recordio'], 415, 'application/json'],
    ['an empty body', '', [TYPE], 400, 'Failed to parse body into JSON'],
    ['two values', '{}{}', [TYPE], 400, 'Failed to parse body into JSON'],
    ['bytes that are no UTF-8', '{"type":"\\ud800', [TYPE], 400, 'Failed to parse body into JSON'],
    ['a text', '"SUBSCRIBE"', [TYPE], 400, 'Expecting a JSON object'],
    ['null', 'null', [TYPE], 400, 'Expecting a JSON object'],
    ['a number for a type', '{"type":1}', [TYPE], 400, "for field 'type'"],
    ['a list for a type', '{"type":["SUBSCRIBE"]}', [TYPE], 400, "for field 'type'"],
    [
      'a number for an id',
      '{"type":"REVIVE","framework_id":{"value":7}}',
      [TYPE],
      400,
      "for field 'framework_id.value'",
    ],
    ['a text for an id', '{"type":"REVIVE","framework_id":"f1"}', [TYPE], 400, "for field 'framework_id'"],
    [
      'a text that is no number',
      '{"type":"DECLINE","framework_id":{"value":"f1"},"decline":{"offer_ids":[],"filters":{"refuse_seconds":"soon"}}}',
      [TYPE],
      400,
      "Failed to parse 'soon' as a number for field 'decline.filters.refuse_seconds'",
    ],
    [
      'a list nested beyond all measure',
      `{"type":"REVIVE","x":${'['.repeat(10_000)}${']'.repeat(10_000)}}`,
      [TYPE],
      400,
      'nested more than',
    ],
    ['too many values', `{"type":"REVIVE","x":[${'0,'.repeat(200_000)}0]}`, [TYPE], 400, 'more than 100000 values'],
    ['a body that is too large', `{"x":"${'x'.repeat(5_000_000)}"}`, [TYPE], 413, 'larger than'],
    ['a call before any subscription', JSON.stringify(REVIVE), [TYPE], 400, 'Framework cannot be found'],
    [
      'the same with a stream id',
      JSON.stringify(REVIVE),
      [TYPE, 'Mesos-Stream-Id: x'],
      400,
      'Framework cannot be found',
    ],
    [
      'a subscription with a number for its user',
      '{"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":1,"name":"x"}}}',
      [TYPE],
      400,
      "for field 'subscribe.framework_info.user'",
    ],
  ])('of %s is refused, and the next one is served', async (_what, body, headers, status, text) => {
    const answer = await answerOf(await world.connect(posted(body, headers)));
    expect(answer).toEqual({ status, text: expect.stringContaining(text) });
    await Painter.subscribe(world);
  });

  it('in pieces of one byte is one call', async () => {
    const wire = await world.connect();
    const client = CLIENTS.pymesos;
    const addressed = { host: 'berth', token: world.berth.admin, streamId: null };
    for (const character of requestOf(client, client.json(subscription('pymesos')), addressed)) wire.write(character);
    await eventually('two records', async () => wire.chunks().chunks.length >= 2);
  });

  it('that breaks off in the middle of its body is no call', async () => {
    const painter = await Painter.subscribe(world);
    await painter.offer();
    const body = JSON.stringify({ framework_id: { value: painter.id }, type: 'TEARDOWN' });
    const wire = await world.connect();
    const headers = [TYPE, `Mesos-Stream-Id: ${painter.streamId}`];
    wire.write(posted(body, headers).slice(0, -1));
    wire.close();
    expect((await painter.call({ type: 'REVIVE' })).status).toBe(202);
    expect(await world.pool()).toMatchObject({ offers: 1 });
  });
});

describe('a stream', () => {
  it('that another one has taken the place of ends, and its id is stale', async () => {
    const painter = await Painter.subscribe(world);
    const offer = await painter.offer();
    const id = { value: painter.id };
    const again = {
      type: 'SUBSCRIBE',
      framework_id: id,
      subscribe: { framework_info: { user: 'root', name: 'p', id } },
    };
    const next = await Painter.subscribe(world, again);
    expect(next.id).toBe(painter.id);
    expect(await painter.until('ERROR')).toEqual({ type: 'ERROR', error: { message: 'Framework failed over' } });
    await eventually('its end', async () => painter.wire.chunks().isOver);
    const stale = await painter.call(launching(offer, [TASK]));
    expect(stale).toEqual({
      status: 400,
      text: expect.stringContaining("didn't match the stream ID currently associated"),
    });
    await world.happens('offers are made', next.id);
    expect(await next.call({ type: 'TEARDOWN' })).toEqual({ status: 202, text: '' });
    await world.happens('offers are made', next.id);
    expect(await world.pool()).toEqual(WHOLE);
  });

  it('that is not read for a minute is cut off, and what it was offered is rescinded', async () => {
    await world.stop();
    const clock = new ManualClock();
    world = await World.start({ clock });
    const painter = await Painter.subscribe(world);
    await painter.offer();
    painter.wire.stopReading();
    // More than any buffer on the way holds.
    const tasks = Array.from({ length: 4000 }, (_, index) => ({ task_id: { value: `${'x'.repeat(200)}${index}` } }));
    for (let times = 0; times < 8; times++) {
      expect((await painter.call({ type: 'RECONCILE', reconcile: { tasks } })).status).toBe(202);
    }
    await clock.advance(61_000);
    await eventually('it to be cut off', async () => {
      const view = await (await world.berth.send('GET', `/v1/frameworks/${painter.id}`)).json();
      return (view as { readonly state: string }).state === 'disconnected';
    });
    await world.happens('offers are made', painter.id);
    expect(await world.pool()).toEqual(WHOLE);
  });
});

describe('a stream that is read', () => {
  it('goes on, whatever time passes', async () => {
    await world.stop();
    const clock = new ManualClock();
    world = await World.start({ clock });
    const painter = await Painter.subscribe(world);
    for (let passed = 0; passed < 20; passed++) {
      const { length } = painter.wire.chunks().chunks;
      await clock.advance(5000);
      await eventually('a heartbeat', async () => painter.wire.chunks().chunks.length > length);
    }
    expect((await painter.call({ type: 'REVIVE' })).status).toBe(202);
  });
});
