/** One or more replicas' APIs over a memory store, called without a network. */
import type { Hono } from 'hono';
import { CryptoRandom } from '../../control-plane/adapters/random/crypto-random.ts';
import { type AnonymousGrant, createDoors } from '../../control-plane/app.ts';
import type { Envelope } from '../../control-plane/auth/envelope.ts';
import { LIFETIMES_MAX } from '../../control-plane/auth/lifetimes.ts';
import type { OutsideIssuer } from '../../control-plane/auth/outside-issuer.ts';
import { OutsideTokens } from '../../control-plane/auth/outside-tokens.ts';
import type { Grant } from '../../control-plane/auth/principal.ts';
import type { RatePolicy } from '../../control-plane/auth/rate-limits.ts';
import { MirroredRevocations } from '../../control-plane/auth/revocations.ts';
import { ownIssuer, TokenMint, type TokenTerms } from '../../control-plane/auth/tokens.ts';
import { createVerifier } from '../../control-plane/auth/verify.ts';
import { announceReplica } from '../../control-plane/services/cluster.ts';
import type { ClientAddress } from '../../control-plane/services/origin.ts';
import { ensureSigningKey } from '../../control-plane/services/signing-keys.ts';
import type { Store } from '../../control-plane/store/contract.ts';
import { present } from '../../shared/util/assert.ts';
import type { Clock } from '../../shared/util/clock.ts';
import { heldRequest } from './held-request.ts';
import { startReplica, type TestReplica } from './replica.ts';

export interface TestApi {
  readonly api: Hono;
  readonly replica: TestReplica;
  readonly mint: TokenMint;
  /** A token that may do everything. */
  readonly admin: string;
  /** A token for a user, with these rights and no others. */
  token(asked?: AskedToken): Promise<string>;
  /** Sends a request with the admin's token unless the headers say otherwise. */
  send(method: string, path: string, options?: SendOptions): Promise<Response>;
  stop(): void;
}

export interface SendOptions {
  /** Sent as JSON. */
  readonly json?: unknown;
  readonly body?: BodyInit;
  readonly token?: string | null;
  readonly headers?: Record<string, string>;
  readonly signal?: AbortSignal;
}

export interface TestApiOptions {
  readonly store?: Store;
  readonly clock?: Clock;
  readonly id?: string;
  readonly quotaBytes?: number;
  /** As others know the issuer of tasks' tokens; absent: they don't. */
  readonly issuerUrl?: string;
  /** What is kept in confidence is sealed with it. Absent: nothing is kept so. */
  readonly envelope?: Envelope;
  readonly outside?: readonly OutsideIssuer[];
  /** Replicas that reach each other, by their ids, once they have started. */
  readonly peers?: Map<string, TestApi>;
  /** What clients of Mesos's API may do without a token; absent: nothing. */
  readonly mesosAnonymous?: AnonymousGrant;
  /** How much one caller may ask; absent: as much as it likes. */
  readonly rates?: RatePolicy;
  /** Absent: nobody knows where from. */
  readonly clientAddress?: ClientAddress;
}

export async function startApi(options: TestApiOptions = {}): Promise<TestApi> {
  const id = options.id ?? 'replica-1';
  const started = await startReplica({ ...options, id });
  const config = { ...started.ctx.config, issuerUrl: options.issuerUrl };
  const ctx = { ...started.ctx, config, replica: { id, url: `http://${id}.test` } };
  const replica = { ...started, ctx };
  const ending = new AbortController();
  const { clock } = ctx;
  const ring = await ensureSigningKey(ctx);
  const issuer = ownIssuer(present(ctx.mirror.snapshot.cluster, 'the cluster').id);
  const revocations = new MirroredRevocations(ctx.mirror);
  const mint = new TokenMint({ issuer, ring, clock, random: new CryptoRandom(), revocations });
  const { outside = [] } = options;
  const verifier = createVerifier({ clock, ring, revocations, issuer, outside, fetch: globalThis.fetch });
  const { mesosAnonymous = null, rates = null, clientAddress = () => null } = options;
  const { signal } = ending;
  const fetch = peerFetch(options.peers);
  const outsideTokens = new OutsideTokens({ clock, fetch: globalThis.fetch });
  const outsideIssuers = options.outside ?? [];
  const parts = { ctx, verifier, mint, ring, outsideTokens, outsideIssuers, fetch, signal, clientAddress };
  const api = createDoors({ ...parts, mesosAnonymous, rates });
  const announced = options.peers === undefined ? null : announceReplica(ctx, ending.signal);
  const token = async (asked: AskedToken = {}) => (await mint.mint(termsOf(asked))).token;
  const admin = await token();
  const made: TestApi = {
    api,
    replica,
    mint,
    admin,
    token,
    send: async (method, path, sent = {}) =>
      api.request(heldRequest(`http://localhost${path}`, { method, ...initOf(sent, admin) })),
    stop() {
      ending.abort();
      announced?.catch(() => undefined);
      started.stop();
    },
  };
  options.peers?.set(id, made);
  return made;
}

/** What differs from the token of an admin. */
export type AskedToken = Partial<Omit<TokenTerms, 'grants'> & Grant>;

function termsOf({ roles = ['*'], actions = ['*'], ...asked }: AskedToken): TokenTerms {
  const ttlSeconds = Math.min(3600, LIFETIMES_MAX[asked.kind ?? 'user']);
  return { kind: 'user', subject: 'admin', node: null, ttlSeconds, ...asked, grants: [{ roles, actions }] };
}

/** Calls between replicas go to the replica that the host names, and nowhere else. */
function peerFetch(peers: Map<string, TestApi> | undefined): typeof fetch {
  return async (input, init) => {
    const url = new URL(String(input));
    const peer = peers?.get(url.hostname.replace(/\.test$/, ''));
    if (peer === undefined) throw new TypeError(`nothing answers at ${url.host}`);
    return peer.api.request(heldRequest(url, init));
  };
}

function initOf({ json, body, token, headers, signal }: SendOptions, admin: string): RequestInit {
  const sent = json === undefined ? body : JSON.stringify(json);
  return {
    headers: {
      ...(token === null ? {} : { authorization: `Bearer ${token ?? admin}` }),
      ...(json === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(sent === undefined ? {} : { body: sent, duplex: 'half' as const }),
    ...(signal === undefined ? {} : { signal }),
  } as RequestInit;
}
