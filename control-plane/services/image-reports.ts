/**
 * Images that a node is asked to have before a task there is stopped for one that needs them: what its agent is told of them, and what
 * becomes of what it tells.
 */
import type { NodeId } from '../../shared/domain/ids.ts';
import { IMAGE_REPORTS_MAX, type ImageReport } from '../../shared/protocol/agent.ts';
import type { Compare, Write } from '../store/contract.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import type { Snapshot } from '../store/snapshot.ts';

/** Sorted; the first so many, since each goes once it has been told of. */
export function wantedImages(snapshot: Snapshot, node: NodeId): string[] {
  const wanted = [...snapshot.imageFetchesOn(node)].flatMap(({ image, state }) => (state === 'wanted' ? [image] : []));
  return [...new Set(wanted)].sort().slice(0, IMAGE_REPORTS_MAX);
}

/** Only what is still asked for is put down. No writes: nothing of it is. */
export function imagesDraft(
  snapshot: Snapshot,
  { node, reports, nowMs }: { readonly node: NodeId; readonly reports: readonly ImageReport[]; readonly nowMs: number },
): { readonly result: null; readonly compares: readonly Compare[]; readonly writes: readonly Write[] } {
  const wanted = new Map([...snapshot.imageFetchesOn(node)].map((fetch) => [fetch.image, fetch] as const));
  // Of several words about an image the first counts: it is what was asked for.
  const told = new Map(reports.toReversed().map((report) => [report.image, report] as const));
  const after = [...told.values()].flatMap(({ image, state, message }) => {
    const fetch = wanted.get(image);
    return fetch?.state === 'wanted' ? [{ ...fetch, state, message, atMs: nowMs }] : [];
  });
  const compared = [keys.epoch(node), ...after.map(({ image }) => keys.imageFetch(node, image))];
  return {
    result: null,
    compares: compared.map((key) => ({ key, modRevision: snapshot.modRevision(key) })),
    writes: after.map((fetch) => putRecord('fetches', keys.imageFetch(node, fetch.image), fetch)),
  };
}
