/** A whole replica over the memory store, with something of everything in it, and the tokens and names that mean something there. */
import type { Hono } from 'hono';
import { SystemClock } from '../../control-plane/adapters/clock/system-clock.ts';
import { MemoryStore } from '../../control-plane/adapters/memory/memory-store.ts';
import { CryptoRandom } from '../../control-plane/adapters/random/crypto-random.ts';
import { createReplica, type Replica } from '../../control-plane/app.ts';
import { LIFETIMES_MAX } from '../../control-plane/auth/lifetimes.ts';
import type { TokenTerms } from '../../control-plane/auth/tokens.ts';
import type { Logger } from '../../shared/util/log.ts';
import { envelopeKey, envelopeOf, nodeOf } from '../support/replica.ts';

export type TokenKind = 'admin' | 'narrow' | 'node' | 'join' | 'peer';

export interface World {
  readonly api: Hono;
  readonly tokens: Readonly<Record<TokenKind, string>>;
  /** The session of the node's agent. */
  readonly epoch: number;
  /** Names and ids of what is there, by what they name. Makes new tokens: some requests revoke those that there are. */
  names(): Promise<Names>;
  stop(): Promise<void>;
}

export type Names = Readonly<Record<string, readonly string[]>>;

export const NODE = 'edge-1';

/** Names of what the fuzzer makes come from here, so that the state has an end. */
const JOBS = Array.from({ length: 12 }, (_, place) => `fuzz-${place}`);
const ROLES = ['default', 'eng', 'eng/ml', 'ops', 'fuzz'];
const NODES = [NODE, 'edge-2', 'edge-3', 'fuzz-node'];

export async function startWorld(log: Logger): Promise<World> {
  const clock = new SystemClock();
  const ending = new AbortController();
  const store = new MemoryStore({ clock });
  const replica = await createReplica({
    store,
    clock,
    random: new CryptoRandom(),
    log,
    signal: ending.signal,
    replica: { id: 'replica-1', url: 'http://berth.test' },
    config: { leaseTtlMs: 10_000, heartbeatIntervalMs: 2500, version: '0.0.0-test' },
    outsideIssuers: [],
    envelope: await envelopeOf(envelopeKey('k1')),
    clientAddress: () => '10.0.0.1',
    fetch: () => Promise.reject(new TypeError('this replica calls nobody')),
  });
  const running = replica.run();
  const { admin, join, minted } = mintsOf(replica);
  const call = caller(replica.api);
  const { epoch } = (await call('POST', '/v1/agent/register', join, {
    node: nodeOf(NODE),
    seen: null,
    tasks: [],
  })) as { epoch: number };
  let tokens = await minted();
  for (const name of JOBS.slice(0, 3)) {
    await call('POST', '/v1/jobs', admin, { name, groups: [{ image: 'busybox' }] });
  }
  await call('PUT', '/v1/secrets/fuzz-secret', admin, { value: 'something' });
  await call('POST', '/v1/jobs', admin, {
    name: 'fuzz-service',
    kind: 'service',
    groups: [{ image: 'busybox', count: 2 }],
  });
  return {
    api: replica.api,
    get tokens() {
      return tokens;
    },
    epoch,
    async names() {
      tokens = await minted();
      return namesIn(call, admin);
    },
    async stop() {
      ending.abort();
      await running;
      await store.close();
    },
  };
}

/** What tokens there are made with. The node's has the id that it was given when the node joined. */
function mintsOf({ mint: tokenMint, ctx }: Replica) {
  const mint = async (terms: Partial<TokenTerms>) => {
    const ttlSeconds = Math.min(24 * 3600, LIFETIMES_MAX[terms.kind ?? 'user']);
    const whole = { kind: 'user', subject: 'fuzz', grants: [], node: null, ttlSeconds } as const;
    return (await tokenMint.mint({ ...whole, ...terms })).token;
  };
  const admin = () => mint({ subject: 'admin', grants: [{ roles: ['*'], actions: ['*'] }] });
  const join = () => mint({ kind: 'join', subject: 'joiner' });
  const narrow = { roles: ['eng'], actions: ['job:*', 'task:read', 'event:read'] };
  const minted = async (): Promise<Record<TokenKind, string>> => {
    const id = ctx.mirror.snapshot.epochs.get(NODE)?.credential?.id;
    return {
      admin: await admin(),
      narrow: await mint({ subject: 'narrow', grants: [narrow] }),
      node: await mint({ kind: 'node', subject: NODE, node: NODE, ...(id !== undefined && { id }) }),
      join: await join(),
      peer: await mint({ kind: 'peer', subject: 'replica-2' }),
    };
  };
  return { admin, join, minted };
}

type Mint = () => Promise<string>;
type Caller = (method: string, path: string, mint: Mint, json?: unknown) => Promise<unknown>;

/** What is drawn meanwhile may revoke a token that was made just now. */
const TOKENS_MAX = 5;

function caller(api: Hono): Caller {
  return async (method, path, mint, json) => {
    const body = json === undefined ? {} : { body: JSON.stringify(json) };
    for (let tokens = 1; ; tokens++) {
      const headers = { authorization: `Bearer ${await mint()}`, 'content-type': 'application/json' };
      const response = await api.request(path, { method, headers, ...body });
      if (response.ok) return response.json();
      if (response.status === 401 && tokens < TOKENS_MAX) continue;
      throw new Error(`${method} ${path} was answered ${response.status}: ${await response.text()}`);
    }
  };
}

const LISTED = ['jobs', 'tasks', 'nodes', 'frameworks', 'offers', 'deployments', 'reservations', 'volumes', 'secrets'];

async function namesIn(call: Caller, admin: Mint): Promise<Names> {
  const names: Record<string, string[]> = {
    jobs: [...JOBS, 'fuzz-service'],
    nodes: [...NODES],
    roles: [...ROLES],
    groups: ['main', 'web'],
    images: ['busybox', 'berth/busybox:local'],
    secrets: ['fuzz-0', 'fuzz-1'],
  };
  for (const kind of LISTED) {
    const { items } = (await call('GET', `/v1/${kind}?limit=50`, admin)) as { items: { id?: string; name?: string }[] };
    const found = items.flatMap(({ id, name }) => id ?? name ?? []);
    names[kind] = [...(names[kind] ?? []), ...found];
  }
  return names;
}

/** Which of the names a member of that name usually holds. */
export function kindOfName(member: string): string | null {
  const known: Readonly<Record<string, string>> = {
    name: 'jobs',
    job: 'jobs',
    role: 'roles',
    roles: 'roles',
    node: 'nodes',
    id: 'tasks',
    task: 'tasks',
    framework: 'frameworks',
    offer: 'offers',
    offers: 'offers',
    deployment: 'deployments',
    reservation: 'reservations',
    volume: 'volumes',
    group: 'groups',
    image: 'images',
    value: 'frameworks',
    framework_id: 'frameworks',
    slave_id: 'nodes',
    agent_id: 'nodes',
    slaveId: 'nodes',
    frameworkId: 'frameworks',
    hostname: 'nodes',
    path: 'roles',
  };
  return Object.hasOwn(known, member) ? (known[member] ?? null) : null;
}
