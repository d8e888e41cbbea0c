/** Tells the story on a terminal: chapters, facts, and what others print. */
import { stdout } from 'node:process';
import { type Paint, painter, wantsColour } from '../../control-plane/cli/output/paint.ts';

export interface Narrator {
  readonly paint: Paint;
  chapter(title: string): void;
  /** A line below the chapter's title. */
  tell(text: string): void;
  /** Text that isn't ours, each line marked. */
  quote(text: string): void;
}

export function createNarrator(): Narrator {
  const output = { write: (text: string) => void stdout.write(text), isTerminal: stdout.isTTY === true, columns: null };
  const paint = painter(wantsColour(output, process.env, undefined));
  return {
    paint,
    chapter: (title) => output.write(`\n${paint('cyan', '▸')} ${paint('bold', title)}\n`),
    tell: (text) => output.write(indented(text, '  ')),
    quote: (text) => output.write(indented(text, `  ${paint('dim', '│')} `)),
  };
}

function indented(text: string, prefix: string): string {
  const lines = text.replace(/\n$/, '').split('\n');
  return lines.map((line) => `${prefix}${line}`.trimEnd().concat('\n')).join('');
}
