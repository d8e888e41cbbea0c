/** HEAD is answered like GET, and nothing goes on behind an answer whose body nobody takes. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ManualClock } from '../../store/manual-clock.ts';
import { startApi, type TestApi } from '../../support/api.ts';

let clock: ManualClock;
let berth: TestApi;

beforeEach(async () => {
  clock = new ManualClock();
  berth = await startApi({ clock });
});
afterEach(() => berth.stop());

it.each([
  ['/v1/events', 'text/event-stream'],
  ['/state', 'application/json'],
  ['/v1/status', 'application/json'],
])('of %s has the headers, no body, and leaves nothing behind', async (path, type) => {
  const timersBefore = clock.pending;
  const response = await berth.send('HEAD', path, { headers: { accept: type } });
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toContain(type);
  expect(response.body).toBeNull();
  expect(clock.pending).toBe(timersBefore);
});
