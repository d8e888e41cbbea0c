import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AnswerTooLongError } from '../../../../control-plane/adapters/etcd-api/refusals.ts';
import { BodyText } from '../../../../control-plane/adapters/etcd-gateway/body.ts';

/** A body that comes in pieces of these sizes, again and again. */
function inPieces(text: string, sizes: readonly number[]): ReadableStream<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  let [at, turn] = [0, 0];
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      const size = sizes[turn++ % sizes.length] ?? 1;
      controller.enqueue(bytes.slice(at, at + size));
      at += size;
    },
  });
}

async function linesOf(body: BodyText): Promise<string[]> {
  const lines: string[] = [];
  for (let line = await body.line(); line !== null; line = await body.line()) lines.push(line);
  return lines;
}

const sizesArbitrary = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 5 });
const lineArbitrary = fc.string({ unit: 'grapheme' }).map((text) => text.replaceAll('\n', ''));

test('lines are the same however their bytes are cut, in the middle of a character as well', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(lineArbitrary), lineArbitrary, sizesArbitrary, async (lines, rest, sizes) => {
      const text = [...lines, rest].join('\n');
      expect(await linesOf(new BodyText(inPieces(text, sizes), 10_000))).toEqual(lines);
      expect(await new BodyText(inPieces(text, sizes), 10_000).all()).toBe(text);
    }),
  );
});

test('a line of a mebibyte in many pieces takes no time to speak of', { timeout: 2000 }, async () => {
  const line = 'x'.repeat(2 ** 20);
  expect(await linesOf(new BodyText(inPieces(`${line}\n${line}\n`, [100]), 2 ** 21))).toEqual([line, line]);
});

test('no body is an empty one', async () => {
  expect(await new BodyText(null, 10).all()).toBe('');
  expect(await new BodyText(null, 10).line()).toBe(null);
});

test('what is longer than wanted is not read', async () => {
  await expect(new BodyText(inPieces('x'.repeat(101), [10]), 100).all()).rejects.toThrow(AnswerTooLongError);
  await expect(new BodyText(inPieces('x'.repeat(101), [10]), 100).line()).rejects.toThrow(AnswerTooLongError);
  expect(await new BodyText(inPieces('x'.repeat(100), [10]), 100).all()).toHaveLength(100);
});

test('many lines may be longer than one, together', async () => {
  const lines = Array.from({ length: 50 }, () => 'x'.repeat(60));
  expect(await linesOf(new BodyText(inPieces(`${lines.join('\n')}\n`, [7]), 100))).toEqual(lines);
});

test('a body that is no longer wanted is let go', async () => {
  let isCancelled = false;
  const body = new BodyText(
    new ReadableStream({
      cancel() {
        isCancelled = true;
      },
    }),
    10,
  );
  body.cancel();
  expect(await body.line()).toBe(null);
  expect(isCancelled).toBe(true);
});
