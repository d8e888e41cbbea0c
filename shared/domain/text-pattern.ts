/**
 * Patterns that people write to tell texts by. They are RE2's regular expressions: without what would need trying back and forth, so
 * that a text takes time in proportion to its length, whatever the pattern. JavaScript's own can take for ever, and one constraint of a
 * job would hold up the planning of everybody's.
 */
import { RE2JS } from 're2js';

export const PATTERN_LENGTH_MAX = 512;
/** Steps of the program that a pattern becomes: what matching costs, for each character. `[a-z]{1,9}` has about ten. */
export const PATTERN_STEPS_MAX = 256;

export interface TextPattern {
  /** Whether the text as a whole is of this pattern. */
  matches(text: string): boolean;
}

/** A text that says why, and what to do, where it is no pattern, or too large a one. */
export function readPattern(text: string): TextPattern | string {
  if (text.length > PATTERN_LENGTH_MAX) return `must be a pattern of at most ${PATTERN_LENGTH_MAX} characters`;
  const compiled = compile(text);
  if (typeof compiled === 'string') return compiled;
  const steps = compiled.programSize();
  if (steps > PATTERN_STEPS_MAX) {
    return `is too large a pattern: it comes to ${steps} steps, of ${PATTERN_STEPS_MAX}; repeat less, or name fewer alternatives`;
  }
  return { matches: (given) => compiled.matches(given) };
}

/** The pattern of this text and no other. */
export function patternOfText(text: string): string {
  return RE2JS.quote(text);
}

function compile(text: string): RE2JS | string {
  try {
    return RE2JS.compile(text);
  } catch (error) {
    const why = error instanceof Error ? error.message.replace(/^error parsing regexp: /, '') : String(error);
    return `must be a regular expression as RE2 has them: ${why}`;
  }
}
