/**
 * A control plane for one agent, over real HTTP, whose ledger changes as fast as the agent follows. Each change brings a
 * task that has already been stopped, which the agent has to put on record, report as killed and remember until it is swept;
 * and sweeps the oldest of those that were reported. So every change is real work for the agent, and needs no container.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type {
  AssignedTask,
  AssignmentBody,
  HeartbeatResponse,
  RegisterRequest,
  RegisterResponse,
  StatusesRequest,
  StatusesResponse,
} from '../../shared/protocol/agent.ts';
import { assignmentBody } from '../../shared/protocol/assignment.ts';
import { jobSpecSchema } from '../../shared/protocol/job.ts';

/** Entries that the ledger holds, about as many as a busy small box. */
const ENTRIES = 20;

const SESSION: RegisterResponse = {
  nodeToken: 'node-token',
  epoch: 1,
  incarnation: 1,
  heartbeatIntervalMs: 2500,
  leaseTtlMs: 10_000,
};

interface Waiting {
  readonly response: ServerResponse;
  readonly timer: NodeJS.Timeout;
}

export class LedgerSource {
  readonly #server = createServer((request, response) => void this.#serve(request, response));
  readonly #group = templateGroup();
  #ledger: readonly AssignedTask[] = [];
  #generation = 1;
  #made = 0;
  #reported = new Set<string>();
  #waiting: Waiting | null = null;
  #onFollowed: () => void = () => undefined;

  /** The address to give to the agent. */
  async open(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
    return `http://127.0.0.1:${address.port}`;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  /** The agent has the ledger and asks for the next one. */
  async followed(): Promise<void> {
    if (this.#waiting !== null) return;
    await new Promise<void>((resolve) => {
      this.#onFollowed = resolve;
    });
  }

  /** Makes so many changes, each after the agent has taken the one before. */
  async change(times: number): Promise<void> {
    for (let time = 0; time < times; time += 1) {
      await this.followed();
      this.#changeOnce();
    }
    await this.followed();
  }

  #changeOnce(): void {
    const { length } = this.#ledger;
    const oldest = this.#ledger[0];
    const isSwept = length >= ENTRIES && oldest !== undefined && this.#reported.delete(oldest.id);
    this.#ledger = [...this.#ledger.slice(isSwept ? 1 : 0), this.#nextTask()];
    this.#generation += 1;
    this.#answerWaiting();
  }

  #nextTask(): AssignedTask {
    this.#made += 1;
    const id = `bench-${this.#made}`;
    return {
      ...{ id, jobUid: `uid-${this.#made}`, jobName: 'bench', jobVersion: 1, role: 'default', groupName: 'main' },
      ...{
        index: 0,
        attempt: 0,
        run: 0,
        state: 'staging',
        group: this.#group,
        stopAfterDisconnectMs: null,
        ports: {},
        disowned: false,
      },
      stop: { atMs: Date.now(), graceMs: 0, reason: 'stopped by the benchmark' },
    };
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://agent');
    const body = await bodyOf(request);
    switch (pathname) {
      case '/v1/agent/register':
        JSON.parse(body) satisfies RegisterRequest;
        return send(response, SESSION);
      case '/v1/agent/heartbeat':
        return send(response, { nodeToken: null } satisfies HeartbeatResponse);
      case '/v1/agent/statuses':
        return send(response, this.#takeStatuses(JSON.parse(body)));
      case '/v1/agent/assignment':
        return this.#serveAssignment(searchParams, response);
      default:
        response.writeHead(404).end();
    }
  }

  #takeStatuses({ statuses }: StatusesRequest): StatusesResponse {
    const results = statuses.map(({ task, state }) => {
      const known = this.#ledger.some((entry) => entry.id === task);
      if (!known) return 'unknown';
      this.#ledger = this.#ledger.map((entry) => (entry.id === task ? { ...entry, state } : entry));
      this.#reported.add(task);
      return 'committed';
    });
    return { results };
  }

  #serveAssignment(query: URLSearchParams, response: ServerResponse): void {
    const waitMs = Number(query.get('waitMs'));
    const has = query.get('generation') === String(this.#generation);
    if (!has) {
      send(response, this.#assignment());
      return;
    }
    const timer = setTimeout(() => {
      this.#waiting = null;
      response.writeHead(204).end();
    }, waitMs);
    this.#waiting = { response, timer };
    this.#onFollowed();
    this.#onFollowed = () => undefined;
  }

  #answerWaiting(): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting === null) return;
    clearTimeout(waiting.timer);
    send(waiting.response, this.#assignment());
  }

  #assignment(): AssignmentBody {
    const position = { incarnation: SESSION.incarnation, generation: this.#generation };
    return assignmentBody({ position, tasks: this.#ledger, streamsVersion: '', streams: [] });
  }
}

function templateGroup(): AssignedTask['group'] {
  const env = Object.fromEntries(Array.from({ length: 10 }, (_, at) => [`SETTING_${at}`, `value number ${at}`]));
  const spec = { name: 'bench', groups: [{ image: 'berth/busybox:local', command: ['sleep', '3600'], env }] };
  const [group] = jobSpecSchema.parse(spec).groups;
  if (group === undefined) throw new Error('the job has a group');
  return group;
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = '';
  request.setEncoding('utf8');
  for await (const chunk of request) body += chunk;
  return body;
}

function send(response: ServerResponse, body: object): void {
  const text = JSON.stringify(body);
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
  response.writeHead(200, headers).end(text);
}
