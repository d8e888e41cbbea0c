/**
 * A Request that hears of its signal's abort for as long as that signal lives. Node.js lets a Request follow its signal only while
 * somebody holds the Request itself, and what serves a stream holds no more of it than its signal: once the rest had been collected,
 * nothing would tell the stream that its client has gone. Behind a socket it is the connection's end that tells.
 */
export function heldRequest(input: RequestInfo | URL, init?: RequestInit): Request {
  const request = new Request(input, init);
  init?.signal?.addEventListener('abort', () => void request.signal, { once: true });
  return request;
}
