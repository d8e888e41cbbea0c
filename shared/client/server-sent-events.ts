/** Reads an event stream as the HTML standard describes it, from bytes that may be cut anywhere. */

export interface ServerSentEvent {
  /** `message` where the stream names none. */
  readonly type: string;
  /** Null: it carries no data, only the position in `id`. */
  readonly data: string | null;
  /** Of this event alone; null where it has none. (The standard lets an id stick; Berth gives one to certain events only.) */
  readonly id: string | null;
}

/** One event may be this long; a longer one isn't from Berth. */
export const EVENT_CHARACTERS_MAX = 4 * 1024 * 1024;

/**
 * Feeds on text and gives back the events that it completes. Comments, which keep a connection from looking dead, complete
 * none; a bare id, by which the server moves the position of a quiet stream, is an event without data. Throws a RangeError where an event passes {@link EVENT_CHARACTERS_MAX}.
 */
export function createEventParser(): (text: string) => ServerSentEvent[] {
  let rest = '';
  let fields: EventFields = NO_FIELDS;

  return (text) => {
    rest += text;
    if (rest.length + fields.data.length > EVENT_CHARACTERS_MAX) {
      throw new RangeError(`an event is longer than ${EVENT_CHARACTERS_MAX} characters`);
    }
    const events: ServerSentEvent[] = [];
    const { lines, remainder } = splitLines(rest);
    rest = remainder;
    for (const line of lines) {
      if (line === '') {
        const { type, data, hasData, id } = fields;
        if (hasData || id !== null) events.push({ type, data: hasData ? data : null, id });
        fields = NO_FIELDS;
      } else {
        fields = withLine(fields, line);
      }
    }
    return events;
  };
}

interface EventFields {
  readonly type: string;
  readonly data: string;
  readonly hasData: boolean;
  readonly id: string | null;
}

const NO_FIELDS: EventFields = { type: 'message', data: '', hasData: false, id: null };

function withLine(fields: EventFields, line: string): EventFields {
  const colon = line.indexOf(':');
  const name = colon === -1 ? line : line.slice(0, colon);
  const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
  switch (name) {
    case 'event':
      return { ...fields, type: value };
    case 'id':
      return { ...fields, id: value };
    case 'data':
      return { ...fields, data: fields.hasData ? `${fields.data}\n${value}` : value, hasData: true };
    default:
      return fields;
  }
}

/** Lines end in CRLF, LF or CR. A CR at the very end waits for what follows: it may be half of a CRLF. */
function splitLines(text: string): { lines: string[]; remainder: string } {
  const waits = text.endsWith('\r') ? text.length - 1 : text.length;
  const parts = text.slice(0, waits).split(/\r\n|\n|\r/);
  const remainder = (parts.pop() ?? '') + text.slice(waits);
  return { lines: parts, remainder };
}
