import { describe, expect, it } from 'vitest';
import { answerTo, type ResourceRecord } from '../../../control-plane/dns/answer.ts';
import { EndpointBook } from '../../../control-plane/dns/book.ts';
import type { EndpointView } from '../../../shared/protocol/endpoints.ts';
import { anEndpoint, bookOf, knownOf } from './known.ts';

const ALL = [
  anEndpoint(),
  anEndpoint({ index: 1 }),
  anEndpoint({ portName: 'stats', protocol: 'udp', port: 21_000 }),
  anEndpoint({ group: 'side', index: 2, address: 'fd00::3' }),
  anEndpoint({ index: 3, state: 'unhealthy' }),
  anEndpoint({ role: 'eng/ml', job: 'train', index: 4 }),
  anEndpoint({ job: 'down', index: 5, state: 'starting' }),
];

function textOf(record: ResourceRecord): string {
  switch (record.type) {
    case 'A':
    case 'AAAA':
      return `${record.type} ${record.address}`;
    case 'CNAME':
    case 'NS':
      return `${record.type} ${record.target}`;
    case 'SRV':
      return `SRV ${record.target}:${record.port}`;
    case 'SOA':
      return 'SOA';
  }
}

function ask(name: string, type: string, endpoints: readonly EndpointView[] = ALL): string[] {
  const { rcode, answers } = answerTo({ name, type }, knownOf(endpoints));
  return [rcode, ...answers.map(textOf).sort()];
}

