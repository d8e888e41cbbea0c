/** A {@link FakeControlPlane} behind HTTP, with tokens, as a real agent's process finds it. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  type ControlPlane,
  ControlPlaneFault,
  type ControlPlaneFaultKind,
} from '../../node-agent/executor/contracts.ts';
import type {
  AssignmentBody,
  AssignmentResponse,
  LogLine,
  MessagesRequest,
  RegisterRequest,
  StatusesRequest,
} from '../../shared/protocol/agent.ts';
import { present } from '../../shared/util/assert.ts';

export const JOIN_TOKEN = 'join-token-of-tests';

/** Node tokens that are accepted; taking one out makes the next call fail with 401. */
export interface FakeControlPlaneServer {
  readonly url: string;
  readonly nodeTokens: Set<string>;
  readonly joinTokens: Set<string>;
  /** The path of every request, in order. */
  readonly requests: string[];
  close(): Promise<void>;
}

export async function serveControlPlane(controlPlane: ControlPlane): Promise<FakeControlPlaneServer> {
  const nodeTokens = new Set<string>();
  const joinTokens = new Set([JOIN_TOKEN]);
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url?.split('?')[0]}`);
    const isRegistration = request.url === '/v1/agent/register';
    const token = request.headers.authorization?.replace(/^Bearer /, '') ?? '';
    if (!nodeTokens.has(token) && !(isRegistration && joinTokens.has(token))) {
      return problem(response, 401, { code: 'unauthenticated', title: 'Unauthenticated', detail: 'unknown token' });
    }
    answer(controlPlane, request, response).then(
      (body) => {
        if (isRegistration && body !== null) nodeTokens.add((body as { nodeToken: string }).nodeToken);
        send(response, body);
      },
      (cause: unknown) => refuse(response, cause),
    );
    return undefined;
  });
  const url = await listen(server);
  return {
    url,
    nodeTokens,
    joinTokens,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server): Promise<string> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
  });
}

async function answer(
  controlPlane: ControlPlane,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<unknown> {
  const url = new URL(request.url ?? '/', 'http://fake');
  const epoch = Number(request.headers['berth-epoch']);
  const gone = new AbortController();
  response.on('close', () => gone.abort());
  switch (`${request.method} ${url.pathname.replace(/(streams)\/.*/, '$1/:id').replace(/(tasks)\/[^/]+/, '$1/:id')}`) {
    case 'POST /v1/agent/register':
      return controlPlane.register((await json(request)) as RegisterRequest, gone.signal);
    case 'GET /v1/agent/assignment':
      return bodyOf(await controlPlane.assignment(epoch, assignmentQuery(url.searchParams), gone.signal));
    case 'POST /v1/agent/heartbeat':
      return controlPlane.heartbeat(epoch, ((await json(request)) as { sentAtMs: number }).sentAtMs, gone.signal);
    case 'POST /v1/agent/statuses':
      return controlPlane.statuses(epoch, (await json(request)) as StatusesRequest, gone.signal);
    case 'POST /v1/agent/messages':
      return controlPlane.messages(epoch, (await json(request)) as MessagesRequest, gone.signal);
    case 'POST /v1/agent/tasks/:id/identity':
      return controlPlane.identity(epoch, present(url.pathname.split('/').at(-2), 'id'), gone.signal);
    case 'POST /v1/agent/tasks/:id/secrets':
      return controlPlane.secrets(epoch, present(url.pathname.split('/').at(-2), 'id'), gone.signal);
    case 'POST /v1/agent/streams/:id':
      await controlPlane.stream(epoch, present(url.pathname.split('/').at(-1), 'id'), lines(request), gone.signal);
      return null;
    default:
      throw new Error(`the agent called something that does not exist: ${request.method} ${request.url}`);
  }
}

function assignmentQuery(parameters: URLSearchParams) {
  const incarnation = parameters.get('incarnation');
  const generation = parameters.get('generation');
  return {
    position:
      incarnation === null || generation === null
        ? null
        : { incarnation: Number(incarnation), generation: Number(generation) },
    streamsVersion: parameters.get('streams'),
    waitMs: Number(parameters.get('waitMs')),
  };
}

/** Every task with a template of its own: tests change one and not the others. */
function bodyOf(assignment: AssignmentResponse | null): AssignmentBody | null {
  if (assignment === null) return null;
  const groups = Object.fromEntries(assignment.tasks.map(({ id, group }) => [id, group]));
  return { ...assignment, groups, tasks: assignment.tasks.map((task) => ({ ...task, group: task.id })) };
}

async function json(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk));
  return JSON.parse(Buffer.concat(chunks).toString('utf8'));
}

async function* lines(request: IncomingMessage): AsyncGenerator<readonly LogLine[]> {
  let rest = '';
  request.setEncoding('utf8');
  for await (const chunk of request) {
    const parts = `${rest}${String(chunk)}`.split('\n');
    rest = parts.pop() ?? '';
    if (parts.length > 0) yield parts.map((part) => JSON.parse(part) as LogLine);
  }
}

function send(response: ServerResponse, body: unknown): void {
  if (body === null || body === undefined) {
    response.writeHead(204).end();
    return;
  }
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

const ANSWERS: Readonly<Record<ControlPlaneFaultKind, { readonly status: number; readonly code: string }>> = {
  away: { status: 503, code: 'unavailable' },
  'stale-epoch': { status: 409, code: 'stale-epoch' },
  unauthenticated: { status: 401, code: 'unauthenticated' },
  mismatch: { status: 409, code: 'identity-mismatch' },
  gone: { status: 410, code: 'node-gone' },
  refused: { status: 422, code: 'refused' },
  invalid: { status: 400, code: 'invalid-request' },
};

function refuse(response: ServerResponse, cause: unknown): void {
  if (!(cause instanceof ControlPlaneFault)) {
    problem(response, 500, { code: 'internal', title: 'Internal', detail: String(cause) });
    return;
  }
  const { kind, message } = cause;
  const { status, code } = ANSWERS[kind];
  problem(response, status, { code, title: kind, detail: message });
}

function problem(response: ServerResponse, status: number, body: Readonly<Record<string, string>>): void {
  response.writeHead(status, { 'content-type': 'application/problem+json' }).end(JSON.stringify(body));
}
