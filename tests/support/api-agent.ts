/** What an agent does, as single calls that a test makes. */
import { decodeJwt } from 'jose';
import { expect } from 'vitest';
import type { Node } from '../../shared/domain/node.ts';
import type {
  AssignmentBody,
  AssignmentResponse,
  LogLine,
  RegisterResponse,
  TaskStatus,
} from '../../shared/protocol/agent.ts';
import { resolveAssignment } from '../../shared/protocol/assignment.ts';
import type { TestApi } from './api.ts';
import { caughtUp, nodeOf } from './replica.ts';

export class ApiAgent {
  readonly node: string;
  session: RegisterResponse;
  /** The replica that it talks to. */
  berth: TestApi;

  private constructor(berth: TestApi, node: string, session: RegisterResponse) {
    this.berth = berth;
    this.node = node;
    this.session = session;
  }

  static async register(berth: TestApi, node = 'edge-1', change: Partial<Node> = {}): Promise<ApiAgent> {
    const token = await berth.token({ kind: 'join', subject: 'joiner', roles: [], actions: [] });
    const json = { node: nodeOf(node, change), seen: null, tasks: [] };
    const response = await berth.send('POST', '/v1/agent/register', { token, json });
    expect(response.status).toBe(200);
    return new ApiAgent(berth, node, (await response.json()) as RegisterResponse);
  }

  /** The id that all tokens of the node have since it joined. */
  get credential(): string {
    return decodeJwt(this.session.nodeToken).jti ?? '';
  }

  send(method: string, path: string, options: Parameters<TestApi['send']>[2] = {}): Promise<Response> {
    const headers = { 'Berth-Epoch': String(this.session.epoch), ...options.headers };
    return this.berth.send(method, path, { token: this.session.nodeToken, ...options, headers });
  }

  /** The assignment as soon as it holds what `isWanted` looks for. */
  async assignment(isWanted: (assignment: AssignmentResponse) => boolean = () => true): Promise<AssignmentResponse> {
    let known: AssignmentResponse | null = null;
    for (let looks = 0; looks < 50; looks++) {
      const query: string = known === null ? '' : `&${positionOf(known)}`;
      const response = await this.send('GET', `/v1/agent/assignment?waitMs=500${query}`);
      if (response.status === 200) known = resolveAssignment((await response.json()) as AssignmentBody);
      else expect(response.status).toBe(204);
      if (known !== null && isWanted(known)) return known;
    }
    throw new Error('the assignment never became as it was wanted');
  }

  async report(task: string, state: TaskStatus['state'], change: Partial<TaskStatus> = {}): Promise<void> {
    const status = { task, state, atMs: Date.now(), reason: 'started', message: state, exitCode: null, ...change };
    const response = await this.send('POST', '/v1/agent/statuses', { json: { statuses: [status], released: [] } });
    expect(await response.json()).toEqual({ results: ['committed'] });
    await caughtUp(this.berth.replica.ctx);
  }

  stream(id: string, body: BodyInit): Promise<Response> {
    return this.send('POST', `/v1/agent/streams/${id}`, {
      body,
      headers: { 'content-type': 'application/x-ndjson' },
    });
  }
}

function positionOf({ position, streamsVersion }: AssignmentResponse): string {
  const { incarnation, generation } = position;
  return new URLSearchParams({
    incarnation: String(incarnation),
    generation: String(generation),
    streams: streamsVersion,
  }).toString();
}

/** Submits a job of one task, has it placed on the agent's node, and returns the task's id. */
export async function placeTask(berth: TestApi, change: object = {}): Promise<string> {
  const json = { name: 'hello', groups: [{ image: 'busybox' }], ...change };
  expect((await berth.send('POST', '/v1/jobs', { json })).status).toBe(201);
  await caughtUp(berth.replica.ctx);
  await berth.replica.settle();
  await caughtUp(berth.replica.ctx);
  const response = await berth.send('GET', `/v1/tasks?job=${json.name}`);
  const { items } = (await response.json()) as { items: { id: string }[] };
  const [task] = items;
  if (task === undefined) throw new Error('there is no task');
  return task.id;
}

export function line(second: number, text: string, stream: LogLine['stream'] = 'stdout'): LogLine {
  return { at: `2030-01-01T00:00:${String(second).padStart(2, '0')}.000000000Z`, stream, text };
}

export function ndjson(...lines: readonly LogLine[]): string {
  return lines.map((one) => `${JSON.stringify(one)}\n`).join('');
}
