import { describe, expect, it } from 'vitest';
import { masterInfoOf, nodeIp } from '../../../control-plane/facade-mesos/translate/addresses.ts';
import { type EventFacts, wireEvent } from '../../../control-plane/facade-mesos/translate/events.ts';
import { unavailabilityOf } from '../../../control-plane/facade-mesos/translate/maintenance.ts';
import { wireOffer } from '../../../control-plane/facade-mesos/translate/offers.ts';
import type { FrameworkEvent, OfferView } from '../../../shared/protocol/framework.ts';

const OFFER: OfferView = {
  id: '1-7-0',
  framework: 'f000000000001',
  role: 'eng',
  node: 'edge-1',
  host: 'edge-1.test',
  attributes: { rack: 'r1', arch: 'x64' },
  resources: { cpus: 2, memMiB: 64, diskMiB: 0, gpus: 0, custom: {}, ports: [] },
  reserved: [],
  maintenance: null,
  madeAt: '2026-01-01T00:00:00.000Z',
  expiresAt: '2026-01-01T00:01:00.000Z',
};

function framework(...capabilities: string[]) {
  return {
    id: 'old-0001',
    principal: null,
    subject: 'anna',
    capabilities: new Set(capabilities),
    wireRole: (role: string) => role.toUpperCase(),
  };
}

const FACTS: EventFacts = {
  framework: framework(),
  master: masterInfoOf({ id: 'replica-1', url: 'http://10.0.0.1:4747' }),
  heartbeatSeconds: 5,
  resourcesOf: () => [],
  factsOf: () => ({ task: null, isNodeGone: false, unreachableSinceMs: null, attributes: {} }),
  attributesOf: () => ({ ip: '10.0.0.7' }),
};

describe('an offer', () => {
  const resources = [{ name: 'cpus' }];

  it('says nothing of allocation to a framework of one role', () => {
    expect(wireOffer(OFFER, framework(), resources)).toEqual({
      id: { value: '1-7-0' },
      framework_id: { value: 'old-0001' },
      agent_id: { value: 'edge-1' },
      hostname: 'edge-1.test',
      url: {
        scheme: 'http',
        address: { hostname: 'edge-1.test', ip: 'edge-1.test', port: 5051 },
        path: '/slave(1)',
      },
      resources,
      attributes: [
        { name: 'arch', type: 'TEXT', text: { value: 'x64' } },
        { name: 'rack', type: 'TEXT', text: { value: 'r1' } },
      ],
    });
  });

  it('says its role, as it is spelled, to one of several', () => {
    expect(wireOffer(OFFER, framework('MULTI_ROLE'), resources).allocation_info).toEqual({ role: 'ENG' });
  });

  it('says where its node is, by which address, and when it goes', () => {
    const offer: OfferView = {
      ...OFFER,
      attributes: { region: 'eu', zone: 'a', ip: '10.0.0.7' },
      maintenance: { startsAt: '2026-01-02T00:00:00.000Z', durationSeconds: 60 },
    };
    expect(wireOffer(offer, framework(), resources)).toMatchObject({
      url: { address: { ip: '10.0.0.7' } },
      domain: { fault_domain: { region: { name: 'eu' }, zone: { name: 'a' } } },
      unavailability: { start: { nanoseconds: 1_767_312_000_000_000_000 }, duration: { nanoseconds: 60_000_000_000 } },
    });
  });

  it('names its node where nobody knows a name of its host', () => {
    expect(wireOffer({ ...OFFER, host: null, attributes: {} }, framework(), resources)).toMatchObject({
      hostname: 'edge-1',
      url: { address: { ip: 'edge-1' } },
    });
  });
});

