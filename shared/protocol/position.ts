/**
 * How far a client has seen the state: the revision, and the incarnation that it is of. Revisions of different incarnations
 * can't be compared; the store was restored from an older snapshot in between. Spelled `<incarnation>-<revision>`, and in the
 * first incarnation, which is most clusters' only one, as the revision alone.
 */
import { FIRST_INCARNATION } from '../domain/node.ts';

export interface StatePosition {
  readonly incarnation: number;
  readonly revision: number;
}

export const POSITION_PATTERN = /^(?:(\d{1,15})-)?(\d{1,15})$/;

export function positionText({ incarnation, revision }: StatePosition): string {
  return incarnation === FIRST_INCARNATION ? String(revision) : `${incarnation}-${revision}`;
}

/** Null: it isn't spelled like one. */
export function parsePosition(text: string): StatePosition | null {
  const match = POSITION_PATTERN.exec(text);
  if (match === null) return null;
  return { incarnation: Number(match[1] ?? FIRST_INCARNATION), revision: Number(match[2]) };
}

export function isLater(a: StatePosition, b: StatePosition): boolean {
  return a.incarnation === b.incarnation ? a.revision > b.revision : a.incarnation > b.incarnation;
}
