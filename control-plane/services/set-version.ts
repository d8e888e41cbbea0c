/**
 * The version of what operators set as a whole, for conditional changes: the revision of its last change, so that none is ever used
 * twice, also not for what was taken away and set again.
 */
import { Refusal } from '../../shared/domain/errors.ts';
import type { Answer } from './context.ts';

/** What was drafted, without the version that only its commit brings. `version`: as it stands, where nothing changes; else null. */
export interface Unversioned<T> {
  readonly view: T;
  readonly version: number | null;
}

export function versioned<T extends object>({
  body,
  ...answer
}: Answer<Unversioned<T>>): Answer<T & { version: number }> {
  return { ...answer, body: { ...body.view, version: body.version ?? answer.revision } };
}

/** Throws `revision-mismatch` unless this version stands. `what` begins the sentence: `role "eng"`. */
export function checkVersion(what: string, version: number, ifVersion: number | null): void {
  if (ifVersion === null || ifVersion === version) return;
  const actual = version === 0 ? 'has nothing set' : `is at version ${version}`;
  throw new Refusal(
    'revision-mismatch',
    `${what} ${actual}, not at version ${ifVersion}; read it again and decide anew`,
    {
      faults: [{ path: 'header:If-Match', message: `it ${actual}` }],
    },
  );
}
