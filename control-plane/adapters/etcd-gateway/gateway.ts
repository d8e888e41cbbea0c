/**
 * Requests to etcd's JSON gateway. Each is sent once, to one member, and ends in time. It is sent again only where etcd has turned
 * it down for want of a token that holds, which is before it has done anything.
 */
import { invariant } from '../../../shared/util/assert.ts';
import type { Clock } from '../../../shared/util/clock.ts';
import { StoreUnavailableError } from '../../store/contract.ts';
import { BodyText } from './body.ts';
import { Deadline } from './deadline.ts';
import { errorIn, errorOf, isStaleToken, toStoreError, UnreachableError } from './faults.ts';
import { Hosts } from './hosts.ts';
import { Login, type TokenCell } from './login.ts';
import { Message } from './message.ts';
import { MessageStream } from './message-stream.ts';
import { type Body, keyWithin } from './wire.ts';

export interface GatewayOptions {
  /** URLs of the members' gateways, or of what stands before them, such as `https://etcd.example.org`. */
  readonly hosts: readonly string[];
  readonly fetch: typeof fetch;
  readonly clock: Clock;
  /** A user of etcd. Its token takes the header `authorization`. */
  readonly auth?: { readonly username: string; readonly password: string };
  /** What else every request carries, such as what a tunnel before etcd asks for. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Every call fails after this time. */
  readonly requestTimeoutMs?: number;
  /** How often a watch that hears nothing finds out whether there was something to hear. */
  readonly progressIntervalMs?: number;
  /** The longest reply, or message of a stream, that is taken. A page that would be longer comes in parts. */
  readonly replyBytesMax?: number;
  /** Where the token is kept. Stores that share one log in once, also where no promise may be shared, as between requests of a Worker. */
  readonly tokenCell?: TokenCell;
}

export const REQUEST_TIMEOUT_MS = 5000;
const REPLY_BYTES_MAX = 16 * 1024 * 1024;
/** What is written answers with less, so that only what is read can be too long. */
const REPLY_BYTES_MIN = 256 * 1024;
const PROBE_TIMEOUT_MS = 1000;

export interface Call {
  /** For people who read the error. */
  readonly doing: string;
  /** Below `/v3/`. */
  readonly path: string;
  readonly body: Body;
  /** Absent: whose turn it is. */
  readonly host?: string;
  readonly timeoutMs?: number;
  /** Whoever asked wants no answer any more. */
  readonly signal?: AbortSignal;
}

/** One request on its way. */
interface Exchange {
  readonly call: Call;
  readonly host: string;
  readonly deadline: Deadline;
  readonly token: string | null;
}

export class Gateway {
  readonly hosts: Hosts;
  readonly #options: GatewayOptions;
  readonly #requestTimeoutMs: number;
  readonly #replyBytesMax: number;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #login: Login | null;
  readonly #closed = new AbortController();
  readonly #underWay = new Set<Deadline>();

  constructor(options: GatewayOptions) {
    this.#options = { ...options, hosts: options.hosts.map(baseOf) };
    this.#requestTimeoutMs = options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS;
    this.#replyBytesMax = options.replyBytesMax ?? REPLY_BYTES_MAX;
    this.#headers = headersOf(options);
    invariant(this.#replyBytesMax >= REPLY_BYTES_MIN, `replyBytesMax is at least ${REPLY_BYTES_MIN}`);
    const { clock, auth, tokenCell } = options;
    this.#login = auth === undefined ? null : new Login(clock, () => this.#authenticate(auth), tokenCell);
    const probe = (host: string) => this.#probe(host);
    this.hosts = new Hosts({ hosts: this.#options.hosts, clock, closed: this.closed, probe });
  }

  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  /** As they were named, without a slash at the end. */
  get names(): readonly string[] {
    return this.#options.hosts;
  }

  /** The reply. Throws an error of the contract, or one of the two that only adapters of etcd know. */
  async post(call: Call): Promise<Message> {
    return this.#inTime(call, async (deadline, host) => {
      const answer = await this.#withToken((token) => this.#exchange({ call, host, deadline, token }), deadline);
      // What a member was asked by name it may have answered without the others.
      if (call.host === undefined) this.hosts.trust(host);
      return answer;
    });
  }

  /** A stream whose first bytes have come. Whoever opens it closes it. */
  async open(call: Call): Promise<MessageStream> {
    return this.#inTime(call, (deadline, host) =>
      this.#withToken((token) => this.#openOnce({ call, host, deadline, token }), deadline),
    );
  }

  /** Whoever asks next gets another token. */
  forget(token: string | null): void {
    if (token !== null) this.#login?.forget(token);
  }

