import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { CryptoRandom } from '../../../control-plane/adapters/random/crypto-random.ts';
import { Envelope, newEnvelopeKey } from '../../../control-plane/auth/envelope.ts';
import { base64Decode, base64Encode, utf8Decode, utf8Encode } from '../../../shared/util/codec.ts';

const random = new CryptoRandom();
const OLD = newEnvelopeKey('old', random);
const NEW = newEnvelopeKey('new', random);
const ABOUT = ['secret', 'cluster-1', 'eng', 'db-password', '1'];

const envelopeOf = (...lines: readonly string[]) => Envelope.read(lines.join('\n'), random);

describe('an envelope', () => {
  it('gives back what went into it, whatever that is, and shows nothing of it meanwhile', async () => {
    const envelope = await envelopeOf(NEW);
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 300 }), async (bytes) => {
        const sealed = await envelope.seal(new Uint8Array(bytes), ABOUT);
        expect([...(await envelope.open(sealed, ABOUT))]).toEqual([...bytes]);
      }),
      { numRuns: 50 },
    );
    const word = 'correct horse battery staple';
    const text = JSON.stringify(await envelope.seal(utf8Encode(word), ABOUT));
    expect(text).not.toContain(word);
    expect(text).not.toContain(base64Encode(utf8Encode(word)).slice(0, 20));
  });

  it('never seals the same to the same', async () => {
    const envelope = await envelopeOf(NEW);
    const sealings = await Promise.all([1, 2, 3, 4].map(() => envelope.seal(utf8Encode('same'), ABOUT)));
    expect(new Set(sealings.map(({ box }) => box)).size).toBe(4);
    expect(new Set(sealings.map(({ wrappedKey }) => wrappedKey)).size).toBe(4);
  });

  it('seals under the first key and opens under any', async () => {
    const before = await envelopeOf(OLD);
    const both = await envelopeOf('# the new one first', NEW, '', OLD);
    const after = await envelopeOf(NEW);
    const sealed = await before.seal(utf8Encode('x'), ABOUT);
    expect(sealed.envelopeKey).toMatch(/^old\.[0-9a-f]{8}$/);
    expect(utf8Decode(await both.open(sealed, ABOUT))).toBe('x');
    expect((await both.seal(utf8Encode('x'), ABOUT)).envelopeKey).toBe(after.current);
    expect([both.opens(sealed), after.opens(sealed)]).toEqual([true, false]);
    await expect(after.open(sealed, ABOUT)).rejects.toMatchObject({
      trouble: 'unknown-key',
      message: expect.stringContaining(`sealed under the envelope key ${before.current}`),
    });
  });

  it('tells a key from another one of the same name', async () => {
    const sealed = await (await envelopeOf(OLD)).seal(utf8Encode('x'), ABOUT);
    const other = await envelopeOf(newEnvelopeKey('old', random));
    await expect(other.open(sealed, ABOUT)).rejects.toMatchObject({ trouble: 'unknown-key' });
  });

  test.each([
    ['cluster', ['secret', 'cluster-2', 'eng', 'db-password', '1']],
    ['role', ['secret', 'cluster-1', 'ops', 'db-password', '1']],
    ['name', ['secret', 'cluster-1', 'eng', 'api-token', '1']],
    ['version', ['secret', 'cluster-1', 'eng', 'db-password', '2']],
    ['use', ['signing-key', 'cluster-1', 'eng', 'db-password', '1']],
    ['division of the names', ['secret', 'cluster-1', 'eng', 'db-password1']],
  ])('is not opened as that of another %s', async (_what, about) => {
    const envelope = await envelopeOf(NEW);
    const sealed = await envelope.seal(utf8Encode('x'), ABOUT);
    await expect(envelope.open(sealed, about)).rejects.toMatchObject({ trouble: 'damaged' });
  });

  it('is not opened when any of its bytes was changed, or its layers were exchanged', async () => {
    const envelope = await envelopeOf(NEW, OLD);
    const sealed = await envelope.seal(utf8Encode('value'), ABOUT);
    const other = await envelope.seal(utf8Encode('other'), ABOUT);
    for (const part of ['box', 'wrappedKey'] as const) {
      const bytes = base64Decode(sealed[part]) ?? new Uint8Array();
      for (let at = 0; at < bytes.length; at++) {
        const broken = Uint8Array.from(bytes, (byte, index) => (index === at ? byte ^ 1 : byte));
        const damaged = { ...sealed, [part]: base64Encode(broken) };
        await expect(envelope.open(damaged, ABOUT)).rejects.toMatchObject({ trouble: 'damaged' });
      }
    }
    const tricks = [
      { ...sealed, box: other.box },
      { ...sealed, box: sealed.wrappedKey },
      { ...sealed, wrappedKey: sealed.box },
      { ...sealed, envelopeKey: envelope.keyIds[1] ?? '' },
      { ...sealed, box: '' },
      { ...sealed, box: 'no base64' },
    ];
    for (const trick of tricks) {
      await expect(envelope.open(trick, ABOUT)).rejects.toMatchObject({ trouble: 'damaged' });
    }
  });
});

describe('a file of envelope keys', () => {
  const key = NEW.split(' ')[1] ?? '';

  test.each([
    ['nothing', '', 'there is no key'],
    ['only a comment', '# k1', 'there is no key'],
    ['a name alone', 'k1', 'line 1 is no key'],
    ['a key alone', key, 'line 1 is no key'],
    ['a short key', `k1 ${base64Encode(new Uint8Array(16))}`, 'line 1 is no key'],
    ['a key that is no base64', `k1 ${key.slice(0, -2)}!=`, 'line 1 is no key'],
    ['more on the line', `k1 ${key} x`, 'line 1 is no key'],
    ['a strange name', `k.1 ${key}`, 'line 1 is no key'],
    ['a name twice', `k1 ${key}\nk1 ${OLD.split(' ')[1]}`, 'two keys have the name "k1"'],
    ['too many', Array.from({ length: 17 }, (_, at) => newEnvelopeKey(`k${at}`, random)).join('\n'), '17 keys'],
  ])('with %s is refused without showing any of it', async (_what, text, why) => {
    const refusal = await Envelope.read(text, random).catch((error: Error) => error);
    expect(refusal).toMatchObject({ name: 'EnvelopeKeysError', message: expect.stringContaining(why) });
    if (text.length > 40) expect((refusal as Error).message).not.toContain(key.slice(0, 8));
  });
});
