/**
 * How many tests passed and failed, read off Vitest's JSON report.
 *
 * The count errs towards failure, because its reader only looks at the number: a file that could not be loaded, an error that
 * no test owns and a run without a single test each count as one failed test, and so does a test that was skipped. The one
 * exception is a test whose name says that it needs a GPU: machines without one may skip it.
 */
import { z } from 'zod';

export type Count = {
  readonly passed: number;
  readonly failed: number;
  /** What failed, each in a line. */
  readonly notes: readonly string[];
  /** What could not be looked at, so that it has neither passed nor failed. */
  readonly unchecked?: readonly string[];
};

/** By it a script says that it could not look: what it asks is out of reach. */
const EXIT_UNCHECKED = 75;

/** An npm script counts as one test. `exitCode` is null after a signal. */
export function countScript(script: string, exitCode: number | null): Count {
  if (exitCode === 0) return { passed: 1, failed: 0, notes: [] };
  const name = `npm run ${script}`;
  if (exitCode === EXIT_UNCHECKED)
    return { passed: 0, failed: 0, notes: [], unchecked: [`${name} (it says why, above)`] };
  return { passed: 0, failed: 1, notes: [`${name} (exit code ${exitCode})`] };
}

const reportSchema = z.object({
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      message: z.string().optional(),
      assertionResults: z.array(z.object({ fullName: z.string(), status: z.string() })),
    }),
  ),
});

/** `reportText` is what Vitest wrote, or undefined where it wrote nothing; `exitCode` is null after a signal. */
export function countTests(reportText: string | undefined, exitCode: number | null): Count {
  const report = parseReport(reportText);
  if (report === undefined) return { passed: 0, failed: 1, notes: [`no report was written (exit code ${exitCode})`] };
  const tests = report.testResults.flatMap((file) => file.assertionResults);
  const passed = tests.filter((test) => test.status === 'passed').length;
  const failures = [
    ...tests.filter((test) => test.status === 'failed').map((test) => test.fullName),
    ...tests.filter(isWronglySkipped).map((test) => `${test.fullName} (${test.status}: it never ran)`),
    ...report.testResults.filter(hasCrashed).map((file) => `${file.name} (the file itself failed: ${firstLine(file)})`),
  ];
  if (failures.length === 0 && tests.length === 0) failures.push(`there are no tests (exit code ${exitCode})`);
  if (failures.length === 0 && exitCode !== 0) failures.push(`an error outside of any test (exit code ${exitCode})`);
  return { passed, failed: failures.length, notes: failures };
}

type Report = z.infer<typeof reportSchema>;
type ReportedFile = Report['testResults'][number];

function parseReport(text: string | undefined): Report | undefined {
  if (text === undefined) return undefined;
  try {
    return reportSchema.parse(JSON.parse(text));
  } catch {
    // A report that was cut off is the same as none: the run did not come to its end.
    return undefined;
  }
}

function isWronglySkipped(test: ReportedFile['assertionResults'][number]): boolean {
  return test.status !== 'passed' && test.status !== 'failed' && !test.fullName.includes('GPU');
}

function hasCrashed(file: ReportedFile): boolean {
  return file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed');
}

function firstLine(file: ReportedFile): string {
  return file.message?.split('\n')[0] ?? 'no message';
}
