/**
 * How far a reader has come in a container's output, so that a further read goes on exactly there. The engine numbers nothing;
 * it stamps each line with the time at which it took it, and keeps the order within stdout and within stderr. So a place is,
 * for each of the two, the time of the last line taken and how many lines of that very time were taken. A line that is dated
 * before it is one that the engine gives again; where the node's clock is set back, lines are left out until it has caught up.
 */
import type { LogLine } from '../../../shared/protocol/agent.ts';

interface Place {
  at: string;
  /** Lines of that time that were taken. */
  taken: number;
  /** Lines of that time that the present read has given. */
  given: number;
}

export class ResumePoint {
  readonly #places = new Map<LogLine['stream'], Place>();
  #latest: string | null = null;

  /** The time of the latest line taken, with all nine decimals. */
  get latest(): string | null {
    return this.#latest;
  }

  /** The next lines come from a new read. */
  begin(): void {
    for (const place of this.#places.values()) place.given = 0;
  }

  /** Whether a read that begins with this line has everything that wasn't taken yet. */
  isBefore({ at, stream }: LogLine): boolean {
    const place = this.#places.get(stream);
    return place !== undefined && at < place.at;
  }

  /** Whether the read has reached new lines of this stream and begins anew with old ones. */
  isRepeated({ at, stream }: LogLine): boolean {
    const place = this.#places.get(stream);
    return place !== undefined && place.given > 0 && at < place.at;
  }

  /** Whether the line is new; then it counts as taken. */
  take({ at, stream }: LogLine): boolean {
    const place = this.#places.get(stream);
    if (place === undefined || at > place.at) {
      this.#places.set(stream, { at, taken: 1, given: 1 });
      if (this.#latest === null || at > this.#latest) this.#latest = at;
      return true;
    }
    if (at < place.at) {
      place.given = 0;
      return false;
    }
    place.given += 1;
    if (place.given <= place.taken) return false;
    place.taken = place.given;
    return true;
  }
}
