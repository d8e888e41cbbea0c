/**
 * Where a text stops being JSON (RFC 8259). Engines say it in words of their own, some with a position, some without, so the
 * text is looked through again once one of them has refused it. No recursion: brackets alone can be deeper than any stack.
 */

export interface SyntaxFault {
  /** Characters before the first one that can't stand where it stands. */
  readonly position: number;
  readonly message: string;
}

const SPACE = /[ \t\n\r]*/y;
const SCALAR = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.+-])|(?:true|false|null)(?!\w)/y;
/** All of a string but the closing quote: anything from the space on that is neither a quote nor a backslash, and escapes. */
const OPEN_STRING = /"[ !#-[\]-\uffff]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[ !#-[\]-\uffff]*)*/y;

/** What may come next. */
type Expected =
  | 'a value'
  | 'a value or "]"'
  | 'a name in double quotes'
  | 'a name in double quotes or "}"'
  | '":"'
  | 'more'
  | 'the end';

/** Null: the text is JSON. */
export function findSyntaxFault(text: string): SyntaxFault | null {
  const open: ('{' | '[')[] = [];
  let expected: Expected = 'a value';
  let position = skip(SPACE, text, 0);
  while (position < text.length) {
    const step = takeOne(text, position, expected, open.at(-1));
    if ('message' in step) return step;
    if (step.opens !== undefined) open.push(step.opens);
    if (step.closes === true) open.pop();
    expected = step.expected === 'more' && open.length === 0 ? 'the end' : step.expected;
    position = skip(SPACE, text, step.next);
  }
  if (expected === 'the end') return null;
  return { position, message: `it ends too early: ${describe(expected, open.at(-1))} was expected` };
}

interface Step {
  readonly next: number;
  readonly expected: Expected;
  readonly opens?: '{' | '[';
  readonly closes?: boolean;
}

function takeOne(
  text: string,
  position: number,
  expected: Expected,
  inside: '{' | '[' | undefined,
): Step | SyntaxFault {
  const character = text.charAt(position);
  const unexpected = () => fault(text, position, describe(expected, inside));
  switch (expected) {
    case 'a value or "]"':
      if (character === ']') return { next: position + 1, expected: 'more', closes: true };
      return takeValue(text, position) ?? unexpected();
    case 'a value':
      return takeValue(text, position) ?? unexpected();
    case 'a name in double quotes or "}"':
      if (character === '}') return { next: position + 1, expected: 'more', closes: true };
      return character === '"' ? takeString(text, position, '":"') : unexpected();
    case 'a name in double quotes':
      return character === '"' ? takeString(text, position, '":"') : unexpected();
    case '":"':
      return character === ':' ? { next: position + 1, expected: 'a value' } : unexpected();
    case 'more':
      if (character === ',')
        return { next: position + 1, expected: inside === '{' ? 'a name in double quotes' : 'a value' };
      if (character === (inside === '{' ? '}' : ']')) return { next: position + 1, expected: 'more', closes: true };
      return unexpected();
    case 'the end':
      return unexpected();
  }
}

function takeValue(text: string, position: number): Step | SyntaxFault | null {
  const character = text.charAt(position);
  if (character === '{') return { next: position + 1, expected: 'a name in double quotes or "}"', opens: '{' };
  if (character === '[') return { next: position + 1, expected: 'a value or "]"', opens: '[' };
  if (character === '"') return takeString(text, position, 'more');
  const next = skip(SCALAR, text, position);
  return next === position ? null : { next, expected: 'more' };
}

function takeString(text: string, position: number, expected: Expected): Step | SyntaxFault {
  const end = skip(OPEN_STRING, text, position);
  if (text.charAt(end) === '"') return { next: end + 1, expected };
  if (end >= text.length) return { position: end, message: 'it ends within a text: a closing double quote is missing' };
  const what =
    text.charAt(end) === '\\' ? 'an escape that JSON does not know' : 'a line break or control character within a text';
  return { position: end, message: what };
}

function skip(pattern: RegExp, text: string, from: number): number {
  pattern.lastIndex = from;
  return pattern.test(text) ? pattern.lastIndex : from;
}

function fault(text: string, position: number, expected: string): SyntaxFault {
  const word =
    /^[\w.+-]{2,20}/.exec(text.slice(position, position + 20))?.[0] ??
    String.fromCodePoint(text.codePointAt(position) ?? 0);
  return { position, message: `${JSON.stringify(word)} where ${expected} was expected` };
}

function describe(expected: Expected, inside: '{' | '[' | undefined): string {
  if (expected !== 'more') return expected;
  return inside === '{' ? '"," or "}"' : '"," or "]"';
}
