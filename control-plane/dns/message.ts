/** Messages of DNS: what is asked in one, and the bytes of the answer. No bytes make it throw. */
import {
  type Answer,
  AUTHORITATIVE_ANSWER,
  type DecodedPacket,
  decode,
  encode,
  type OptAnswer,
  type Packet,
  RECURSION_DESIRED,
  TRUNCATED_RESPONSE,
} from 'dns-packet';
import { answerTo, type DnsAnswer, type Known, NO_ANSWER, type Rcode, type ResourceRecord } from './answer.ts';

/** RFC 1035: what every reader takes of a datagram. */
const DATAGRAM_BYTES = 512;
/** What gets through anywhere without being cut in pieces; more isn't sent in a datagram, whatever its reader would take. */
const DATAGRAM_BYTES_MAX = 1232;
const MESSAGE_BYTES_MAX = 65_535;
const HEADER_BYTES = 12;
/** The shortest record there is; so many more than fit aren't even tried. */
const RECORD_BYTES_MIN = 16;

const RCODES: Readonly<Record<Rcode, number>> = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
};
/** Of an extension that this server doesn't know, in two parts. */
const BAD_VERSION = { extendedRcode: 1, rcode: 0 };

/** The bytes to send back; null: nothing is to be sent. */
export function respond(bytes: Uint8Array, known: Known, transport: 'udp' | 'tcp'): Uint8Array | null {
  const buffer = Buffer.from(bytes);
  // What is an answer itself is never answered: two servers would go on for ever.
  if (buffer.length < HEADER_BYTES || ((buffer[2] ?? 0) & 0x80) !== 0) return null;
  const asked = decoded(buffer);
  if (asked === null) return bareReply(buffer, 'FORMERR');
  if (opcodeOf(buffer) !== 0) return bareReply(buffer, 'NOTIMP');
  const [question, ...more] = asked.questions ?? [];
  if (question === undefined || more.length > 0) return bareReply(buffer, 'FORMERR');
  // Neither can be one of ours, nor be repeated as it was asked.
  const isOfOtherClass = question.class !== 'IN' && question.class !== 'ANY';
  if (isOfOtherClass || !isPlainName(buffer)) return bareReply(buffer, 'REFUSED');
  const opt = asked.additionals?.find((one) => one.type === 'OPT');
  const isOfKnownVersion = opt === undefined || opt.ednsVersion === 0;
  const answer = isOfKnownVersion ? answerTo(question, known) : NO_ANSWER;
  const frame = { id: asked.id, questions: [question], wantsRecursion: asked.flag_rd, opt, isOfKnownVersion };
  return fitted(answer, { frame, known, sizeMax: sizeMaxOf(opt, transport) });
}

/**
 * Whether the name that is asked for is letters as one can type them. Others can be read as text and not be written again: what isn't UTF-8
 * becomes something longer, and a dot within a label two labels.
 */
function isPlainName(buffer: Buffer): boolean {
  for (let at = HEADER_BYTES; at < buffer.length; ) {
    const length = buffer[at] ?? 0;
    if (length === 0) return true;
    if (length > LABEL_BYTES_MAX) return false;
    const label = buffer.subarray(at + 1, at + 1 + length);
    if (label.some((byte) => byte <= SPACE || byte >= DELETE || byte === DOT)) return false;
    at += 1 + length;
  }
  return false;
}

const LABEL_BYTES_MAX = 63;
const [SPACE, DOT, DELETE] = [0x20, 0x2e, 0x7f];

interface Frame {
  readonly id: number | undefined;
  readonly questions: Packet['questions'];
  readonly wantsRecursion: boolean;
  readonly opt: OptAnswer | undefined;
  readonly isOfKnownVersion: boolean;
}

function sizeMaxOf(opt: OptAnswer | undefined, transport: 'udp' | 'tcp'): number {
  if (transport === 'tcp') return MESSAGE_BYTES_MAX;
  return Math.min(Math.max(opt?.udpPayloadSize ?? DATAGRAM_BYTES, DATAGRAM_BYTES), DATAGRAM_BYTES_MAX);
}