describe('an event', () => {
  it.each<[FrameworkEvent, object]>([
    [
      { type: 'subscribed', framework: 'f000000000001', session: 1, heartbeatSeconds: 5 },
      {
        type: 'SUBSCRIBED',
        subscribed: { framework_id: { value: 'old-0001' }, heartbeat_interval_seconds: 5, master_info: FACTS.master },
      },
    ],
    [
      { type: 'offer-gone', offer: '1-7-0', because: 'expired' },
      { type: 'RESCIND', rescind: { offer_id: { value: '1-7-0' } } },
    ],
    [
      { type: 'message', message: { id: 'm', task: 'wall', node: 'edge-1', at: OFFER.madeAt, data: 'fähre' } },
      {
        type: 'MESSAGE',
        message: { agent_id: { value: 'edge-1' }, executor_id: { value: 'wall' }, data: 'ZsOkaHJl' },
      },
    ],
    [
      { type: 'node-lost', node: 'edge-1', host: null },
      { type: 'FAILURE', failure: { agent_id: { value: 'edge-1' } } },
    ],
    [
      { type: 'superseded', session: 2, message: 'elsewhere' },
      { type: 'ERROR', error: { message: 'Framework failed over' } },
    ],
    [
      { type: 'ended', message: 'torn down' },
      { type: 'ERROR', error: { message: 'Framework has been removed' } },
    ],
    [
      { type: 'maintenance-over', notice: 'n1' },
      { type: 'RESCIND_INVERSE_OFFER', rescind_inverse_offer: { inverse_offer_id: { value: 'n1' } } },
    ],
  ])('%j', (event, wire) => expect(wireEvent(event, FACTS)).toEqual(wire));

  it('of maintenance is an inverse offer', () => {
    const notice = { id: 'n1', node: 'edge-1', host: 'h', startsAt: '1970-01-01T00:00:00.001Z', durationSeconds: null };
    expect(wireEvent({ type: 'maintenance', notice }, FACTS)).toMatchObject({
      type: 'INVERSE_OFFERS',
      inverse_offers: {
        inverse_offers: [
          {
            id: { value: 'n1' },
            framework_id: { value: 'old-0001' },
            agent_id: { value: 'edge-1' },
            url: { address: { hostname: 'h', ip: '10.0.0.7' } },
            unavailability: { start: { nanoseconds: 1_000_000 } },
          },
        ],
      },
    });
    expect(unavailabilityOf(notice)).not.toHaveProperty('duration');
  });

  it('of offers is a list in a message', () => {
    expect(wireEvent({ type: 'offers', offers: [OFFER] }, FACTS)).toMatchObject({
      type: 'OFFERS',
      offers: { offers: [{ id: { value: '1-7-0' } }] },
    });
  });
});

describe('an address', () => {
  it('of a replica is the one by which it is reached', () => {
    expect(masterInfoOf({ id: 'r', url: 'http://127.0.0.1:5050' })).toEqual({
      id: 'r',
      ip: 16_777_343,
      port: 5050,
      pid: 'master@127.0.0.1:5050',
      hostname: '127.0.0.1',
      version: '1.11.0',
      address: { hostname: '127.0.0.1', ip: '127.0.0.1', port: 5050 },
    });
    expect(masterInfoOf({ id: 'r', url: 'https://berth.test' })).toMatchObject({ ip: 0, port: 443 });
    expect(masterInfoOf({ id: 'r', url: 'http://255.255.255.255:1' }).ip).toBe(4_294_967_295);
  });

  it.each([
    [{ host: 'h', attributes: { ip: '10.0.0.7' } }, '10.0.0.7'],
    [{ host: '10.0.0.8', attributes: {} }, '10.0.0.8'],
    [{ host: '10.0.0.8', attributes: { ip: 'not one' } }, '10.0.0.8'],
    [{ host: '10.0.0.256' }, null],
    [{ host: '1.2.3' }, null],
    [{ host: null }, null],
    [{ host: 'edge-1', address: '192.0.2.9' }, '192.0.2.9'],
    [{ host: '192.0.2.1', address: '192.0.2.9', attributes: { ip: '192.0.2.5' } }, '192.0.2.5'],
    [{ host: '192.0.2.1', address: 'edge-1.example' }, '192.0.2.1'],
  ])('of a node: %j is %s', (about, ip) => expect(nodeIp(about)).toBe(ip));
});
