/** Which of the media types that we could answer with the client wants most. */
import { Refusal } from '../../../shared/domain/errors.ts';

interface Range {
  readonly type: string;
  readonly quality: number;
}

/** Ranges of a header that are looked at. */
const RANGES_MAX = 32;

/** One of `offered`, the first being our own preference. Throws `not-acceptable` when the client wants none of them. */
export function negotiated<T extends string>(accept: string | null, offered: readonly [T, ...T[]]): T {
  if (accept === null || accept.trim() === '') return offered[0];
  const ranges = accept.split(',').slice(0, RANGES_MAX).map(parseRange);
  const [best] = offered
    .map((type, index) => ({ type, index, quality: qualityOf(type, ranges) }))
    .filter((candidate) => candidate.quality > 0)
    .sort((a, b) => b.quality - a.quality || a.index - b.index);
  if (best !== undefined) return best.type;
  throw new Refusal(
    'not-acceptable',
    `this can be had as ${offered.join(' or ')}; name one of them in the header Accept`,
  );
}

function parseRange(text: string): Range {
  const [type = '', ...parameters] = text
    .toLowerCase()
    .split(';')
    .map((part) => part.trim());
  const quality = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
  const value = quality === undefined ? 1 : Number(quality);
  return { type, quality: Number.isFinite(value) ? value : 0 };
}

/** The most specific range decides: `text/plain` before `text/*` before `*`. */
function qualityOf(type: string, ranges: readonly Range[]): number {
  const family = `${type.split('/', 1)[0]}/*`;
  for (const pattern of [type, family, '*/*']) {
    const range = ranges.find((candidate) => candidate.type === pattern);
    if (range !== undefined) return range.quality;
  }
  return 0;
}
