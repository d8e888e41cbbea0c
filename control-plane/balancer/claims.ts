/**
 * Who gets which port, and which path of which virtual host, where more than one service asks for it. Whoever has it keeps it for as
 * long as it asks; else the first by name gets it. So a newcomer never takes over another's requests, and two balancers that
 * start together decide the same.
 */
import { byText } from '../../shared/util/order.ts';
import type { Service } from './services.ts';
import type { BalancerSettings } from './settings.ts';

/** For how long after its last endpoint a service still keeps what it has from others that ask for it. */
export const KEEPS_MS = 15_000;

/** Something about a service, or about the balancer itself, that an operator should know. */
export interface Trouble {
  /** The key of a service; null: it concerns all of them. */
  readonly service: string | null;
  readonly message: string;
}

/** What is claimed, such as `port 5432` or `host a.example.com/api`, with the key of the service that has it. */
export type Holders = ReadonlyMap<string, string>;

export interface Claims {
  readonly holders: Holders;
  readonly troubles: readonly Trouble[];
}

export function portClaim(port: number): string {
  return `port ${port}`;
}

export function hostClaim(host: string, path: string): string {
  return `host ${host}${path}`;
}

export function claimsOf({ publish }: Service): readonly string[] {
  const ports = publish.port === undefined ? [] : [portClaim(publish.port)];
  return [...ports, ...(publish.hosts ?? []).map((host) => hostClaim(host, publish.path ?? '/'))];
}

export function settleClaims(
  services: readonly Service[],
  {
    before,
    settings,
    refused,
    nowMs,
  }: {
    before: Holders;
    settings: BalancerSettings;
    refused: ReadonlyMap<number, string>;
    nowMs: number;
  },
): Claims {
  const asking = new Map<string, Service[]>();
  for (const service of services) {
    for (const claim of new Set(claimsOf(service))) asking.set(claim, [...(asking.get(claim) ?? []), service]);
  }
  const closed = closedPorts(settings, refused);
  const holders = new Map<string, string>();
  const troubles: Trouble[] = [];
  for (const [claim, contenders] of [...asking].sort(([a], [b]) => byText(a, b))) {
    const why = closed.get(claim);
    if (why !== undefined) {
      troubles.push(...contenders.map(({ key }) => ({ service: key, message: `gets no ${claim}: ${why}` })));
      continue;
    }
    const winner = winnerOf(contenders, { holder: before.get(claim), nowMs });
    if (winner === undefined) continue;
    holders.set(claim, winner.key);
    const losers = contenders.filter((each) => each !== winner);
    troubles.push(...losers.map(({ key }) => ({ service: key, message: `gets no ${claim}: ${winner.key} has it` })));
  }
  return { holders, troubles };
}

/** One that has had no endpoint for a while keeps nothing from one that has: its job may be gone for good. */
function winnerOf(
  contenders: readonly Service[],
  { holder, nowMs }: { holder: string | undefined; nowMs: number },
): Service | undefined {
  const live = contenders.filter(
    ({ key, endpoints, seenMs }) => endpoints.length > 0 || (key === holder && nowMs - seenMs <= KEEPS_MS),
  );
  const candidates = (live.length > 0 ? live : contenders).toSorted((a, b) => byText(a.key, b.key));
  return candidates.find(({ key }) => key === holder) ?? candidates[0];
}

function closedPorts(
  { http, https, ownPorts }: BalancerSettings,
  refused: ReadonlyMap<number, string>,
): ReadonlyMap<string, string> {
  const closed = new Map([...refused].map(([port, why]) => [portClaim(port), why]));
  for (const address of [http, https]) {
    if (address !== null) closed.set(portClaim(address.port), 'virtual hosts are served there');
  }
  for (const port of ownPorts) closed.set(portClaim(port), 'the balancer tells its own state there');
  return closed;
}
