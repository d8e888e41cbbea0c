/** What a conversation between a client and the door is made of. Texts may hold placeholders (see `placeholders.ts`). */
import type { ClientName } from './clients.ts';

export interface Conversation {
  /** The calls and events that it is about. */
  readonly about: string;
  readonly client: ClientName;
  readonly turns: readonly Turn[];
}

export type Turn =
  /** Opens a stream, which takes the place of an older one. */
  | { readonly subscribes: object }
  /** A call. Without an answer: it is taken. */
  | { readonly calls: object; readonly answer?: Answer }
  /** The next records of the present stream, each as the whole text of its JSON, heartbeats between them left out. */
  | { readonly hears: readonly string[] }
  /** The same of the stream before the present one. */
  | { readonly hearsBefore: readonly string[] }
  /** The present stream has come to its end, by its last chunk; or the one before it. */
  | { readonly ends: 'present' | 'before' }
  | { readonly meanwhile: Happening };

export interface Answer {
  readonly status: string;
  readonly text: string;
}

/** What happens to the cluster between two turns. */
export type Happening =
  | 'offers are made'
  | 'the task runs'
  | 'the task finishes'
  | 'the task fails for want of memory'
  | 'the task was killed'
  | 'the executor says something'
  | 'a window is set'
  | 'the window is taken back'
  | 'the node falls silent'
  | 'an operator removes the framework';

export const TAKEN: Answer = { status: 'HTTP/1.1 202 Accepted', text: '' };

export function refused(text: string): Answer {
  return { status: 'HTTP/1.1 400 Bad Request', text };
}
