/**
 * A wire that is blocked in one direction, or slow. No call may wait for ever, none may fail in a way that its caller doesn't
 * expect, and all work again as soon as the wire does. A delay within a call's time costs nothing but time.
 */
import { type LeaseId, type Store, StoreUnavailableError } from '../../../control-plane/store/contract.ts';
import { Collector, put, write } from '../conformance/harness.ts';
import type { TcpProxy } from '../tcp-proxy.ts';
import { type Far, insist, type Place, TIMING, until } from './place.ts';

const TIMED = '/timed/';
/** Beyond a call's own time, for a machine that is busy. */
const LATE_MS = 2500;
/** Each way. Opening a connection takes several of them, out of the time of the call that needs it. */
const BEARABLE_DELAY_MS = TIMING.requestTimeoutMs / 20;

const BLOCKADES: Readonly<Record<string, (proxy: TcpProxy) => void>> = {
  'requests are held': (proxy) => proxy.hold('requests'),
  'answers are held': (proxy) => proxy.hold('answers'),
  'answers are lost': (proxy) => proxy.swallow(),
  'everything is held, on new connections as well': (proxy) => {
    proxy.hold('requests');
    proxy.hold('answers');
    proxy.cut();
  },
  'everything is late': (proxy) => proxy.delay(2 * TIMING.requestTimeoutMs),
};

const CALLS: Readonly<Record<string, (store: Store, lease: LeaseId) => Promise<unknown>>> = {
  get: (store) => store.get(TIMED),
  range: (store) => store.range({ prefix: TIMED }),
  transact: (store) => write(store, put(`${TIMED}b`, '')),
  grantLease: (store) => store.grantLease(60),
  keepLeaseAlive: (store, lease) => store.keepLeaseAlive(lease),
  leaseSilenceSeconds: (store, lease) => store.leaseSilenceSeconds(lease),
  revokeLease: (store, lease) => store.revokeLease(lease),
  status: (store) => store.status(),
  compact: (store) => store.compact(1),
};

/** Blocks a wire in every way, one after the other. Resolves with what was wrong. */
export async function callsOverBlockedWires(place: Place): Promise<string[]> {
  const found = await Promise.all(
    Object.entries(BLOCKADES).map(async ([name, block]) => {
      const problems = await blockAndHeal(place, await place.far(), block);
      return problems.map((problem) => `${name}: ${problem}`);
    }),
  );
  return found.flat();
}

async function blockAndHeal(place: Place, { store, proxy }: Far, block: (proxy: TcpProxy) => void): Promise<string[]> {
  const lease = await store.grantLease(60);
  const first = await write(store, put(`${TIMED}${proxy.url}`, '1'));
  const watch = new Collector(store, `${TIMED}${proxy.url}`, first);
  await until('the first event', () => watch.events.length === 1);
  block(proxy);
  const problems = await Promise.all(
    Object.entries(CALLS).map(async ([name, call]) => {
      const problem = await failInTime(() => call(store, lease));
      return problem === null ? [] : [`${name} ${problem}`];
    }),
  );
  const second = await write(place.direct, put(`${TIMED}${proxy.url}`, '2'));
  proxy.heal();
  await insist(() => write(store, put(`${TIMED}${proxy.url}`, '3')));
  await until('the events after it', () => watch.events.length >= 3);
  const failure = await watch.stop();
  const seen = watch.described.join();
  const isRight = failure === null && watch.events.length === 3 && seen.includes(`=2@${second}`);
  return [...problems.flat(), ...(isRight ? [] : [`the watch saw ${seen} and ended with ${failure}`])];
}

/**
 * As after a firewall has forgotten its connections: each call may fail once for it, and a watch has to notice by itself. A call
 * that finds no connection free opens another one, and is answered at once.
 */
export async function connectionsForgotten(place: Place): Promise<string[]> {
  const { store, proxy } = await place.far();
  const lease = await store.grantLease(60);
  const watch = new Collector(store, `${TIMED}forgotten`, await write(store, put(`${TIMED}forgotten`, '1')));
  for (const call of Object.values(CALLS)) await call(store, lease);
  await until('the first event', () => watch.events.length === 1);
  proxy.forget();
  const calls = Object.entries(CALLS);
  const first = await Promise.all(calls.map(([, call]) => endInTime(() => call(store, lease))));
  const second = await Promise.all(calls.map(([, call]) => endInTime(() => call(store, lease))));
  const found = calls.flatMap(([name], index) => [
    ...(isBearable(first[index]) ? [] : [`${name} ${first[index]}`]),
    ...(second[index] === 'answered' ? [] : [`${name} ${second[index]}, the second time`]),
  ]);
  await insist(() => write(store, put(`${TIMED}forgotten`, '2')));
  await until('the second event', () => watch.events.length === 2);
  const failure = await watch.stop();
  return failure === null ? found : [...found, `the watch ended with ${failure}`];
}

async function failInTime(call: () => Promise<unknown>): Promise<string | null> {
  const end = await endInTime(call);
  return end === 'unavailable' ? null : end;
}

function isBearable(end: string | undefined): boolean {
  return end === 'answered' || end === 'unavailable';
}

/** `answered`, `unavailable`, or what is wrong. */
async function endInTime(call: () => Promise<unknown>): Promise<string> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const tooLong = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve('did not end in time'), TIMING.requestTimeoutMs + LATE_MS);
  });
  const ended = call().then(
    () => 'answered',
    (error) => (error instanceof StoreUnavailableError ? 'unavailable' : `failed with ${error}`),
  );
  const end = await Promise.race([ended, tooLong]);
  clearTimeout(timer);
  return end;
}

/** Everything that a store does, over a wire that is slow but not too slow. */
export async function callsOverASlowWire(place: Place): Promise<string[]> {
  const { store, proxy } = await place.far();
  const lease = await store.grantLease(60);
  proxy.delay(BEARABLE_DELAY_MS);
  const problems: string[] = [];
  const first = await write(store, put(`${TIMED}slow`, ''));
  const watch = new Collector(store, `${TIMED}slow`, first);
  for (const [name, call] of Object.entries(CALLS)) {
    await call(store, lease).catch((error) => problems.push(`${name} failed with ${error}`));
  }
  await until('the event', () => watch.events.length === 1);
  const failure = await watch.stop();
  return failure === null ? problems : [...problems, `the watch ended with ${failure}`];
}
