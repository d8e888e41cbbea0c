/** The messages of a stream: how they are framed and what they say, through the Mesos door and through the native API. */

export const STREAM_KINDS = ['native', 'door'] as const;
export type StreamKind = (typeof STREAM_KINDS)[number];

interface NativeEvent {
  readonly type: string;
  readonly offers?: readonly { readonly id: string }[];
  readonly offer?: string;
}

interface Id {
  readonly value: string;
}

interface DoorEvent {
  readonly subscribed?: { readonly framework_id: Id };
  readonly offers?: { readonly offers: readonly { readonly id: Id }[] };
  readonly rescind?: { readonly offer_id: Id };
}

/** Whether a message brings offers, told without reading it. */
export function bringsOffers(kind: StreamKind, text: string): boolean {
  return text.startsWith(kind === 'door' ? '{"type":"OFFERS"' : '{"type":"offers"');
}

/** The offers that a message brings. */
export function offersIn(kind: StreamKind, text: string): string[] {
  if (!bringsOffers(kind, text)) return [];
  if (kind === 'native') return ((JSON.parse(text) as NativeEvent).offers ?? []).map(({ id }) => id);
  return ((JSON.parse(text) as DoorEvent).offers?.offers ?? []).map(({ id }) => id.value);
}

/** The offer that a message takes back; null: none. */
export function withdrawnIn(kind: StreamKind, text: string): string | null {
  if (kind === 'door') return (JSON.parse(text) as DoorEvent).rescind?.offer_id.value ?? null;
  const { type, offer } = JSON.parse(text) as NativeEvent;
  return type === 'offer-gone' ? (offer ?? null) : null;
}

/** The framework that the door's first message is for. Throws when it is another message. */
export function subscribedIn(text: string): string {
  const id = (JSON.parse(text) as DoorEvent | null)?.subscribed?.framework_id.value;
  if (id === undefined) throw new Error(`not subscribed: ${text}`);
  return id;
}

/** Texts out of chunks that may be cut anywhere. What the door says is ASCII, so characters are bytes. */
export class RecordFrames {
  #text = '';

  take(chunk: string): string[] {
    this.#text += chunk;
    const texts: string[] = [];
    for (;;) {
      const feed = this.#text.indexOf('\n');
      if (feed < 0) return texts;
      const end = feed + 1 + Number(this.#text.slice(0, feed));
      if (this.#text.length < end) return texts;
      texts.push(this.#text.slice(feed + 1, end));
      this.#text = this.#text.slice(end);
    }
  }
}

/** The data of server-sent events, each of which is one line of ours. */
export class EventFrames {
  #text = '';

  take(chunk: string): string[] {
    const blocks = (this.#text + chunk).split('\n\n');
    this.#text = blocks.pop() ?? '';
    return blocks.flatMap((block) =>
      block.split('\n').flatMap((line) => (line.startsWith('data:') ? [line.slice('data:'.length).trimStart()] : [])),
    );
  }
}
