import { describe, expect, it } from 'vitest';
import { TokenCache } from '../../../control-plane/auth/token-cache.ts';

describe('the cache of verified tokens', () => {
  it('knows what it was told until it expires', () => {
    const cache = new TokenCache<{ expiresAtMs: number }>();
    const entry = { expiresAtMs: 1000 };
    cache.set('a', entry);
    expect(cache.get('a', 999)).toBe(entry);
    expect(cache.get('b', 999)).toBeNull();
    expect(cache.get('a', 1000)).toBeNull();
    expect(cache.get('a', 0)).toBeNull();
  });

  it('forgets the one that was used longest ago when it is full', () => {
    const cache = new TokenCache<{ expiresAtMs: number }>(2);
    cache.set('a', { expiresAtMs: 1 });
    cache.set('b', { expiresAtMs: 1 });
    cache.get('a', 0);
    cache.set('c', { expiresAtMs: 1 });
    expect(['a', 'b', 'c'].map((token) => cache.get(token, 0) !== null)).toEqual([true, false, true]);
  });
});
