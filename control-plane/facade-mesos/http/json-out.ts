/** Answers of JSON, and of JSONP for pages that ask for it. */
import { JSON_TYPE } from './json-in.ts';
import { WireRefusal } from './wire-refusal.ts';

/** A name such as `angular.callbacks._0`. Anything else would be somebody else's program. */
const CALLBACK = /^[A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*|\[\d{1,9}\])*$/;
const CALLBACK_LENGTH_MAX = 200;

/** With `?jsonp=name`, a call of that function. */
export function jsonAnswer(url: URL, body: unknown): Response {
  const callback = url.searchParams.get('jsonp');
  if (callback === null) return new Response(JSON.stringify(body), { headers: { 'content-type': JSON_TYPE } });
  if (callback.length > CALLBACK_LENGTH_MAX || !CALLBACK.test(callback)) {
    throw new WireRefusal(400, "The parameter 'jsonp' must be the name of a function");
  }
  const headers = { 'content-type': 'text/javascript', 'x-content-type-options': 'nosniff' };
  return new Response(`${callback}(${JSON.stringify(body)});`, { headers });
}
