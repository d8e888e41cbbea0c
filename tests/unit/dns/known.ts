/** Endpoints and the zone that tests of names ask about. */
import type { Known } from '../../../control-plane/dns/answer.ts';
import { EndpointBook } from '../../../control-plane/dns/book.ts';
import type { EndpointView } from '../../../shared/protocol/endpoints.ts';

type Change = Partial<EndpointView>;

export function anEndpoint(change: Change = {}): EndpointView {
  const {
    job = 'web',
    group = 'main',
    index = 0,
    portName = 'http',
    node = `edge-${index}`,
    role = 'default',
  } = change;
  const task = `${job}-${group}-${index}-${role.replaceAll('/', '')}`;
  return {
    id: `${task}/${portName}`,
    ...{ role, job, jobUid: job, version: 1, group, index, task, portName },
    ...{ node, host: node, address: `10.0.0.${index + 1}`, port: 20_000 + index, containerPort: null, protocol: 'tcp' },
    ...{ state: 'ready', since: '2026-01-01T00:00:00.000Z', publish: null, labels: {} },
    ...change,
  };
}

export function bookOf(endpoints: readonly EndpointView[], revision = 7): EndpointBook {
  const book = new EndpointBook();
  book.apply({ type: 'list', list: { revision, items: [...endpoints] } });
  return book;
}

export function knownOf(endpoints: readonly EndpointView[], zone: Partial<Known['zone']> = {}): Known {
  const options = { domain: 'berth', ttlSeconds: 5, ownAddresses: [], ...zone };
  return { book: bookOf(endpoints), zone: options, chance: () => 0 };
}
