/** Where a task's output is handed from one request to another. */
import { expect, test, vi } from 'vitest';
import { meetingsIn, StreamMeetingPlace } from '../../../control-plane/main-worker-meeting.ts';
import type { DurableObjectNamespace } from '../../../control-plane/main-worker-platform.ts';

/** A namespace as the platform has it: one object for each name. */
function namespace(): DurableObjectNamespace {
  const places = new Map<string, StreamMeetingPlace>();
  return {
    idFromName: (name) => ({ toString: () => name }),
    get(id) {
      const place = places.get(String(id)) ?? new StreamMeetingPlace();
      places.set(String(id), place);
      return { fetch: (url, init) => place.fetch(new Request(url, init)) };
    },
  };
}

const never = new AbortController().signal;
const bodyOf = (text: string) => new Blob([text]).stream();

test.each(['the reader', 'the one who brings'])('they meet when %s comes first', async (first) => {
  const meetings = meetingsIn(namespace());
  const read = () => meetings.read('s', never);
  const bring = () => meetings.bring('s', bodyOf('one\ntwo\n'), null);
  const early = first === 'the reader' ? read() : bring();
  await new Promise((resolve) => setImmediate(resolve));
  const late = first === 'the reader' ? bring() : read();
  const [body, brought] = first === 'the reader' ? [await early, late] : [await late, early];
  expect(await new Response(body as ReadableStream).text()).toBe('one\ntwo\n');
  expect(await brought).toBe('taken');
});

test('what belongs to one stream is not given to another', async () => {
  const meetings = meetingsIn(namespace());
  const [a, b] = [meetings.read('a', never), meetings.read('b', never)];
  await Promise.all(
    [meetings.bring('b', bodyOf('for b'), null), meetings.bring('a', bodyOf('for a'), null)].map((one) =>
      Promise.race([one, new Promise((resolve) => setImmediate(resolve))]),
    ),
  );
  expect(await new Response(await a).text()).toBe('for a');
  expect(await new Response(await b).text()).toBe('for b');
});

test('of two who bring the same one, the second is told', async () => {
  const meetings = meetingsIn(namespace());
  const reading = meetings.read('s', never);
  const first = meetings.bring('s', bodyOf('x'), null);
  await reading;
  expect(await meetings.bring('s', bodyOf('y'), null)).toBe('brought-already');
  expect(await new Response(await reading).text()).toBe('x');
  expect(await first).toBe('taken');
});

test('whoever comes alone is told so in time, and may come again', async () => {
  vi.useFakeTimers();
  try {
    const meetings = meetingsIn(namespace());
    const brought = meetings.bring('s', bodyOf('x'), null);
    await vi.advanceTimersByTimeAsync(12_000);
    expect(await brought).toBe('nobody-reads');
    const read = meetings.read('s', never);
    await vi.advanceTimersByTimeAsync(12_000);
    expect(await read).toBe(null);
    const again = meetings.bring('s', bodyOf('x'), null);
    await vi.advanceTimersByTimeAsync(12_000);
    expect(await again).toBe('nobody-reads');
  } finally {
    vi.useRealTimers();
  }
});

test('one who brings is let go when the reader has had enough', async () => {
  const meetings = meetingsIn(namespace());
  const reading = meetings.read('s', never);
  let pulls = 0;
  const endless = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      pulls += 1;
      controller.enqueue(new Uint8Array(1024));
    },
  });
  const brought = meetings.bring('s', endless, null);
  const body = (await reading) as ReadableStream<Uint8Array>;
  const reader = body.getReader();
  await reader.read();
  await reader.cancel();
  expect(await brought).toBe('taken');
  // A slow reader slows the one who brings: nothing is kept in between but what is on its way.
  expect(pulls).toBeLessThan(20);
});
