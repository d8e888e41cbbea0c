/**
 * Where the one who brings a task's output and the one who reads it find each other. A replica that lives on is such a place by itself, and
 * has a URL for its peers. Where each request may be served by another process, and none has a URL of its own, the platform has to offer
 * one.
 */

type Body = ReadableStream<Uint8Array>;

/** What became of what was brought: all of it was taken, or its reader has had enough; or it was not wanted in the first place. */
export type BringOutcome = 'taken' | 'nobody-reads' | 'brought-already';

export interface StreamMeeting {
  /** Waits for somebody who brings the stream. Null: nobody came in time, or the signal was aborted. */
  read(id: string, signal: AbortSignal): Promise<Body | null>;
  /** Brings a stream, and gives whoever reads it a moment to come. Ends early when `tokenOver` is aborted. */
  bring(id: string, body: Body, tokenOver: AbortSignal | null): Promise<BringOutcome>;
}