/** Less than all of it where all of it is too long: first without what nobody asked for, then marked as cut, with what fits. */
function fitted(
  answer: DnsAnswer,
  { frame, known, sizeMax }: { frame: Frame; known: Known; sizeMax: number },
): Uint8Array {
  const all = answer.answers.length;
  const countMax = Math.floor(sizeMax / RECORD_BYTES_MIN);
  if (all <= countMax) {
    const whole = written(answer, frame, known);
    if (whole.length <= sizeMax) return whole;
    const plain = written({ ...answer, additionals: [] }, frame, known);
    if (plain.length <= sizeMax) return plain;
  }
  for (let count = all <= countMax ? all >> 1 : countMax; count > 0; count >>= 1) {
    const part = { ...answer, answers: answer.answers.slice(0, count), authorities: [], additionals: [] };
    const cut = written(part, frame, known, TRUNCATED_RESPONSE);
    if (cut.length <= sizeMax) return cut;
  }
  return written({ ...answer, answers: [], authorities: [], additionals: [] }, frame, known, TRUNCATED_RESPONSE);
}

function written(answer: DnsAnswer, frame: Frame, known: Known, moreFlags = 0): Uint8Array {
  const rcode = frame.isOfKnownVersion ? RCODES[answer.rcode] : BAD_VERSION.rcode;
  const flags =
    rcode |
    moreFlags |
    (answer.isAuthoritative ? AUTHORITATIVE_ANSWER : 0) |
    (frame.wantsRecursion ? RECURSION_DESIRED : 0);
  const wire = (records: readonly ResourceRecord[]) => records.map((record) => wireRecord(record, known));
  const extension = frame.opt === undefined ? [] : [ownOpt(frame.isOfKnownVersion ? 0 : BAD_VERSION.extendedRcode)];
  return encode({
    type: 'response',
    id: frame.id,
    flags,
    questions: frame.questions,
    answers: wire(answer.answers),
    authorities: wire(answer.authorities),
    additionals: [...wire(answer.additionals), ...extension],
  });
}

function ownOpt(extendedRcode: number): OptAnswer {
  const size = { udpPayloadSize: DATAGRAM_BYTES_MAX, extendedRcode, ednsVersion: 0 };
  return { type: 'OPT', name: '.', ...size, flags: 0, flag_do: false, options: [] };
}

/** A secondary server would ask again so seldom, and forget after so long; there are none, and readers look at the last number only. */
const SOA_TIMES = { refresh: 3600, retry: 600, expire: 86_400 };

function wireRecord(record: ResourceRecord, { book, zone }: Known): Answer {
  const { name } = record;
  const common = { name, ttl: zone.ttlSeconds, class: 'IN' } as const;
  switch (record.type) {
    case 'A':
    case 'AAAA':
      return { ...common, type: record.type, data: record.address };
    case 'CNAME':
    case 'NS':
      return { ...common, type: record.type, data: record.target };
    case 'SRV':
      return { ...common, type: 'SRV', data: { priority: 0, weight: 1, port: record.port, target: record.target } };
    case 'SOA': {
      const serial = book.revision % 2 ** 32;
      const names = { mname: zone.domain, rname: `hostmaster.${zone.domain}` };
      return { ...common, type: 'SOA', data: { ...names, serial, ...SOA_TIMES, minimum: zone.ttlSeconds } };
    }
  }
}

function decoded(buffer: Buffer): DecodedPacket | null {
  try {
    return decode(buffer);
  } catch {
    return null;
  }
}

function opcodeOf(buffer: Buffer): number {
  return ((buffer[2] ?? 0) >> 3) & 0xf;
}

/** Only the header, with its id: what was asked couldn't be understood. */
function bareReply(asked: Buffer, rcode: Rcode): Uint8Array {
  const reply = Buffer.alloc(HEADER_BYTES);
  asked.copy(reply, 0, 0, 3);
  // An answer; its opcode and whether recursion was wanted are as they were.
  reply[2] = ((reply[2] ?? 0) & 0x79) | 0x80;
  reply[3] = RCODES[rcode];
  return reply;
}
