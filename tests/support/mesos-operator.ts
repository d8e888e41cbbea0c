/** Calls of an operator's client of the Mesos door. */
import { expect } from 'vitest';
import type { TestApi } from './api.ts';
import { caughtUp } from './replica.ts';

export const OPERATOR = '/api/v1';

export interface OperatorAnswer {
  readonly status: number;
  readonly text: string;
}

/** What is answered, once this replica has seen what came of it. */
export async function operate(
  berth: TestApi,
  json: object,
  { token, path = OPERATOR }: { readonly token?: string; readonly path?: string } = {},
): Promise<OperatorAnswer> {
  const response = await berth.send('POST', path, { json, ...(token !== undefined && { token }) });
  const text = await response.text();
  await caughtUp(berth.replica.ctx);
  return { status: response.status, text };
}

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers as clients do, without a schema.
export type Told = any;

/** What a call that asks for something is answered with, under its own name. */
export async function told(berth: TestApi, type: string, token?: string): Promise<Told> {
  const body = type === 'GET_METRICS' ? { get_metrics: {} } : {};
  const { status, text } = await operate(berth, { type, ...body }, token === undefined ? {} : { token });
  expect([type, status, text.slice(0, 200)]).toEqual([type, 200, expect.stringMatching(/^\{/)]);
  const answer = JSON.parse(text);
  expect(Object.keys(answer)).toEqual(['type', type.toLowerCase()]);
  expect(answer.type).toBe(type);
  return answer[type.toLowerCase()];
}
