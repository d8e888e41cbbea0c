import { expect } from 'vitest';

/** Something that a check doesn't accept. The message says what is wrong, what to write instead, and why. */
export type Finding = { readonly path: string; readonly line: number; readonly message: string };

/** `path:line: message`, one per line, so that an editor can jump to each. */
function formatFindings(findings: readonly Finding[]): string {
  return findings.map(({ path, line, message }) => `${path}:${line}: ${message}`).join('\n');
}

/** Fails with the findings themselves as the message. */
export function expectTidy(findings: readonly Finding[]): void {
  if (findings.length > 0) expect.fail(`\n${formatFindings(findings)}`);
}
