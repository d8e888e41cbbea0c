/** 7. A replica's mirror equals a range read at the same revision. */
import type { MemoryStore } from '../../../control-plane/adapters/memory/memory-store.ts';
import { HistoryGoneError } from '../../../control-plane/store/contract.ts';
import { parseKey } from '../../../control-plane/store/keys.ts';
import type { Mirror } from '../../../control-plane/store/mirror.ts';
import { Snapshot } from '../../../control-plane/store/snapshot.ts';
import { keyOf, type Truth } from '../truth.ts';
import { type Violation, violation } from './violation.ts';

/** Kinds that no mirror keeps. */
const UNKEPT: readonly string[] = ['ops', 'idempotency', 'secrets', 'audit'];

/** Follows one mirror from check to check. */
class MirrorCheck {
  readonly #mirror: Mirror;
  readonly #name: string;
  #checkedRevision: number;

  constructor(name: string, mirror: Mirror) {
    this.#name = name;
    this.#mirror = mirror;
    this.#checkedRevision = mirror.revision;
  }

  /** Whether this is the mirror that it follows. */
  follows(mirror: Mirror): boolean {
    return this.#mirror === mirror;
  }

  /** The keys that have changed since the last check stand as they stood at the mirror's revision. */
  checkStep(truth: Truth): Violation[] {
    const { revision, snapshot } = this.#mirror;
    if (revision < this.#checkedRevision) {
      return [violation(8, `the mirror of ${this.#name} went from ${this.#checkedRevision} back to ${revision}`)];
    }
    const expected = new Map<string, number>();
    for (let at = this.#checkedRevision + 1; at <= revision; at++) {
      for (const event of truth.eventsAt(at)) {
        const kind = parseKey(keyOf(event))?.[0];
        if (kind === undefined || UNKEPT.includes(kind)) continue;
        expected.set(keyOf(event), event.type === 'put' ? event.keyValue.modRevision : 0);
      }
    }
    this.#checkedRevision = revision;
    return [...expected].flatMap(([key, modRevision]) => {
      const actual = snapshot.modRevision(key);
      if (actual === modRevision) return [];
      return [
        violation(7, `at revision ${revision} ${this.#name} sees ${key} as of ${actual}; it stands at ${modRevision}`),
      ];
    });
  }

  /** Everything is as it is read from the store. */
  async checkWhole(shared: MemoryStore): Promise<Violation[]> {
    const { revision, snapshot } = this.#mirror;
    const read = await loadUnlessGone(shared, revision);
    const differing = read === null ? [] : snapshot.differences(read);
    return differing.map((key) =>
      violation(7, `at revision ${revision} ${this.#name} has another ${key} than the store`),
    );
  }
}

/** A replica, as far as its mirror. */
interface Mirrored {
  readonly name: string;
  readonly context: { readonly mirror: Mirror } | null;
}

/** Of the replicas that serve, each since its mirror was filled. */
export class MirrorChecks {
  readonly #checks = new Map<string, MirrorCheck>();

  checkStep(replicas: readonly Mirrored[], truth: Truth): Violation[] {
    return this.#current(replicas).flatMap((check) => check.checkStep(truth));
  }

  async checkWhole(replicas: readonly Mirrored[], shared: MemoryStore): Promise<Violation[]> {
    const found: Violation[] = [];
    for (const check of this.#current(replicas)) found.push(...(await check.checkWhole(shared)));
    return found;
  }

  #current(replicas: readonly Mirrored[]): MirrorCheck[] {
    return replicas.flatMap(({ name, context }) => {
      if (context === null) return [];
      const known = this.#checks.get(name);
      if (known?.follows(context.mirror)) return [known];
      const fresh = new MirrorCheck(name, context.mirror);
      this.#checks.set(name, fresh);
      return [fresh];
    });
  }
}

/** Null: the revision has been compacted. */
async function loadUnlessGone(shared: MemoryStore, revision: number): Promise<Snapshot | null> {
  try {
    return await Snapshot.load(shared, revision);
  } catch (error) {
    if (error instanceof HistoryGoneError) return null;
    throw error;
  }
}
