/** The check sees what it is for. */
import { describe, expect, it } from 'vitest';
import type { WatchEvent } from '../../../control-plane/store/contract.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import { Snapshot } from '../../../control-plane/store/snapshot.ts';
import { type AuditedObject, type AuditRecord, auditId } from '../../../shared/domain/audit.ts';
import type { JobVersion } from '../../../shared/domain/job.ts';
import { aJob } from '../../support/builders.ts';
import { checkAudit } from './audit.ts';

const job = aJob();
const version: JobVersion = {
  ...{ jobUid: job.uid, version: job.version, spec: job.spec },
  ...{ createdAtMs: 0, createdBy: 'ci', change: 'created', templates: {} },
};
const made = [
  putRecord('jobs', keys.job(job.spec), job),
  putRecord('versions', keys.version(job.uid, job.version), version),
];

function recordOf(change: Partial<AuditedObject> = {}, suffix = '0123456789abcdef') {
  const object: AuditedObject = {
    ...{ kind: 'job', id: job.spec.name, role: job.spec.role, version: job.version },
    ...{ change: 'created', fields: [], grants: [], ...change },
  };
  const record: AuditRecord = {
    ...{ id: auditId(1, suffix), atMs: 1, who: null, requestId: 'r', address: null, operation: 'a test' },
    ...{ objects: [object], moreObjects: 0, roles: [job.spec.role], outcome: 'done', refusal: null, count: 1 },
  };
  return putRecord('audit', keys.audit(record.id), record);
}

function found(...writes: readonly ReturnType<typeof recordOf>[]): string[] {
  const events = writes.flatMap((write): WatchEvent[] => {
    if (write.type !== 'put') return [];
    const { key, value } = write;
    return [{ type: 'put', keyValue: { key, value, createRevision: 2, modRevision: 2, lease: null } }];
  });
  const changes = new Snapshot(1).apply({ revision: 2, events });
  return checkAudit({ number: 2, commit: null, changes, events }).map(({ message }) => message);
}

describe('who did what', () => {
  it('is on record exactly where it was done', () => {
    expect(found(...made, recordOf())).toEqual([]);
    expect(found(...made)).toEqual([expect.stringContaining('nobody is on record for it')]);
    expect(found(recordOf())).toEqual([expect.stringContaining('was not changed there')]);
    expect(found(...made, recordOf({ version: job.version + 1 }))).toHaveLength(2);
    expect(found(...made, recordOf(), recordOf({}, 'fedcba9876543210'))).toEqual([expect.stringContaining('2 times')]);
  });
});
