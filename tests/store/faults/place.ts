/** Where faults happen: an etcd of its own, seen directly by the judge and through bad wires by what is judged. */
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { EtcdStore } from '../../../control-plane/adapters/etcd/etcd-store.ts';
import { type Store, StoreUnavailableError } from '../../../control-plane/store/contract.ts';
import { Mirror, type MirrorOptions } from '../../../control-plane/store/mirror.ts';
import { commitOnce, OpLeases } from '../../../control-plane/store/transact.ts';
import { present } from '../../../shared/util/assert.ts';
import { SILENT_LOGGER } from '../../../shared/util/log.ts';
import { startMembers, type TestEtcd } from '../../support/etcd.ts';
import { TcpProxy } from '../tcp-proxy.ts';

/** What an adapter has to be told besides where etcd is. */
export interface Timing {
  readonly requestTimeoutMs: number;
  readonly progressIntervalMs: number;
}

/** The code that is judged. A test that plants a bug replaces one of its parts. */
export interface Subject {
  connect(hosts: readonly string[], timing: Timing): Store;
  readonly commit: typeof commitOnce;
  startMirror(options: MirrorOptions): Promise<Mirror>;
}

export function subjectOf(connect: Subject['connect']): Subject {
  return { connect, commit: commitOnce, startMirror: (options) => Mirror.start(options) };
}

/** Short, so that what waits for them can be tried often; long enough for a busy machine. */
export const TIMING: Timing = { requestTimeoutMs: 500, progressIntervalMs: 200 };

/** A store that is judged, and the wires that it hangs on: one to each member. */
export interface Far {
  readonly store: Store;
  readonly proxies: readonly TcpProxy[];
  /** The only wire, or the one to the first member. */
  readonly proxy: TcpProxy;
  readonly leases: OpLeases;
}

const clock = new SystemClock();

export class Place {
  readonly members: readonly TestEtcd[];
  /** Sees what is, with no wire between. */
  readonly direct: Store;
  readonly subject: Subject;
  readonly #closers: (() => Promise<void>)[] = [];

  private constructor(members: readonly TestEtcd[], subject: Subject) {
    this.members = members;
    this.subject = subject;
    const hosts = members.map((member) => member.url);
    this.direct = new EtcdStore({ hosts, progressIntervalMs: TIMING.progressIntervalMs });
  }

  /** Does `work` at a new place, and clears it away whatever came of it. */
  static async use<T>(subject: Subject, work: (place: Place) => Promise<T>, members = 1): Promise<T> {
    const place = new Place(await startMembers(members), subject);
    try {
      return await work(place);
    } finally {
      for (const close of place.#closers.reverse()) await close();
      await place.direct.close();
      await Promise.all(place.members.map((member) => member.stop()));
    }
  }

  get etcd(): TestEtcd {
    return present(this.members[0], 'a member');
  }

  /** A new store behind new wires, to all members or to some. */
  async far(members: readonly TestEtcd[] = this.members): Promise<Far> {
    const proxies = await Promise.all(members.map((member) => TcpProxy.start(member.port)));
    const hosts = proxies.map((proxy) => proxy.url);
    const store = this.subject.connect(hosts, TIMING);
    this.#closers.push(async () => {
      await store.close();
      await Promise.all(proxies.map((proxy) => proxy.close()));
    });
    return { store, proxies, proxy: present(proxies[0], 'a wire'), leases: new OpLeases({ store, clock }) };
  }

  /** Follows through `store` until the place is cleared away. */
  async mirror(store: Store): Promise<Mirror> {
    const end = new AbortController();
    const mirror = await this.subject.startMirror({ store, clock, signal: end.signal, log: SILENT_LOGGER });
    this.#closers.push(async () => {
      end.abort();
      await mirror.stopped;
    });
    return mirror;
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

const DEADLINE_MS = 20_000;
const POLL_MS = 10;

/** Waits until `condition` holds; a failure of the test if it never does. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  if (!(await holds(condition, DEADLINE_MS))) throw new Error(`${what} did not come about within ${DEADLINE_MS} ms`);
}

/** Waits until `condition` holds; false if that takes longer than `withinMs`. */
export async function holds(condition: () => boolean | Promise<boolean>, withinMs: number): Promise<boolean> {
  const deadlineMs = performance.now() + withinMs;
  while (!(await condition())) {
    if (performance.now() > deadlineMs) return false;
    await pause(POLL_MS);
  }
  return true;
}

/** What `call` gives, once the store answers. Any other failure is passed on. */
export async function insist<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      await pause(POLL_MS);
    }
  }
}
