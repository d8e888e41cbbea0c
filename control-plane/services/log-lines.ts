/** Output on its way from an agent: newline-delimited JSON that the network cuts anywhere, back into lines. Pure. */
import { Refusal } from '../../shared/domain/errors.ts';
import type { LogLine } from '../../shared/protocol/agent.ts';
import { logLineSchema } from '../../shared/protocol/agent-schemas.ts';

/** A line of JSON longer than this isn't one that an agent sends: it cuts the text of a line well before. */
const JSON_LENGTH_MAX = 2_097_152;

export interface TakenLines {
  readonly lines: readonly LogLine[];
  /** What came after the last newline: the beginning of the next line. */
  readonly rest: string;
}

/** The lines that are complete once `text` has been added to the rest of the text before. Throws `invalid-request`. */
export function takeLines(rest: string, text: string): TakenLines {
  const parts = `${rest}${text}`.split('\n');
  const next = parts.pop() ?? '';
  if (next.length > JSON_LENGTH_MAX) throw unreadable(`a line has more than ${JSON_LENGTH_MAX} characters`);
  return { lines: parts.filter((part) => part.trim() !== '').map(parseLine), rest: next };
}

function parseLine(json: string): LogLine {
  const result = logLineSchema.safeParse(parseJson(json));
  if (result.success) return result.data;
  throw unreadable(
    result.error.issues.map((issue) => `/${issue.path.map(String).join('/')} ${issue.message}`).join('; '),
  );
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    throw unreadable("a line isn't JSON");
  }
}

function unreadable(why: string): Refusal {
  return new Refusal('invalid-request', `the stream is not newline-delimited log lines: ${why}`);
}
