import { describe, expect, it } from 'vitest';
import { readAudit } from '../../../infra/audit/verdict.ts';

function report(vulnerabilities: object, prod = 78): string {
  const metadata = { vulnerabilities: {}, dependencies: { prod, dev: 120, optional: 3, total: prod + 120 } };
  return JSON.stringify({ auditReportVersion: 2, vulnerabilities, metadata });
}

function vulnerability(name: string, severity: string, via: readonly unknown[]) {
  return {
    [name]: { name, severity, isDirect: true, via, effects: [], range: '<1.2.3', nodes: [], fixAvailable: true },
  };
}

const ADVISORY = {
  source: 1,
  name: 'left',
  title: 'Left is not right',
  url: 'https://example.org/1',
  severity: 'high',
};

describe("npm's report", () => {
  it('of nothing found is clean, and says of how many packages', () => {
    expect(readAudit(report({}))).toEqual({ kind: 'clean', dependencies: 78, minor: [] });
  });

  it.each(['high', 'critical'])('of what is %s is a failure that names it', (severity) => {
    const found = { ...vulnerability('left', severity, [ADVISORY]), ...vulnerability('top', severity, ['left']) };
    expect(readAudit(report(found))).toEqual({
      kind: 'vulnerable',
      findings: [
        { name: 'left', severity, range: '<1.2.3', titles: ['Left is not right'] },
        { name: 'top', severity, range: '<1.2.3', titles: ['by left'] },
      ],
    });
  });

  it.each(['info', 'low', 'moderate'])('of what is %s is told, and no failure', (severity) => {
    const verdict = readAudit(report(vulnerability('left', severity, [ADVISORY])));
    expect(verdict).toMatchObject({ kind: 'clean', minor: [{ name: 'left', severity }] });
  });

  it.each<[what: string, text: string, why: RegExp]>([
    ['that is empty', '', /no report/],
    ['that was cut off', report({}).slice(0, 40), /no report/],
    ['about nothing', report({}, 0), /no package at all/],
    ['of another form', '{"auditReportVersion":3,"vulnerabilities":{}}', /not of a known form/],
    ['without its numbers', '{"auditReportVersion":2,"vulnerabilities":{}}', /not of a known form/],
    [
      'that is a refusal of the registry',
      JSON.stringify({
        message: '405 Method Not Allowed - POST https://registry.example/-/npm/v1/security',
        statusCode: 405,
      }),
      /^405 Method Not Allowed - POST$/,
    ],
    [
      'that nobody answered',
      JSON.stringify({ message: 'request to https://registry.example/x failed, reason: connect ECONNREFUSED' }),
      /^request to failed, reason: connect ECONNREFUSED$/,
    ],
  ])('%s is never taken for a good one', (_what, text, why) => {
    expect(readAudit(text)).toEqual({ kind: 'not-checked', why: expect.stringMatching(why) });
  });
});
