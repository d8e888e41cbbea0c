import { type Answer, decode, encode, type Packet, RECURSION_DESIRED } from 'dns-packet';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { respond } from '../../../control-plane/dns/message.ts';
import { anEndpoint, knownOf } from './known.ts';

const MANY = Array.from({ length: 200 }, (_, index) => anEndpoint({ index, address: `10.0.${index >> 8}.${index}` }));
const KNOWN = knownOf(MANY);

function query(name: string, change: Partial<Packet> = {}, type: 'A' | 'SRV' = 'A'): Buffer {
  return encode({ type: 'query', id: 0xbeef, flags: RECURSION_DESIRED, questions: [{ name, type }], ...change });
}

function opt(udpPayloadSize: number, ednsVersion = 0): Answer {
  return {
    type: 'OPT',
    name: '.',
    flags: 0,
    flag_do: false,
    options: [],
    extendedRcode: 0,
    udpPayloadSize,
    ednsVersion,
  };
}

function answer(bytes: Buffer, transport: 'udp' | 'tcp' = 'udp', known = KNOWN) {
  const reply = respond(bytes, known, transport);
  if (reply === null) throw new Error('nothing was answered');
  const packet = decode(Buffer.from(reply)) as ReturnType<typeof decode> & { readonly rcode: string };
  return { packet, length: reply.length };
}

describe('a message', () => {
  it('is answered with its id, its question as it was spelled, and what is known', () => {
    const { packet } = answer(query('WeB.bErTh'), 'udp', knownOf([anEndpoint()]));
    expect(packet).toMatchObject({ id: 0xbeef, type: 'response', rcode: 'NOERROR' });
    expect(packet).toMatchObject({ flag_aa: true, flag_rd: true, flag_ra: false, flag_tc: false });
    expect(packet.questions).toEqual([{ name: 'WeB.bErTh', type: 'A', class: 'IN' }]);
    expect(packet.answers).toMatchObject([{ name: 'WeB.bErTh', type: 'A', ttl: 5, data: '10.0.0.1' }]);
    expect(packet.additionals).toEqual([]);
  });

  it('for what there is not says so, and for how long', () => {
    const { packet } = answer(query('nothing.berth'));
    expect(packet.rcode).toBe('NXDOMAIN');
    expect(packet.authorities).toMatchObject([
      { name: 'berth', type: 'SOA', ttl: 5, data: { mname: 'berth', serial: 7, minimum: 5 } },
    ]);
  });

  it.each([
    ['another zone', query('example.com'), 'REFUSED'],
    ['another class', query('web.berth', { questions: [{ name: 'web.berth', type: 'A', class: 'CH' }] }), 'REFUSED'],
    [
      'two questions',
      query('web.berth', {
        questions: [
          { name: 'a', type: 'A' },
          { name: 'b', type: 'A' },
        ],
      }),
      'FORMERR',
    ],
    ['a name of odd bytes', query('\u00e9'.repeat(31)), 'REFUSED'],
    ['no question', query('web.berth', { questions: [] }), 'FORMERR'],
    ['a name that goes on past the end', query('web.berth').subarray(0, 18), 'FORMERR'],
  ])('about %s gets an answer of its own', (_what, bytes, rcode) => {
    expect(answer(bytes).packet).toMatchObject({ id: 0xbeef, rcode, flag_aa: false, answers: [] });
  });

  it('that is no query is not understood', () => {
    const bytes = query('web.berth');
    bytes[2] = 0x28;
    expect(answer(bytes).packet).toMatchObject({ id: 0xbeef, rcode: 'NOTIMP', opcode: 'UPDATE' });
  });

  it('that is an answer, or too short to be one, gets none', () => {
    expect(respond(encode({ type: 'response', id: 1 }), KNOWN, 'udp')).toBeNull();
    expect(respond(new Uint8Array(11), KNOWN, 'udp')).toBeNull();
  });
});

