/** What no answer may be, whatever was asked. */
import type { DrawnRequest } from './requests.ts';

export interface Finding {
  readonly what: string;
  readonly request: DrawnRequest | null;
  readonly detail: string;
}

/** What Mesos's own master answers to calls that it doesn't know either. */
const NOT_IMPLEMENTED = 501;

/** A stack, or a path of the machine that serves. */
const INNARDS = /\n\s+at |node_modules|\/control-plane\/[a-z-]+\/|\.ts:\d+/;

/** Null: nothing is wrong with it. `text`: the body; null: it wasn't read to its end. */
export function judge(request: DrawnRequest, response: Response, text: string | null): Finding | null {
  const { status, headers } = response;
  const say = (what: string): Finding => ({ what, request, detail: `${status} ${text?.slice(0, 500)}` });
  const isKnown = status === NOT_IMPLEMENTED && request.site.door === 'mesos';
  if (status >= 500 && !isKnown) return say(`was answered ${status}`);
  if (status < 200) return say(`was answered ${status}`);
  if (status >= 400 && text !== null && INNARDS.test(text)) return say('tells of its innards');
  if (request.site.door === 'mesos') return null;
  if (headers.get('x-content-type-options') !== 'nosniff') return say('lacks a header of every answer');
  if (status >= 400 && request.method !== 'HEAD' && text !== null)
    return isProblem(headers, text, status) ? null : say('is no problem');
  return null;
}

function isProblem(headers: Headers, text: string, status: number): boolean {
  if (headers.get('content-type') !== 'application/problem+json') return false;
  try {
    const problem = JSON.parse(text) as { status?: unknown; code?: unknown; detail?: unknown };
    return problem.status === status && typeof problem.code === 'string' && typeof problem.detail === 'string';
  } catch {
    return false;
  }
}

/** The request, so that a person can send it again. */
export function describeRequest({ method, url, headers, body }: DrawnRequest): string {
  const lines = headers.map(([name, value]) => `${name}: ${JSON.stringify(value.slice(0, 200))}`);
  const sent = body === null ? [] : [JSON.stringify(new TextDecoder().decode(body.slice(0, 2000)))];
  return [`${method} ${url.slice(0, 500)}`, ...lines, ...sent].join('\n    ');
}
