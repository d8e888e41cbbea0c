/**
 * Responses whose every write is a chunk of its own. Node.js makes one chunk of all that is written before it comes to send, and
 * there are clients that take each chunk for one record. The socket still sends together what comes together.
 */
import { type IncomingMessage, ServerResponse } from 'node:http';

export class ChunkedResponse<R extends IncomingMessage = IncomingMessage> extends ServerResponse<R> {
  override write(chunk: unknown, ...rest: never[]): boolean {
    const { socket } = this;
    // A response collects what is written only where its socket doesn't do so already.
    if (socket !== null && socket.writableCorked === 0) {
      socket.cork();
      process.nextTick(() => socket.uncork());
    }
    return super.write(chunk, ...rest);
  }
}