describe('the length of an answer', () => {
  it('is what a reader without extensions takes, and says that there is more', () => {
    const { packet, length } = answer(query('web.berth'));
    expect(length).toBeLessThanOrEqual(512);
    expect(packet).toMatchObject({ flag_tc: true, rcode: 'NOERROR' });
    expect(packet.answers?.length).toBeGreaterThan(5);
  });

  it.each([
    [100, 512],
    [512, 512],
    [800, 800],
    [4096, 1232],
  ])('is for a reader that takes %i at most %i', (given, most) => {
    const { packet, length } = answer(query('web.berth', { additionals: [opt(given)] }));
    expect(length).toBeLessThanOrEqual(most);
    expect(length).toBeGreaterThan(most / 3);
    expect(packet.flag_tc).toBe(true);
    expect(packet.additionals).toMatchObject([{ type: 'OPT', udpPayloadSize: 1232, ednsVersion: 0 }]);
  });

  it('is all of it over a connection', () => {
    const { packet } = answer(query('web.berth'), 'tcp');
    expect(packet.flag_tc).toBe(false);
    expect(packet.answers).toHaveLength(200);
  });

  it('gives up what nobody asked for before it says that there is more', () => {
    const known = knownOf(MANY.slice(0, 8));
    const { packet } = answer(query('_http._tcp.web.berth', {}, 'SRV'), 'udp', known);
    expect(packet.flag_tc).toBe(false);
    expect(packet.answers).toHaveLength(8);
    expect(packet.additionals).toEqual([]);
    const large = answer(query('_http._tcp.web.berth', { additionals: [opt(1232)] }, 'SRV'), 'udp', known).packet;
    expect(large.additionals).toHaveLength(9);
  });

  it('stays within what a message may have where there is no end of them', () => {
    const crowd = knownOf(
      Array.from({ length: 5000 }, (_, index) => anEndpoint({ index, address: `10.0.${index >> 8}.${index & 255}` })),
    );
    const { packet, length } = answer(query('web.berth'), 'tcp', crowd);
    expect(length).toBeLessThanOrEqual(65_535);
    expect(packet.flag_tc).toBe(true);
  });

  it('of a version that is not known says which one is', () => {
    const { packet } = answer(query('web.berth', { additionals: [opt(1232, 1)] }));
    expect(packet.answers).toEqual([]);
    expect(packet.additionals).toMatchObject([{ type: 'OPT', extendedRcode: 1, ednsVersion: 0 }]);
  });
});

describe('a label', () => {
  it.each([
    ['with a dot in it', 0x2e],
    ['with a byte that is no letter', 0xff],
  ])('%s is not taken for two, or for another one', (_what, byte) => {
    const bytes = query('a-b.berth', { additionals: [opt(1232)] });
    bytes[14] = byte;
    expect(answer(bytes).packet).toMatchObject({ rcode: 'REFUSED', questions: [], answers: [] });
  });
});

describe('whatever comes', () => {
  const sound = query('_http._tcp.web.berth', { additionals: [opt(1232)] }, 'SRV');
  /** An answer is within its bounds and can be read; nothing throws. */
  function check(bytes: Uint8Array): void {
    for (const transport of ['udp', 'tcp'] as const) {
      const reply = respond(bytes, KNOWN, transport);
      if (reply === null) continue;
      expect(reply.length).toBeLessThanOrEqual(transport === 'udp' ? 1232 : 65_535);
      expect(Buffer.from(reply.subarray(0, 2))).toEqual(Buffer.from(bytes.subarray(0, 2)));
      expect(decode(Buffer.from(reply)).flag_qr).toBe(true);
    }
  }

  it('random bytes are survived', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), check), { numRuns: 1000 });
  });

  it('sound messages with some bytes changed are survived', () => {
    const changes = fc.array(fc.tuple(fc.nat(sound.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(changes, fc.nat(sound.length), (edits, cut) => {
        const bytes = Uint8Array.from(sound);
        for (const [at, value] of edits) bytes[at] = value;
        check(bytes);
        check(bytes.subarray(0, cut));
      }),
      { numRuns: 1000 },
    );
  });
});
