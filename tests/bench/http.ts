/** HTTP for measuring: connections are kept, answers are read whole, and nothing happens in between. */
import { Agent, type IncomingMessage, request } from 'node:http';

export type Address = { readonly socketPath: string } | { readonly host: string; readonly port: number };

export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly body?: unknown;
}

export interface Reply {
  readonly status: number;
  readonly text: string;
}

export class HttpClient {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });
  readonly #address: Address;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(address: Address, headers: Readonly<Record<string, string>> = {}) {
    this.#address = address;
    this.#headers = headers;
  }

  async call(call: Call): Promise<Reply> {
    const response = await this.open(call, {});
    let text = '';
    response.setEncoding('utf8');
    for await (const chunk of response) text += chunk;
    return { status: response.statusCode ?? 0, text };
  }

  /** As {@link call}, for callers to whom only these statuses are an answer. */
  async expect(call: Call, ...statuses: readonly number[]): Promise<string> {
    const { status, text } = await this.call(call);
    if (!statuses.includes(status)) throw new Error(`${call.method} ${call.path}: ${status} ${text.slice(0, 500)}`);
    return text;
  }

  /** Resolves with the answer's head; its body is the caller's to read. */
  open({ method, path, body }: Call, headers: Readonly<Record<string, string>>): Promise<IncomingMessage> {
    const payload = body === undefined ? null : JSON.stringify(body);
    const described =
      payload === null ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) };
    return new Promise((resolve, reject) => {
      const sent = request(
        { ...this.#address, method, path, agent: this.#agent, headers: { ...this.#headers, ...described, ...headers } },
        resolve,
      );
      sent.on('error', reject);
      sent.end(payload ?? undefined);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}
