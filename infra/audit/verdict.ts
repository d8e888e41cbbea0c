/** What npm's report of known vulnerabilities means. A report that isn't one is never taken for a good one. */
import { z } from 'zod';

export type Verdict =
  | { readonly kind: 'clean'; readonly dependencies: number; readonly minor: readonly Finding[] }
  | { readonly kind: 'vulnerable'; readonly findings: readonly Finding[] }
  | { readonly kind: 'not-checked'; readonly why: string };

export interface Finding {
  readonly name: string;
  readonly severity: string;
  /** The versions that have it. */
  readonly range: string;
  readonly titles: readonly string[];
}

const GRAVE: readonly string[] = ['high', 'critical'];

const reportSchema = z.object({
  auditReportVersion: z.literal(2),
  vulnerabilities: z.record(
    z.string(),
    z.object({
      name: z.string(),
      severity: z.string(),
      range: z.string(),
      // A text names another package of the report, through which this one has it.
      via: z.array(z.union([z.string(), z.object({ title: z.string().default('without a title') })])),
    }),
  ),
  metadata: z.object({ dependencies: z.object({ prod: z.number() }) }),
});

const refusalSchema = z.object({ message: z.string() });

/** `stdout` is that of `npm audit --json`. */
export function readAudit(stdout: string): Verdict {
  const report = parsed(stdout);
  const read = reportSchema.safeParse(report);
  if (!read.success) return { kind: 'not-checked', why: whyNot(report) };
  const { vulnerabilities, metadata } = read.data;
  const { prod: dependencies } = metadata.dependencies;
  if (dependencies === 0) return { kind: 'not-checked', why: 'the report is about no package at all' };
  const findings = Object.values(vulnerabilities).map(({ name, severity, range, via }) => ({
    ...{ name, severity, range },
    titles: via.map((each) => (typeof each === 'string' ? `by ${each}` : each.title)),
  }));
  const grave = findings.filter(({ severity }) => GRAVE.includes(severity));
  return grave.length > 0 ? { kind: 'vulnerable', findings: grave } : { kind: 'clean', dependencies, minor: findings };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function whyNot(report: unknown): string {
  if (report === undefined) return 'npm gave no report';
  const refusal = refusalSchema.safeParse(report);
  // It may name the registry that somebody's machine is set to, which is nobody's business here.
  return refusal.success
    ? refusal.data.message.replace(/\s*-?\s*\S*https?:\S*/g, '')
    : 'the report is not of a known form';
}
