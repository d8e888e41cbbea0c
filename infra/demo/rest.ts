/** Plain HTTP with a token: what the demo has instead of a client, to show that none is needed. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { z } from 'zod';

export interface Rest {
  readonly token: string;
  readonly signal: AbortSignal;
  call<S extends z.ZodType>(method: 'GET' | 'POST', path: string, schema: S, body?: unknown): Promise<z.output<S>>;
  /** Hands on the text of an answer as it comes, whole lines at a time. */
  stream(path: string, onText: (text: string) => void): Promise<void>;
}

export function createRest(options: { address: string; token: string; signal: AbortSignal }): Rest {
  const { address, token, signal } = options;
  const send = async (method: string, path: string, body?: unknown) => {
    const headers: Record<string, string> = { Authorization: `Bearer ${token}` };
    if (method === 'POST') headers['Idempotency-Key'] = randomUUID();
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    const response = await fetch(address + path, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal,
    });
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${await response.text()}`);
    return response;
  };
  return {
    token,
    signal,
    call: async (method, path, schema, body) => schema.parse(await (await send(method, path, body)).json()),
    async stream(path, onText) {
      const { body } = await send('GET', path);
      const decoder = new TextDecoder();
      let rest = '';
      for await (const chunk of body ?? []) {
        const text = rest + decoder.decode(chunk, { stream: true });
        const end = text.lastIndexOf('\n') + 1;
        rest = text.slice(end);
        if (end > 0) onText(text.slice(0, end));
      }
      if (rest !== '') onText(rest);
    },
  };
}

const WAIT_MS = 30_000;
const LOOK_MS = 50;

/** Looks until there is something to see. */
export async function until<T>(what: string, signal: AbortSignal, look: () => Promise<T | null>): Promise<T> {
  const deadlineMs = performance.now() + WAIT_MS;
  while (performance.now() < deadlineMs) {
    const seen = await look();
    if (seen !== null) return seen;
    await sleep(LOOK_MS, undefined, { signal });
  }
  throw new Error(`waited ${WAIT_MS / 1000} s in vain until ${what}`);
}
