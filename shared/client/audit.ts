/** Who did what: read from either end, and followed. */
import { type AuditOrder, type AuditView, auditViewSchema } from '../protocol/audit.ts';
import { type Page, pageOf } from '../protocol/views.ts';
import { UnexpectedAnswerError } from './errors.ts';
import { readStream } from './stream.ts';
import { parseJson, type Transport } from './transport.ts';

export interface AuditQuery {
  readonly role?: string | undefined;
  readonly subject?: string | undefined;
  readonly token?: string | undefined;
  /** A kind and an id, such as `job/web`. */
  readonly object?: string | undefined;
  /** A part of what was called. */
  readonly operation?: string | undefined;
  readonly outcome?: string | undefined;
  /** A time. */
  readonly since?: string | undefined;
}

export interface AuditCalls {
  /** Yields records until there are no more, as many pages as it takes. */
  read(
    query?: AuditQuery & { readonly until?: string | undefined; readonly order?: AuditOrder },
  ): AsyncGenerator<AuditView, void>;
  /**
   * Yields each record once, over as many connections as it takes, until the signal is aborted: from `since`, or from now on. Throws an
   * ApiError with the code `history-gone` when the last one isn't kept any more.
   */
  follow(query: AuditQuery & { readonly signal: AbortSignal }): AsyncGenerator<AuditView, void>;
}

const PAGE_SIZE = 1000;

/** Bounds a server that never says that it has come to the end. */
const PAGES_MAX = 100_000;

/** After a broken connection the last ones may come again; so many are known. */
const REMEMBERED_MAX = 10_000;

export function auditCalls(transport: Transport): AuditCalls {
  return {
    async *read(query = {}) {
      let after: string | null = null;
      for (let page = 0; page < PAGES_MAX; page += 1) {
        const { items, next }: Page<AuditView> = await pageAfter(transport, query, after);
        yield* items;
        if (next === null) return;
        after = next;
      }
    },
    follow: (query) => follow(transport, query),
  };
}

async function pageAfter(transport: Transport, query: object, after: string | null): Promise<Page<AuditView>> {
  const asked = { ...query, limit: PAGE_SIZE, after };
  const request = { method: 'GET', path: '/v1/audit', query: asked, repeat: 'safe' } as const;
  return (await transport.call(request, pageOf(auditViewSchema))).body;
}

async function* follow(
  transport: Transport,
  { signal, ...query }: AuditQuery & { readonly signal: AbortSignal },
): AsyncGenerator<AuditView, void> {
  let after: string | null = null;
  const seen = new Set<string>();
  const request = () => ({ method: 'GET', path: '/v1/audit', query: { ...query, after }, repeat: 'safe' }) as const;
  for await (const { data, id } of readStream(transport, { request, signal })) {
    if (data === null || id === null || seen.has(id)) continue;
    after = id;
    seen.add(id);
    const [oldest] = seen;
    if (seen.size > REMEMBERED_MAX && oldest !== undefined) seen.delete(oldest);
    yield parsed(transport.options.address, data);
  }
}

function parsed(address: string, text: string): AuditView {
  const result = auditViewSchema.safeParse(parseJson(text));
  if (result.success) return result.data;
  throw new UnexpectedAnswerError(address, 'a record that is none');
}