describe('a name', () => {
  it.each<[string, string, string[]]>([
    ['web.berth', 'A', ['NOERROR', 'A 10.0.0.1', 'A 10.0.0.2']],
    ['web.berth.', 'A', ['NOERROR', 'A 10.0.0.1', 'A 10.0.0.2']],
    ['wEb.BeRtH', 'A', ['NOERROR', 'A 10.0.0.1', 'A 10.0.0.2']],
    ['web.default.berth', 'A', ['NOERROR', 'A 10.0.0.1', 'A 10.0.0.2']],
    ['web.berth', 'AAAA', ['NOERROR', 'AAAA fd00::3']],
    ['web.berth', 'ANY', ['NOERROR', 'A 10.0.0.1', 'A 10.0.0.2', 'AAAA fd00::3']],
    ['side.web.berth', 'AAAA', ['NOERROR', 'AAAA fd00::3']],
    ['side.web.berth', 'A', ['NOERROR']],
    ['1.main.web.berth', 'A', ['NOERROR', 'A 10.0.0.2']],
    ['3.main.web.berth', 'A', ['NOERROR']],
    ['9.main.web.berth', 'A', ['NXDOMAIN']],
    ['01.main.web.berth', 'A', ['NXDOMAIN']],
    ['train.ml.eng.berth', 'A', ['NOERROR', 'A 10.0.0.5']],
    ['main.train.ml.eng.berth', 'A', ['NOERROR', 'A 10.0.0.5']],
    ['4.main.train.ml.eng.berth', 'A', ['NOERROR', 'A 10.0.0.5']],
    ['train.eng.berth', 'A', ['NXDOMAIN']],
    ['ml.eng.berth', 'A', ['NOERROR']],
    ['eng.berth', 'A', ['NOERROR']],
    ['ml.berth', 'A', ['NXDOMAIN']],
    ['edge-1.node.berth', 'A', ['NOERROR', 'A 10.0.0.2']],
    ['edge-9.node.berth', 'A', ['NXDOMAIN']],
    ['node.berth', 'A', ['NOERROR']],
    [
      '_http._tcp.web.berth',
      'SRV',
      ['NOERROR', 'SRV edge-0.node.berth:20000', 'SRV edge-1.node.berth:20001', 'SRV edge-2.node.berth:20002'],
    ],
    [
      '_HTTP._TCP.web.berth',
      'SRV',
      ['NOERROR', 'SRV edge-0.node.berth:20000', 'SRV edge-1.node.berth:20001', 'SRV edge-2.node.berth:20002'],
    ],
    ['_stats._udp.web.berth', 'SRV', ['NOERROR', 'SRV edge-0.node.berth:21000']],
    ['_stats._tcp.web.berth', 'SRV', ['NXDOMAIN']],
    ['_http._tcp.1.main.web.berth', 'SRV', ['NOERROR', 'SRV edge-1.node.berth:20001']],
    ['_http._tcp.web.berth', 'A', ['NOERROR']],
    ['_tcp.web.berth', 'SRV', ['NOERROR']],
    ['_tcp.nothing.berth', 'SRV', ['NXDOMAIN']],
    ['down.berth', 'A', ['NOERROR']],
    ['_http._tcp.down.berth', 'SRV', ['NOERROR']],
    ['nothing.berth', 'A', ['NXDOMAIN']],
    ['web.berth', 'TXT', ['NOERROR']],
    ['berth', 'SOA', ['NOERROR', 'SOA']],
    ['berth', 'NS', ['NOERROR', 'NS berth']],
    ['berth', 'A', ['NOERROR']],
    ['example.com', 'A', ['REFUSED']],
    ['xberth', 'A', ['REFUSED']],
    ['', 'NS', ['REFUSED']],
    ['berth', 'AXFR', ['REFUSED']],
  ])('%s is answered for %s', (name, type, expected) => expect(ask(name, type)).toEqual(expected));

  it('that may be read in two ways is a job before it is a group', () => {
    const both = [anEndpoint({ group: 'train' }), anEndpoint({ role: 'web', job: 'train', index: 6 })];
    expect(ask('train.web.berth', 'A', both)).toEqual(['NOERROR', 'A 10.0.0.7']);
    expect(ask('train.web.default.berth', 'A', both)).toEqual(['NOERROR', 'A 10.0.0.1']);
  });

  it('of a node comes before one of a job in a role of that name', () => {
    const both = [anEndpoint(), anEndpoint({ role: 'node', job: 'edge-0', index: 6 })];
    expect(ask('edge-0.node.berth', 'A', both)).toEqual(['NOERROR', 'A 10.0.0.1']);
  });

  it('that has nothing carries the end of the zone, by which readers remember that', () => {
    const { authorities, isAuthoritative } = answerTo({ name: 'nothing.berth', type: 'A' }, knownOf(ALL));
    expect(authorities).toEqual([{ name: 'berth', type: 'SOA' }]);
    expect(isAuthoritative).toBe(true);
    expect(answerTo({ name: 'web.berth', type: 'A' }, knownOf(ALL)).authorities).toEqual([]);
    expect(answerTo({ name: 'example.com', type: 'A' }, knownOf(ALL))).toMatchObject({
      isAuthoritative: false,
      authorities: [],
    });
  });

  it('is not denied before anything is known', () => {
    const known = { ...knownOf([]), book: new EndpointBook() };
    expect(answerTo({ name: 'web.berth', type: 'A' }, known)).toMatchObject({ rcode: 'SERVFAIL', authorities: [] });
    expect(answerTo({ name: 'berth', type: 'SOA' }, known).rcode).toBe('NOERROR');
    expect(answerTo({ name: 'example.com', type: 'A' }, known).rcode).toBe('REFUSED');
  });

  it('of a port comes with the addresses of its hosts', () => {
    const { additionals } = answerTo({ name: '_http._tcp.web.berth', type: 'SRV' }, knownOf(ALL));
    expect(additionals).toEqual([
      { name: 'edge-0.node.berth', type: 'A', address: '10.0.0.1' },
      { name: 'edge-1.node.berth', type: 'A', address: '10.0.0.2' },
      { name: 'edge-2.node.berth', type: 'AAAA', address: 'fd00::3' },
    ]);
  });

  it('of the zone itself is where the server listens', () => {
    const known = knownOf(ALL, { ownAddresses: ['10.1.1.1'] });
    expect(answerTo({ name: 'berth', type: 'A' }, known).answers).toEqual([
      { name: 'berth', type: 'A', address: '10.1.1.1' },
    ]);
  });
});