  close(): void {
    this.#closed.abort();
    for (const deadline of this.#underWay) deadline.abort(closedError());
  }

  async #inTime<T>(call: Call, send: (deadline: Deadline, host: string) => Promise<T>): Promise<T> {
    if (this.closed.aborted) throw closedError();
    const deadline = new Deadline(this.#options.clock, call.timeoutMs ?? this.#requestTimeoutMs);
    const host = call.host ?? this.hosts.pick();
    const abandon = () => deadline.abort(new StoreUnavailableError(`etcd: ${call.doing} was given up`));
    call.signal?.addEventListener('abort', abandon, { once: true });
    if (call.signal?.aborted) abandon();
    this.#underWay.add(deadline);
    try {
      return await this.hosts.watchOver(host, () => send(deadline, host));
    } catch (error) {
      throw toStoreError(call.doing, error);
    } finally {
      deadline.end();
      call.signal?.removeEventListener('abort', abandon);
      this.#underWay.delete(deadline);
    }
  }

  async #withToken<T>(send: (token: string | null) => Promise<T>, deadline: Deadline): Promise<T> {
    const login = this.#login;
    if (login === null) return send(null);
    const token = await deadline.race(login.token());
    try {
      return await send(token);
    } catch (error) {
      if (!isStaleToken(error)) throw error;
      return send(await deadline.race(login.renewed(token)));
    }
  }

  async #exchange(exchange: Exchange): Promise<Message> {
    const { deadline, call } = exchange;
    const { response, body } = await this.#send(exchange);
    try {
      const text = await deadline.race(body.all());
      if (!response.ok) throw errorOf(response.status, text);
      const message = Message.parse(text);
      const error = errorIn(message, response.status);
      if (error !== null) throw error;
      return call.path === KEEP_ALIVE ? message.message('result') : message;
    } finally {
      body.cancel();
    }
  }

  async #openOnce(exchange: Exchange): Promise<MessageStream> {
    const { deadline, host, token } = exchange;
    const { response, body } = await this.#send(exchange);
    if (!response.ok) throw errorOf(response.status, await deadline.race(body.all()));
    const hangUp = () => deadline.abort(new UnreachableError('the stream was closed'));
    return new MessageStream({ body, hangUp, host, token, clock: this.#options.clock });
  }

  async #send({ call, host, deadline, token }: Exchange): Promise<{ response: Response; body: BodyText }> {
    const headers = token === null ? this.#headers : { ...this.#headers, authorization: token };
    const { signal } = deadline;
    // Not as a method: some platforms' `fetch` refuses to be called as one of another object.
    const { fetch } = this.#options;
    const sent = fetch(`${host}/v3/${call.path}`, {
      method: 'POST',
      headers,
      body: JSON.stringify(call.body),
      redirect: 'manual',
      signal,
    });
    const response = await deadline.race(sent).catch((error: unknown) => {
      throw signal.aborted ? signal.reason : new UnreachableError(causeOf(error), { cause: error });
    });
    return { response, body: new BodyText(response.body, this.#replyBytesMax) };
  }

  async #authenticate({ username, password }: NonNullable<GatewayOptions['auth']>): Promise<string> {
    const call: Call = { doing: 'logging in', path: 'auth/authenticate', body: { name: username, password } };
    const answer = await this.#inTime(call, (deadline, host) => this.#exchange({ call, host, deadline, token: null }));
    return answer.text('token');
  }

  /** Nobody has such a key, and reading it takes a majority all the same. A refusal is an answer too. */
  async #probe(host: string): Promise<boolean> {
    const body: Body = { key: keyWithin(''), count_only: true };
    const call: Call = { doing: `asking ${host}`, path: 'kv/range', body, host, timeoutMs: PROBE_TIMEOUT_MS };
    return this.post(call).then(
      () => true,
      (error: unknown) => !(error instanceof StoreUnavailableError),
    );
  }
}

/** The one call whose answer comes as a stream, of one message. */
export const KEEP_ALIVE = 'lease/keepalive';

function closedError(): StoreUnavailableError {
  return new StoreUnavailableError('etcd: the store is closed');
}

function baseOf(host: string): string {
  invariant(URL.canParse(host), `etcd host ${JSON.stringify(host)} is a URL such as https://etcd.example.org`);
  return host.replace(/\/+$/, '');
}

function headersOf({ headers = {}, auth }: GatewayOptions): Readonly<Record<string, string>> {
  const names = Object.keys(headers).map((name) => name.toLowerCase());
  const clashes = auth !== undefined && names.includes('authorization');
  invariant(!clashes, "the header authorization is taken by etcd's token: give a tunnel before it another one");
  return { 'content-type': 'application/json', ...headers };
}

/** `fetch` says what went wrong one level below. */
function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
