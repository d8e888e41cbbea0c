/** Says whether what Berth is run with has known vulnerabilities. Its exit code tells apart that it has none and that nobody knows. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { type Finding, readAudit, type Verdict } from './verdict.ts';

const EXIT = { clean: 0, vulnerable: 1, 'not-checked': 75 } as const;
const TIMEOUT_MS = 60_000;

function audit(): Verdict {
  const { stdout, error } = spawnSync(
    'npm',
    ['audit', '--json', '--omit=dev', '--fetch-retries=0', '--fetch-timeout=20000'],
    {
      cwd: join(import.meta.dirname, '../..'),
      encoding: 'utf8',
      timeout: TIMEOUT_MS,
      maxBuffer: 64 * 1024 * 1024,
    },
  );
  if (error !== undefined) return { kind: 'not-checked', why: `npm could not be run: ${error.message}` };
  return readAudit(stdout);
}

function say(verdict: Verdict): void {
  switch (verdict.kind) {
    case 'clean':
      console.log(`no grave vulnerability is known of the ${verdict.dependencies} packages that Berth is run with`);
      verdict.minor.forEach(sayFinding);
      return;
    case 'vulnerable':
      console.log(
        'grave vulnerabilities are known of packages that Berth is run with; update them (npm audit tells how):',
      );
      verdict.findings.forEach(sayFinding);
      return;
    case 'not-checked':
      console.log(`NOT CHECKED: the registry can't be asked for known vulnerabilities (${verdict.why})`);
  }
}

function sayFinding({ name, severity, range, titles }: Finding): void {
  console.log(`  ${severity}: ${name} ${range}: ${titles.join('; ')}`);
}

const verdict = audit();
say(verdict);
const isStrict = process.argv.includes('--strict');
process.exitCode = verdict.kind === 'not-checked' && isStrict ? EXIT.vulnerable : EXIT[verdict.kind];
