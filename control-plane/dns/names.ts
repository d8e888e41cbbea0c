/**
 * What a name below the domain asks for. The job comes before its role, which is written inside out as names are: `web.ml.eng` is job
 * `web` of role `eng/ml`. Where a name can be read in several ways, the first that there is counts: as a node, as a job, as a group of a
 * job, as one task of a group.
 */
import type { EndpointView } from '../../shared/protocol/endpoints.ts';
import type { EndpointBook } from './book.ts';

export type Meaning =
  /** These endpoints, in whatever state they are. */
  | { readonly type: 'endpoints'; readonly endpoints: readonly EndpointView[]; readonly asksForPort: boolean }
  | { readonly type: 'node'; readonly name: string; readonly address: string }
  /** There is no such thing, and there are things below it. */
  | { readonly type: 'between' }
  | { readonly type: 'nothing' };

const DEFAULT_ROLE = 'default';
/** The name below which nodes are. */
export const NODES = 'node';

/** `labels` are in lower case, without those of the domain; the first is the most particular. */
export function meaningOf(labels: readonly string[], book: EndpointBook): Meaning {
  if (labels.length === 0) return { type: 'between' };
  const [first = '', second = ''] = labels;
  if (labels.at(-1) === NODES) {
    if (labels.length === 1) return { type: 'between' };
    const address = labels.length === 2 ? book.addressOf(first) : null;
    if (address !== null) return { type: 'node', name: first, address };
  }
  if (second === '_tcp' || second === '_udp') return portOf(labels, book);
  // `_tcp.web` has nothing of its own, and `_http._tcp.web` is below it.
  if (first === '_tcp' || first === '_udp') {
    return endpointsAt(labels.slice(1), book).length > 0 ? { type: 'between' } : { type: 'nothing' };
  }
  const endpoints = endpointsAt(labels, book);
  if (endpoints.length > 0) return { type: 'endpoints', endpoints, asksForPort: false };
  return book.hasRole(labels.toReversed().join('/')) ? { type: 'between' } : { type: 'nothing' };
}

function portOf([port = '', protocol = '', ...rest]: readonly string[], book: EndpointBook): Meaning {
  const endpoints = endpointsAt(rest, book).filter(
    (one) => `_${one.portName}` === port && `_${one.protocol}` === protocol,
  );
  return endpoints.length > 0 ? { type: 'endpoints', endpoints, asksForPort: true } : { type: 'nothing' };
}

function endpointsAt(labels: readonly string[], book: EndpointBook): readonly EndpointView[] {
  const [first = '', second = '', third = ''] = labels;
  const asJob = book.ofJob(roleOf(labels.slice(1)), first);
  if (asJob.length > 0) return asJob;
  if (labels.length < 2) return [];
  const asGroup = book.ofJob(roleOf(labels.slice(2)), second).filter(({ group }) => group === first);
  if (asGroup.length > 0 || labels.length < 3) return asGroup;
  return book
    .ofJob(roleOf(labels.slice(3)), third)
    .filter(({ group, index }) => group === second && String(index) === first);
}

function roleOf(labels: readonly string[]): string {
  return labels.length === 0 ? DEFAULT_ROLE : labels.toReversed().join('/');
}
