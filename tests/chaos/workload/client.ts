/**
 * A client behind a balancer: every copy of a request goes to some replica, and it is sent again until one of them says what
 * became of it. It keeps the highest revision that it has seen and shows it with each request.
 */
import type { JobSpecInput } from '../../../shared/protocol/job.ts';
import { jobViewSchema, problemSchema } from '../../../shared/protocol/views.ts';
import type { SeededRandom } from '../../simulation/seeded-random.ts';
import { type Answer, type RequestKind, type RequestRecord, steadyMs } from '../history.ts';

const ATTEMPT_TIMEOUT_MS = 5000;
const PAUSE_MIN_MS = 50;
const PAUSE_MAX_MS = 1000;
/** Answers that say to come back, and nothing of what became of the request. */
const LATER = new Set([408, 425, 429, 500, 502, 503, 504]);

const BRIEF = jobViewSchema.pick({ uid: true, version: true, state: true });

export interface ClientOptions {
  readonly addresses: readonly string[];
  readonly token: string;
  readonly random: SeededRandom;
  /** Aborted when nobody waits any longer. */
  readonly signal: AbortSignal;
  readonly record: (request: RequestRecord) => void;
  readonly nextId: () => number;
  /** Called before a request is sent for the first time, and when it has an answer or nobody waits for one any longer. */
  readonly onAsk: () => void;
  readonly onAnswer: () => void;
}

interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

interface HttpAnswer {
  readonly status: number;
  readonly revision: number;
  readonly body: unknown;
}

export class Client {
  readonly #options: ClientOptions;
  #revision = 0;

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  submit(spec: JobSpecInput): Promise<Answer | null> {
    return this.#keyed('submit', spec.name, { method: 'POST', path: '/v1/jobs', body: spec });
  }

  stop(job: string): Promise<Answer | null> {
    const body = { reason: 'the client has seen enough' };
    return this.#keyed('stop', job, { method: 'POST', path: `/v1/jobs/${job}/stop`, body });
  }

  read(job: string): Promise<Answer | null> {
    return this.#carryOut('read', job, { method: 'GET', path: `/v1/jobs/${job}` });
  }

  remove(job: string): Promise<Answer | null> {
    return this.#carryOut('delete', job, { method: 'DELETE', path: `/v1/jobs/${job}` });
  }

  /** From one version to the next and to no other, so that a copy that comes late changes nothing. */
  change(spec: JobSpecInput, fromVersion: number): Promise<Answer | null> {
    const headers = { 'If-Match': `"${fromVersion}"` };
    const request = { method: 'PUT', path: `/v1/jobs/${spec.name}`, body: spec, headers };
    return this.#carryOut('change', spec.name, request, (answer) => answer.status === 412);
  }

  #keyed(kind: RequestKind, job: string, request: HttpRequest): Promise<Answer | null> {
    const key = Buffer.from(this.#options.random.bytes(12)).toString('hex');
    return this.#carryOut(kind, job, { ...request, headers: { 'Idempotency-Key': key } });
  }

  /** `isOwnEcho`: whether an answer only says that an earlier copy has been carried out; then the job is read instead. */
  async #carryOut(
    kind: RequestKind,
    job: string,
    request: HttpRequest,
    isOwnEcho: (answer: HttpAnswer) => boolean = () => false,
  ): Promise<Answer | null> {
    const id = this.#options.nextId();
    this.#options.onAsk();
    const sentAtMs = steadyMs();
    const seenRevision = this.#revision;
    let attempts = 0;
    let answer: Answer | null = null;
    for (let now = request; answer === null && !this.#options.signal.aborted; ) {
      attempts += 1;
      const http = await this.#send(now);
      if (http !== null && attempts > 1 && isOwnEcho(http)) {
        now = { method: 'GET', path: request.path };
      } else if (http !== null) {
        answer = meaningOf(http, seenRevision, attempts > 1);
      } else {
        await this.#pause(attempts);
      }
    }
    this.#options.onAnswer();
    const answeredAtMs = answer === null ? null : steadyMs();
    this.#options.record({ id, kind, job, sentAtMs, attempts, answeredAtMs, answer });
    return answer;
  }

  /** Null: no answer, or one that says to come back. */
  async #send(request: HttpRequest): Promise<HttpAnswer | null> {
    const { addresses, token, random, signal } = this.#options;
    try {
      const response = await fetch(random.pick(addresses) + request.path, {
        method: request.method,
        headers: {
          Authorization: `Bearer ${token}`,
          'Content-Type': 'application/json',
          ...(this.#revision > 0 ? { 'Berth-Revision': String(this.#revision) } : {}),
          ...request.headers,
        },
        body: request.body === undefined ? null : JSON.stringify(request.body),
        signal: AbortSignal.any([signal, AbortSignal.timeout(ATTEMPT_TIMEOUT_MS)]),
      });
      const body: unknown = await response.json();
      if (LATER.has(response.status) || response.headers.has('Retry-After')) return null;
      const revision = Number(response.headers.get('Berth-Revision') ?? 0);
      this.#revision = Math.max(this.#revision, revision);
      return { status: response.status, revision, body };
    } catch {
      return null;
    }
  }

  async #pause(attempts: number): Promise<void> {
    const longestMs = Math.min(PAUSE_MAX_MS, PAUSE_MIN_MS * 2 ** Math.min(attempts, 10));
    await pause(this.#options.random.between(PAUSE_MIN_MS, longestMs), this.#options.signal);
  }
}

function meaningOf({ status, revision, body }: HttpAnswer, seenRevision: number, isRepeated: boolean): Answer {
  const job = BRIEF.safeParse(body);
  if (status < 300 && job.success) return { type: 'accepted', ...job.data, seenRevision, revision };
  if (status === 404) return { type: 'absent', uncertain: isRepeated };
  const problem = problemSchema.pick({ detail: true }).safeParse(body);
  return { type: 'refused', status, detail: problem.data?.detail ?? JSON.stringify(body).slice(0, 200) };
}

/** Ends early, and without an error, when the signal is aborted. */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener('abort', done);
  });
}
