/** Answers of JSON, and of JSONP for pages that ask for it. In ASCII, so that nobody has to guess how bytes become characters. */
import { JSON_TYPE } from './json-in.ts';
import { asciiJson } from './record-io.ts';
import { WireRefusal } from './wire-refusal.ts';

/** A name such as `angular.callbacks._0`. Anything else would be somebody else's program. */
const CALLBACK = /^[A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*|\[\d{1,9}\])*$/;
const CALLBACK_LENGTH_MAX = 200;

/** What stands around the JSON: nothing, or with `?jsonp=name` a call of that function. */
export interface JsonFrame {
  readonly before: string;
  readonly after: string;
  readonly headers: Readonly<Record<string, string>>;
}

export function frameOf(url: URL): JsonFrame {
  const callback = url.searchParams.get('jsonp');
  if (callback === null) return { before: '', after: '', headers: { 'content-type': JSON_TYPE } };
  if (callback.length > CALLBACK_LENGTH_MAX || !CALLBACK.test(callback)) {
    throw new WireRefusal(400, "The parameter 'jsonp' must be the name of a function");
  }
  const headers = { 'content-type': 'text/javascript', 'x-content-type-options': 'nosniff' };
  return { before: `${callback}(`, after: ');', headers };
}

export function jsonAnswer(url: URL, body: unknown): Response {
  const { before, after, headers } = frameOf(url);
  return new Response(`${before}${asciiJson(body)}${after}`, { headers });
}
