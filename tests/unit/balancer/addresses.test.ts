import { expect, it } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { NameLookups } from '../../../control-plane/balancer/addresses.ts';
import { endpointOf } from '../../support/endpoints.ts';

const clock = new SystemClock();
const named = [endpointOf({ address: 'node-1' }), endpointOf({ task: 't', address: '10.0.0.1' })];

it('finds names once, and again when it is asked to; one that is gone keeps its address', async () => {
  const asked: string[] = [];
  let answer: string | null = '10.0.0.5';
  const lookUp = async (name: string) => {
    asked.push(name);
    if (answer === null) throw new Error('there is no such name');
    return answer;
  };
  const names = new NameLookups({ clock, onNews: () => undefined, lookUp });
  expect([...(await names.find(named))]).toEqual([['node-1', '10.0.0.5']]);
  await names.find(named);
  expect(asked).toEqual(['node-1']);
  answer = null;
  names.forget();
  expect([...(await names.find(named))]).toEqual([['node-1', '10.0.0.5']]);
  expect(asked).toEqual(['node-1', 'node-1']);
});

it('does not wait for a slow resolver, and tells when it has answered', async () => {
  const slow = Promise.withResolvers<string>();
  const news = Promise.withResolvers<void>();
  const names = new NameLookups({ clock, onNews: news.resolve, lookUp: () => slow.promise });
  expect((await names.find(named)).size).toBe(0);
  slow.resolve('10.0.0.6');
  await news.promise;
  expect([...(await names.find(named))]).toEqual([['node-1', '10.0.0.6']]);
});
