/** 8. A client's view never goes back in time: a stream of events goes on, on any replica, just where it stopped on another. */
import { eventsOf } from '../../../control-plane/services/event-views.ts';
import type { EventBatch } from '../../../control-plane/services/events.ts';
import type { Truth } from '../truth.ts';
import { type Violation, violation } from './violation.ts';

/** `after`: how far the reader was before this batch. It gets everything from there on, once and in order. */
export function checkEvents(
  reader: string,
  after: number,
  { revision, events }: EventBatch,
  truth: Pick<Truth, 'changesAt'>,
): Violation[] {
  if (revision < after) {
    return [violation(8, `${reader} had read events up to revision ${after}, and got those of ${revision}`)];
  }
  const expected: string[] = [];
  for (let at = after + 1; at <= revision; at++) {
    expected.push(
      ...truth
        .changesAt(at)
        .flatMap(eventsOf)
        .map((event) => JSON.stringify(event)),
    );
  }
  const actual = events.map((event) => JSON.stringify(event));
  const first = actual.findIndex((event, place) => event !== expected[place]);
  if (first < 0 && actual.length === expected.length) return [];
  const place = first < 0 ? actual.length : first;
  const told = `got ${actual[place] ?? 'nothing'} instead of ${expected[place] ?? 'nothing'}`;
  return [violation(8, `${reader} asked for events after revision ${after} and ${told}`)];
}
