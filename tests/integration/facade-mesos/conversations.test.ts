/** Holds the door against what passes between it and clients that exist, byte for byte; see `conversations/README.md`. */
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CALL_TYPES } from '../../../control-plane/facade-mesos/wire/call.ts';
import { CALLS } from './conversations/calls.ts';
import type { Conversation } from './conversations/conversation.ts';
import { EVENTS } from './conversations/events.ts';
import { play } from './conversations/player.ts';
import { isOfType, REQUIRED_FIELDS, strayNames, valuesAt } from './conversations/required-fields.ts';
import { World } from './conversations/world.ts';

const EVENT_TYPES = [
  ...['SUBSCRIBED', 'OFFERS', 'INVERSE_OFFERS', 'RESCIND', 'RESCIND_INVERSE_OFFER', 'UPDATE'],
  ...['UPDATE_OPERATION_STATUS', 'MESSAGE', 'FAILURE', 'ERROR', 'HEARTBEAT'],
];

/** Paths of required fields that something was found at. */
const found = new Set<string>();

let world: World;

beforeEach(async () => {
  world = await World.start();
});
afterEach(() => world.stop());

/** What clients can't do without, and what makes them refuse the event. */
function checkFields(event: { type?: string }): void {
  for (const { event: type, path, type: wanted, client } of REQUIRED_FIELDS) {
    if (event.type !== type) continue;
    for (const value of valuesAt(event, path)) {
      found.add(path);
      if (!isOfType(value, wanted)) throw new Error(`${path} is no ${wanted} (${client}): ${JSON.stringify(event)}`);
    }
  }
  expect(strayNames(event)).toEqual([]);
}

describe.each<[string, readonly Conversation[]]>([
  ['calls', CALLS],
  ['events', EVENTS],
])('%s', (_what, conversations) => {
  it.each(conversations.map((one) => [one.about, one.client, one] as const))('%s, by %s', async (_a, _c, one) => {
    for (const event of await play(world, one)) checkFields(event);
  });
});

describe('the conversations', () => {
  const turns = [...CALLS, ...EVENTS].flatMap((conversation) => conversation.turns);

  it('are about each call', () => {
    const called = new Set(
      turns.flatMap((turn) => {
        const call = 'calls' in turn ? turn.calls : 'subscribes' in turn ? turn.subscribes : {};
        return 'type' in call ? String(call.type) : [];
      }),
    );
    expect(CALL_TYPES.filter((type) => type !== 'UNKNOWN' && !called.has(type))).toEqual([]);
  });

  it('are about each event', () => {
    const records = turns.flatMap((turn) => ('hears' in turn ? turn.hears : []));
    const heard = new Set(records.map((text) => /^\{"type":"([A-Z_]+)"/.exec(text)?.[1]));
    expect(EVENT_TYPES.filter((type) => !heard.has(type))).toEqual([]);
  });
});

afterAll(() => {
  const never = REQUIRED_FIELDS.map(({ path }) => path).filter((path) => !found.has(path));
  expect(never).toEqual([]);
});
