import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it, vi } from 'vitest';
import { heldRequest } from '../../support/held-request.ts';

/** Also in a worker that was started without the flag. */
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

it('a request whose stream is all that is left of it hears that its client has gone', async () => {
  const client = new AbortController();
  const left = AbortSignal.any([heldRequest('http://berth.test/', { signal: client.signal }).signal]);
  const told = vi.fn();
  left.addEventListener('abort', told, { once: true });
  for (let times = 0; times < 5; times++) {
    // A collection takes what nobody has held since the last turn of the loop.
    await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();
  }
  client.abort();
  expect(told).toHaveBeenCalledOnce();
});
