/** What is answered to a question, by what is known of endpoints. Pure, but for the dice that the caller brings. */
import type { EndpointView } from '../../shared/protocol/endpoints.ts';
import type { EndpointBook } from './book.ts';
import { type Meaning, meaningOf, NODES } from './names.ts';

export interface ZoneOptions {
  /** In lower case, without a dot at its end. */
  readonly domain: string;
  readonly ttlSeconds: number;
  /** Addresses at which this server is reached itself; empty where it listens everywhere. */
  readonly ownAddresses: readonly string[];
}

export interface Question {
  readonly name: string;
  /** `A`, `SRV` and so on. */
  readonly type: string;
}

export type ResourceRecord = { readonly name: string } & (
  | { readonly type: 'A' | 'AAAA'; readonly address: string }
  | { readonly type: 'CNAME' | 'NS'; readonly target: string }
  | { readonly type: 'SRV'; readonly target: string; readonly port: number }
  | { readonly type: 'SOA' }
);

export type Rcode = 'NOERROR' | 'FORMERR' | 'SERVFAIL' | 'NXDOMAIN' | 'NOTIMP' | 'REFUSED';

export interface DnsAnswer {
  readonly rcode: Rcode;
  readonly isAuthoritative: boolean;
  readonly answers: readonly ResourceRecord[];
  readonly authorities: readonly ResourceRecord[];
  readonly additionals: readonly ResourceRecord[];
}

export const NO_ANSWER: DnsAnswer = {
  rcode: 'REFUSED',
  isAuthoritative: false,
  answers: [],
  authorities: [],
  additionals: [],
};

export interface Known {
  readonly book: EndpointBook;
  readonly zone: ZoneOptions;
  /** From 0 up to 1: which of several comes first. */
  readonly chance: () => number;
}

export function answerTo({ name, type }: Question, { book, zone, chance }: Known): DnsAnswer {
  const labels = labelsWithin(name, zone.domain);
  if (labels === null || TRANSFERS.has(type)) return NO_ANSWER;
  // Nothing is known yet: that there is no such name isn't known either.
  if (book.revision === 0 && labels.length > 0) return { ...NO_ANSWER, rcode: 'SERVFAIL' };
  const meaning = meaningOf(labels, book);
  const found = labels.length === 0 ? ofApex(name, zone) : recordsOf(meaning, { name, zone, chance });
  const answers = found.filter((record) => record.type === type || type === 'ANY' || record.type === 'CNAME');
  const isKnown = meaning.type !== 'nothing';
  return {
    rcode: isKnown ? 'NOERROR' : 'NXDOMAIN',
    isAuthoritative: true,
    answers,
    authorities: answers.length > 0 ? [] : [{ name: zone.domain, type: 'SOA' }],
    additionals: answers.some((record) => record.type === 'SRV') ? targetsOf(meaning, zone) : [],
  };
}

const TRANSFERS: ReadonlySet<string> = new Set(['AXFR', 'IXFR']);

/** The labels before those of the domain, in lower case; null: the name lies elsewhere. */
function labelsWithin(name: string, domain: string): string[] | null {
  const asked = name.toLowerCase().replace(/\.$/, '');
  if (asked === domain) return [];
  return asked.endsWith(`.${domain}`) ? asked.slice(0, -domain.length - 1).split('.') : null;
}

function ofApex(name: string, { domain, ownAddresses }: ZoneOptions): ResourceRecord[] {
  return [
    { name, type: 'SOA' },
    { name, type: 'NS', target: domain },
    ...ownAddresses.map((address) => addressRecord(name, address)).filter(({ type }) => type !== 'CNAME'),
  ];
}

function recordsOf(
  meaning: Meaning,
  { name, zone, chance }: { name: string; zone: ZoneOptions; chance: () => number },
): ResourceRecord[] {
  if (meaning.type === 'node') return [addressRecord(name, meaning.address)];
  if (meaning.type !== 'endpoints') return [];
  const found = answering(meaning.endpoints);
  if (meaning.asksForPort) {
    return shuffled(found, chance).map((one) => ({ name, type: 'SRV', port: one.port, target: targetOf(one, zone) }));
  }
  const addresses = [...new Set(found.map(({ address }) => address))];
  const records = shuffled(addresses, chance).map((address) => addressRecord(name, address));
  const numbers = records.filter(({ type }) => type !== 'CNAME');
  // A name that stands for another one can stand for nothing else: without any address, one of the hosts is named.
  return numbers.length > 0 ? numbers : records.slice(0, 1);
}

/**
 * Those that are ready. Where none is, those that were when their nodes fell silent: nobody knows anything better, and a cut between a
 * site and the control plane must not take away the names of what runs on at the site.
 */
function answering(endpoints: readonly EndpointView[]): readonly EndpointView[] {
  const ready = endpoints.filter(({ state }) => state === 'ready');
  return ready.length > 0 ? ready : endpoints.filter(({ state }) => state === 'unreachable');
}

/** A host that is told by name is named; what has an address is called as its node. */
function targetOf({ node, address }: EndpointView, { domain }: ZoneOptions): string {
  return typeOfAddress(address) === 'CNAME' ? hostName(address) : `${node}.${NODES}.${domain}`;
}

/** So that whoever follows a name to its port needn't ask again. */
function targetsOf(meaning: Meaning, zone: ZoneOptions): ResourceRecord[] {
  if (meaning.type !== 'endpoints') return [];
  const targets = new Map(answering(meaning.endpoints).map((one) => [targetOf(one, zone), one.address]));
  return [...targets].map(([name, address]) => addressRecord(name, address)).filter(({ type }) => type !== 'CNAME');
}

function addressRecord(name: string, address: string): ResourceRecord {
  const type = typeOfAddress(address);
  return type === 'CNAME' ? { name, type, target: hostName(address) } : { name, type, address };
}

function hostName(address: string): string {
  return address.toLowerCase().replace(/\.$/, '');
}

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/;

function typeOfAddress(address: string): 'A' | 'AAAA' | 'CNAME' {
  if (IPV4.test(address)) return 'A';
  return address.includes(':') ? 'AAAA' : 'CNAME';
}

function shuffled<T>(items: readonly T[], chance: () => number): T[] {
  return items
    .map((item) => ({ item, at: chance() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
