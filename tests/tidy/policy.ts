/** Who may do what is decided in one place. Elsewhere, code asks it, and writes down who asked. */
import type { Finding } from './finding.ts';
import type { SourceFile } from './source.ts';

const HOME = 'control-plane/auth/';

const DECISIONS = [
  { pattern: /\bprincipal\.(?:grants|node)\b|\bprincipal\.kind\s*[!=]==/g, what: "what a principal's token says" },
  {
    pattern: /\bprincipal\.subject\s*[!=]==|[!=]==\s*(?:\w+\.)*principal\.subject\b/g,
    what: "a principal's name by comparison",
  },
  { pattern: /\bmayEverything\(/g, what: 'whether somebody may do everything' },
] as const;

export function checkPolicy(files: readonly SourceFile[]): readonly Finding[] {
  return files
    .filter(({ path }) => path.startsWith('control-plane/') && !path.startsWith(HOME))
    .flatMap((file) =>
      DECISIONS.flatMap(({ pattern, what }) =>
        [...file.text.matchAll(pattern)].map(({ index }) => ({
          path: file.path,
          line: file.lineAt(index),
          message: `looks at ${what}; ask a function of ${HOME}policy.ts, which has tables and laws, or add one there`,
        })),
      ),
    );
}
