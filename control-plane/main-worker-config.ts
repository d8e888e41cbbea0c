/** What the edge entry is set up with: the variables and secrets of a Worker, named as the Node.js entry names its environment. */
import { z } from 'zod';
import { type OutsideIssuer, outsideIssuerSchema } from './auth/outside-issuer.ts';
import { QUOTA_DEFAULT_BYTES } from './store/room.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface WorkerConfig {
  /** URLs of the tunnels before etcd's members, or of one before all of them. */
  readonly etcd: readonly string[];
  readonly etcdUser: { readonly username: string; readonly password: string } | null;
  /** What the tunnel asks for; null: it knows its callers in another way. */
  readonly tunnelSecret: string | null;
  readonly etcdQuotaBytes: number;
  /** Those of the replicas beside it, as their file has them; null: nothing is kept in confidence. */
  readonly envelopeKeys: string | null;
  /** Where replicas and clients reach this Worker. */
  readonly url: string;
  readonly outsideIssuers: readonly OutsideIssuer[];
  readonly leaseTtlSeconds: number;
  /** A stream or a long wait is ended after this time, and taken up again in another request. */
  readonly streamSeconds: number;
  readonly logLevel: LogLevel;
}

/** A variable that can't be used. The message names it and says what would do. */
export class WorkerConfigError extends Error {
  override readonly name = 'WorkerConfigError';
}

const url = z
  .url({ protocol: /^https?$/, error: 'must be a URL such as https://etcd.example.org' })
  .transform((text) => text.replace(/\/+$/, ''));

/** Below that, an empty cluster is nearly full. */
const QUOTA_MIN_BYTES = 16 * 1024 ** 2;

const variables = z.object({
  BERTH_ETCD: z
    .string({ error: 'must name the tunnel before etcd, such as https://etcd.example.org' })
    .transform((text) => text.split(',').map((one) => one.trim()))
    .pipe(z.array(url).min(1)),
  BERTH_ETCD_TUNNEL_SECRET: z.string().min(1).optional(),
  BERTH_ETCD_USERNAME: z.string().min(1).optional(),
  BERTH_ETCD_PASSWORD: z.string().optional(),
  BERTH_ETCD_QUOTA_BYTES: z.coerce.number().int().min(QUOTA_MIN_BYTES).default(QUOTA_DEFAULT_BYTES),
  BERTH_ENVELOPE_KEYS: z.string().optional(),
  BERTH_ADVERTISE_URL: url.optional(),
  BERTH_TRUST: z.string().optional(),
  BERTH_LEASE_TTL: z.coerce.number().int().min(5).max(600).default(10),
  BERTH_STREAM_SECONDS: z.coerce.number().int().min(1).max(3600).default(300),
  BERTH_LOG_LEVEL: z.enum(LOG_LEVELS).default('info'),
});

/** `seenUrl`: where the first request came to, in case nothing else is said. Throws {@link WorkerConfigError}. */
export function readWorkerConfig(env: Readonly<Record<string, unknown>>, seenUrl: string): WorkerConfig {
  const parsed = variables.safeParse(withoutEmpty(env));
  if (!parsed.success) throw new WorkerConfigError(parsed.error.issues.map(faultText).join('; '));
  const set = parsed.data;
  return {
    etcd: set.BERTH_ETCD,
    etcdUser: etcdUser(set.BERTH_ETCD_USERNAME, set.BERTH_ETCD_PASSWORD),
    tunnelSecret: set.BERTH_ETCD_TUNNEL_SECRET ?? null,
    etcdQuotaBytes: set.BERTH_ETCD_QUOTA_BYTES,
    envelopeKeys: set.BERTH_ENVELOPE_KEYS ?? null,
    url: set.BERTH_ADVERTISE_URL ?? new URL(seenUrl).origin,
    outsideIssuers: trust(set.BERTH_TRUST),
    leaseTtlSeconds: set.BERTH_LEASE_TTL,
    streamSeconds: set.BERTH_STREAM_SECONDS,
    logLevel: set.BERTH_LOG_LEVEL,
  };
}

/** A variable that is empty is one that isn't set. */
function withoutEmpty(env: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
}

function faultText({ path, message }: z.core.$ZodIssue): string {
  return `${path.join('.')} ${message}`;
}

function etcdUser(username: string | undefined, password: string | undefined): WorkerConfig['etcdUser'] {
  if (username === undefined && password === undefined) return null;
  if (username !== undefined && password !== undefined) return { username, password };
  throw new WorkerConfigError('BERTH_ETCD_USERNAME and BERTH_ETCD_PASSWORD belong together: set both');
}

function trust(text: string | undefined): readonly OutsideIssuer[] {
  if (text === undefined) return [];
  const parsed = outsideIssuerSchema.array().safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue) => `at /${issue.path.join('/')}: ${issue.message}`);
  throw new WorkerConfigError(`BERTH_TRUST must hold a JSON list of issuers, but ${faults.join('; ')}`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new WorkerConfigError(`BERTH_TRUST is not JSON: ${error instanceof Error ? error.message : error}`);
  }
}
