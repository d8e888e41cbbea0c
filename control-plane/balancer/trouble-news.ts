/** What of the troubles is worth a line in the log: each when it begins, and when it is over. Pure. */
import type { Trouble } from './claims.ts';

export function troubleNews(
  before: readonly Trouble[],
  after: readonly Trouble[],
): { readonly begun: readonly Trouble[]; readonly over: readonly Trouble[] } {
  return { begun: missingFrom(before, after), over: missingFrom(after, before) };
}

function missingFrom(known: readonly Trouble[], troubles: readonly Trouble[]): readonly Trouble[] {
  const texts = new Set(known.map(textOf));
  return troubles.filter((trouble) => !texts.has(textOf(trouble)));
}

function textOf({ service, message }: Trouble): string {
  return JSON.stringify([service, message]);
}
