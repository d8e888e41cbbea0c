/**
 * Frameworks as clients see their streams: each over a connection of its own, through the Mesos door or as server-sent events. While
 * a round is measured, what comes is only noted, with the moment at which it came; it is read when nothing is measured any more.
 */
import { type Agent, type IncomingMessage, request } from 'node:http';
import { EventFrames, RecordFrames, type StreamKind, subscribedIn } from './stream-messages.ts';

/** One message of a stream, without its frame. */
export interface Message {
  readonly text: string;
  readonly atMs: number;
}

export interface Target {
  readonly port: number;
  readonly authorization: string;
}

export interface Member {
  readonly kind: StreamKind;
  readonly number: number;
  readonly target: Target;
  /** Null: it hasn't subscribed yet. */
  id: string | null;
}

export interface Stream {
  readonly member: Member;
  /** What has come since they were last forgotten, without anybody having looked into it. */
  readonly messages: readonly Message[];
  forget(): void;
  close(): void;
}

/** Each framework is in a role of its own below this one. */
const ROLE = 'bench';
const FAILOVER_SECONDS = 3600;
const HOST = '127.0.0.1';

/** On the clock of the wall, as a replica's, but without its steps. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

/** Opens the member's stream; a member that has none yet subscribes with it. Resolves when the first message is there. */
export async function openStream(member: Member, agent: Agent): Promise<Stream> {
  const response = await (member.kind === 'door' ? openDoor(member, agent) : openNative(member, agent));
  const messages: Message[] = [];
  const frames = member.kind === 'door' ? new RecordFrames() : new EventFrames();
  response.setEncoding('utf8');
  response.on('error', () => undefined);
  await new Promise<void>((resolve, reject) => {
    response.once('data', () => resolve());
    response.once('close', () => reject(new Error(`the stream of ${member.kind} ${member.number} has ended`)));
    response.on('data', (chunk: string) => {
      const atMs = nowMs();
      for (const text of frames.take(chunk)) messages.push({ text, atMs });
    });
  });
  if (member.kind === 'door') member.id ??= subscribedIn(messages[0]?.text ?? 'null');
  return {
    member,
    messages,
    forget: () => {
      messages.length = 0;
    },
    close: () => response.destroy(),
  };
}

function openDoor({ number, target, id }: Member, agent: Agent): Promise<IncomingMessage> {
  const known = id === null ? {} : { framework_id: { value: id } };
  const named = id === null ? {} : { id: { value: id } };
  const info = {
    ...{ ...named, user: 'root', name: `door-${number}`, roles: [`${ROLE}/door-${number}`] },
    ...{ failover_timeout: FAILOVER_SECONDS, capabilities: [{ type: 'MULTI_ROLE' }] },
  };
  const body = { type: 'SUBSCRIBE', ...known, subscribe: { framework_info: info } };
  return send(agent, target, { path: '/api/v1/scheduler', accept: 'application/json', body });
}

/** Two calls, as the native API has it: a session, and then its stream. */
async function openNative(member: Member, agent: Agent): Promise<IncomingMessage> {
  const { number, target, id } = member;
  const body = {
    ...(id === null ? {} : { id }),
    ...{ name: `native-${number}`, roles: [`${ROLE}/native-${number}`], failoverTimeoutSeconds: FAILOVER_SECONDS },
  };
  const answer = await send(agent, target, { path: '/v1/frameworks', accept: 'application/json', body });
  let text = '';
  for await (const chunk of answer.setEncoding('utf8')) text += chunk;
  const subscribed = JSON.parse(text) as { readonly id: string; readonly session: number };
  member.id = subscribed.id;
  const path = `/v1/frameworks/${subscribed.id}/events?session=${subscribed.session}`;
  return send(agent, target, { path, accept: 'text/event-stream', body: null });
}

interface Sent {
  readonly path: string;
  readonly accept: string;
  /** Null: it is a GET. */
  readonly body: object | null;
}

function send(agent: Agent, { port, authorization }: Target, { path, accept, body }: Sent): Promise<IncomingMessage> {
  const payload = body === null ? null : JSON.stringify(body);
  const described =
    payload === null ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) };
  const headers = { authorization, accept, ...described };
  return new Promise((resolve, reject) => {
    const sent = request(
      { host: HOST, port, path, method: payload === null ? 'GET' : 'POST', agent, headers },
      (response) => {
        const { statusCode = 0 } = response;
        if (statusCode >= 200 && statusCode < 300) return resolve(response);
        response.resume();
        reject(new Error(`${path}: ${statusCode}`));
      },
    );
    sent.on('error', reject);
    sent.end(payload ?? undefined);
  });
}
