/** Real HTTP and TCP servers that stand in for tasks behind a balancer, and a load that counts every request that fails. */
import { once } from 'node:events';
import { Agent, createServer, type IncomingMessage, request, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

export interface WebTask {
  readonly name: string;
  readonly port: number;
  /** Requests that have come in. */
  served(): number;
  /** As a task that is told to end: it takes no more, finishes what it has, and closes. */
  end(): Promise<void>;
  /** As one that is killed: every connection is cut. */
  kill(): Promise<void>;
}

export interface WebTaskOptions {
  readonly port?: number;
  /** Before it answers, in milliseconds. */
  readonly delayMs?: number;
  /** After so many answers it takes requests and cuts their connections. */
  readonly hangsUpAfter?: number | undefined;
  /** Sent in pieces, `delayMs` apart. */
  readonly pieces?: number;
}

/** Answers each request with its name. */
export async function startWebTask(name: string, options: WebTaskOptions = {}): Promise<WebTask> {
  let served = 0;
  const sockets = new Set<Socket>();
  const server = createServer(async (asked, answer) => {
    served += 1;
    if (served > (options.hangsUpAfter ?? Number.POSITIVE_INFINITY)) return void asked.socket.destroy();
    answer.setHeader('x-seen', JSON.stringify(asked.headers));
    for (let piece = 1; piece < (options.pieces ?? 1); piece += 1) {
      answer.write(`${name} `);
      await pause(options.delayMs ?? 0);
    }
    if (options.delayMs !== undefined) await pause(options.delayMs);
    answer.end(name);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  return {
    name,
    port: (server.address() as AddressInfo).port,
    served: () => served,
    end: () => closed(server),
    kill: () => {
      for (const socket of sockets) socket.resetAndDestroy();
      return closed(server);
    },
  };
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: IncomingMessage['headers'];
}

/** One request over a connection of its own, or of the agent's. Rejects when it gets no whole answer. */
export function ask(
  port: number,
  {
    host = 'web.example',
    path = '/',
    method = 'GET',
    agent,
  }: { host?: string; path?: string; method?: string; agent?: Agent } = {},
): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const options = {
    port,
    host: '127.0.0.1',
    path,
    method,
    headers: { host },
    agent: agent ?? false,
  };
  const asked = request(options, (answer) => {
    const chunks: Buffer[] = [];
    answer.on('data', (chunk: Buffer) => chunks.push(chunk));
    answer.once('error', reject);
    answer.once('end', () => {
      const body = Buffer.concat(chunks).toString('utf8');
      resolve({ status: answer.statusCode ?? 0, body, headers: answer.headers });
    });
  });
  asked.once('error', reject);
  asked.end();
  return promise;
}

export interface LoadOptions {
  readonly connections?: number;
  readonly methods?: readonly string[];
  readonly host?: string;
  /** Of each connection after each answer, in milliseconds. Absent: none. */
  readonly pauseMs?: number;
}

export interface Load {
  readonly done: () => number;
  /** In words, of requests that were not answered with 200. */
  readonly failures: readonly string[];
  /** By the body of their answers. */
  readonly answers: ReadonlyMap<string, number>;
  stop(): Promise<void>;
}

/** Asks over so many connections that are kept open, each with one of the methods in turn. */
export function startLoad(
  port: number,
  { connections = 6, methods = ['GET', 'POST'], host = 'web.example', pauseMs = 0 }: LoadOptions = {},
): Load {
  const failures: string[] = [];
  const answers = new Map<string, number>();
  let done = 0;
  let over = false;
  const worker = async (index: number) => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const method = methods[index % methods.length] ?? 'GET';
    while (!over) {
      const answer = await ask(port, { host, method, agent }).catch((error: Error) => error);
      done += 1;
      if (answer instanceof Error) failures.push(`${method}: ${answer.message}`);
      else if (answer.status !== 200) failures.push(`${method}: ${answer.status} ${answer.body}`);
      else answers.set(answer.body, (answers.get(answer.body) ?? 0) + 1);
      if (pauseMs > 0) await pause(pauseMs);
    }
    agent.destroy();
  };
  const workers = Array.from({ length: connections }, (_, index) => worker(index));
  return {
    done: () => done,
    failures,
    answers,
    async stop() {
      over = true;
      await Promise.all(workers);
    },
  };
}