describe('which endpoints answer', () => {
  it.each(['starting', 'unhealthy', 'unready', 'held', 'draining'] as const)('none that is %s', (state) => {
    expect(ask('web.berth', 'A', [anEndpoint({ state })])).toEqual(['NOERROR']);
    expect(ask('web.berth', 'A', [anEndpoint({ state }), anEndpoint({ index: 1 })])).toEqual(['NOERROR', 'A 10.0.0.2']);
  });

  it('those on silent nodes where there is no better one, and not beside a better one', () => {
    const silent = anEndpoint({ state: 'unreachable' });
    expect(ask('web.berth', 'A', [silent])).toEqual(['NOERROR', 'A 10.0.0.1']);
    expect(ask('_http._tcp.web.berth', 'SRV', [silent])).toEqual(['NOERROR', 'SRV edge-0.node.berth:20000']);
    expect(ask('web.berth', 'A', [silent, anEndpoint({ index: 1 })])).toEqual(['NOERROR', 'A 10.0.0.2']);
  });

  it('each address once, in an order that the dice decide', () => {
    const known = knownOf([anEndpoint(), anEndpoint({ index: 1 }), anEndpoint({ index: 1, portName: 'b' })]);
    const orders = [
      [0.1, 0.9],
      [0.9, 0.1],
    ].map((dice) => {
      const rest = [...dice];
      const chance = () => rest.shift() ?? 0;
      return answerTo({ name: 'web.berth', type: 'A' }, { ...known, chance }).answers.map(textOf);
    });
    expect(orders).toEqual([
      ['A 10.0.0.1', 'A 10.0.0.2'],
      ['A 10.0.0.2', 'A 10.0.0.1'],
    ]);
  });
});

describe('a node that tells a host name', () => {
  const named = anEndpoint({ address: 'Rack-1.example.com.' });

  it('is that name, whatever is asked for', () => {
    for (const type of ['A', 'AAAA', 'CNAME']) {
      expect(ask('edge-0.node.berth', type, [named])).toEqual(['NOERROR', 'CNAME rack-1.example.com']);
    }
    expect(ask('_http._tcp.web.berth', 'SRV', [named])).toEqual(['NOERROR', 'SRV rack-1.example.com:20000']);
  });

  it('is left out beside addresses, and one of several is named where there are none', () => {
    expect(ask('web.berth', 'A', [named, anEndpoint({ index: 1 })])).toEqual(['NOERROR', 'A 10.0.0.2']);
    const other = anEndpoint({ index: 1, address: 'rack-2.example.com' });
    expect(ask('web.berth', 'A', [named, other])).toHaveLength(2);
  });
});

describe('the book', () => {
  it('follows changes, and forgets jobs, roles and nodes with their last endpoint', () => {
    const book = bookOf([anEndpoint(), anEndpoint({ role: 'eng/ml', job: 'train', index: 4 })]);
    const [one] = book.ofJob('eng/ml', 'train');
    book.apply({
      type: 'change',
      change: { revision: 8, put: [anEndpoint({ address: '10.9.9.9' })], gone: [one?.id ?? ''] },
    });
    expect(book.revision).toBe(8);
    expect([book.hasRole('eng/ml'), book.hasRole('eng'), book.hasRole('default')]).toEqual([false, false, true]);
    expect([book.addressOf('edge-4'), book.addressOf('edge-0')]).toEqual([null, '10.9.9.9']);
    expect(book.ofJob('default', 'web')).toHaveLength(1);
  });

  it('forgets all that a new list does not have', () => {
    const book = bookOf([anEndpoint()]);
    book.apply({ type: 'list', list: { revision: 9, items: [anEndpoint({ job: 'shop' })] } });
    expect([book.ofJob('default', 'web').length, book.ofJob('default', 'shop').length]).toEqual([0, 1]);
  });
});
