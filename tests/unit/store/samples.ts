/** One valid record of each kind, with the key that it lies under. */
import type { RecordKind } from '../../../control-plane/store/keys.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import type { RecordOf } from '../../../control-plane/store/records.ts';
import type { AuditRecord } from '../../../shared/domain/audit.ts';
import { DEFAULT_SETTINGS } from '../../../shared/domain/settings.ts';
import {
  aDeployment,
  aFramework,
  aGroup,
  aJob,
  aLedger,
  aNode,
  anEntry,
  aPolicy,
  aRole,
  aTask,
  T0,
} from '../../support/builders.ts';

const job = aJob({
  spec: {
    role: 'eng/ml',
    labels: { team: 'Bühne 😀' },
    constraints: [{ attribute: 'zone', operator: 'in', values: ['a', 'b'] }],
    replaceAfterSeconds: 'never',
    groups: [
      aGroup({
        command: ['sh', '-c'],
        args: ['true'],
        env: { A: '1' },
        user: 'nobody',
        workingDir: '/srv',
        ports: [{ name: 'http', containerPort: 80, hostPort: 8080, protocol: 'tcp' }],
        mounts: [{ type: 'bind', source: '/data', target: '/data', readOnly: true }],
        constraints: [{ attribute: 'arch', operator: '=', value: 'x64' }],
        timeoutSeconds: 60,
      }),
    ],
  },
  stop: { atMs: T0, by: 'alice', reason: 'enough' },
  outcome: { state: 'stopped', atMs: T0, message: 'stopped by alice' },
});
const task = aTask(job, { state: 'running', node: 'edge-1', ports: { http: 31_000 } });
const stop = { atMs: T0, graceMs: 10_000, reason: 'stop-requested' };

export const SAMPLES: { readonly [K in RecordKind]: { readonly key: string; readonly value: RecordOf[K] } } = {
  cluster: { key: keys.cluster, value: { id: 'c1', incarnation: 1, formatVersion: 1 } },
  driver: { key: keys.driver, value: { replica: 'r1' } },
  rounds: { key: keys.currentRound, value: { number: 7, owner: 'r1', claimedAtMs: T0 } },
  nodes: { key: keys.node('edge-1'), value: aNode({ attributes: { zone: 'a' } }) },
  alive: { key: keys.alive('edge-1'), value: { epoch: 3 } },
  epochs: { key: keys.epoch('edge-1'), value: { epoch: 3, unreachableSinceMs: T0 } },
  ledger: {
    key: keys.ledger('edge-1'),
    value: aLedger({
      entries: [anEntry(job, task, { stop, disowned: true })],
      drain: { startedAtMs: T0, deadlineMs: null, by: 'alice' },
    }),
  },
  jobs: { key: keys.job(job.spec), value: job },
  versions: {
    key: keys.version(job.uid, 1),
    value: {
      jobUid: job.uid,
      version: 1,
      spec: job.spec,
      createdAtMs: T0,
      createdBy: 'alice',
      change: 'created' as const,
      templates: {},
    },
  },
  tasks: { key: keys.task(task.id), value: { ...task, exitCode: 137, stop: job.stop } },
  deployments: {
    key: keys.deployment(`${job.uid}-d1`),
    value: aDeployment({ ...job, deployments: 1 }, { fromTemplates: { main: 1 } }),
  },
  fetches: {
    key: keys.imageFetch('edge-1', 'busybox:1.36'),
    value: {
      node: 'edge-1',
      image: 'busybox:1.36',
      deployment: `${job.uid}-d1`,
      state: 'wanted',
      message: '',
      atMs: T0,
    },
  },
  maintenance: {
    key: keys.maintenance('edge-1'),
    value: {
      id: 'w1',
      node: 'edge-1',
      startsAtMs: T0,
      durationMs: 60_000,
      setAtMs: T0,
      setBy: 'alice',
      begunAtMs: T0,
      answers: { f000000000001: { answer: 'accepts', atMs: T0, askAgainAtMs: T0 + 5000 } },
    },
  },
  frameworks: {
    key: keys.framework('f000000000001'),
    value: aFramework({ minAllocatable: { default: [{ cpus: 1 }] } }),
  },
  connections: { key: keys.connection('f000000000001'), value: { session: 1, replica: 'r1' } },
  operations: {
    key: keys.operation('f000000000001', 'reserve 1/2'),
    value: { id: 'p1', framework: 'f000000000001', name: 'reserve 1/2', node: 'edge-1', atMs: T0 },
  },
  roles: { key: keys.role('eng/ml'), value: aRole('eng/ml', { weight: 2, limit: { cpus: 8 } }) },
  settings: { key: keys.settings, value: DEFAULT_SETTINGS },
  policies: { key: keys.policy('ci'), value: aPolicy({ name: 'ci' }) },
  replicas: { key: keys.replica('r1'), value: { id: 'r1', url: 'http://10.0.0.1:8080', startedAtMs: T0 } },
  streams: {
    key: keys.stream('edge-1', 's1'),
    value: {
      id: 's1',
      node: 'edge-1',
      task: task.id,
      replica: 'r1',
      follow: true,
      tail: 10,
      since: null,
      requestedAtMs: T0,
    },
  },
  messages: {
    key: keys.messageForTask('edge-1', 'm1'),
    value: { to: 'task', framework: 'f000000000001', node: 'edge-1', task: task.id, data: 'x', place: 0, sentAtMs: T0 },
  },
  ops: { key: keys.op('o1'), value: { by: 'r1', aborted: false } },
  exchanges: {
    key: keys.exchange('https://ci.example.com', 'j1'),
    value: { subject: 'https://ci.example.com#repo:acme/app', atMs: T0 },
  },
  idempotency: {
    key: keys.idempotency(new Uint8Array([1, 255])),
    value: { requestDigest: 'd', status: 201, body: '{"a":1}', createdAtMs: T0 },
  },
  secrets: {
    key: keys.signingKey('k1'),
    value: { kid: 'k1', algorithm: 'EdDSA', privateJwk: '{"kty":"OKP"}', sealed: null, createdAtMs: T0 },
  },
  vault: {
    key: keys.secretNote({ role: 'eng/ml', name: 'db-password' }),
    value: {
      ...{ name: 'db-password', role: 'eng/ml', version: 2, isText: true, envelopeKey: 'k1.3fa9c2d1' },
      ...{ createdAtMs: T0, createdBy: 'anna', updatedAtMs: T0, updatedBy: 'ben' },
    },
  },
  sealed: {
    key: keys.sealed({ role: 'eng/ml', name: 'db-password' }),
    value: { envelopeKey: 'k1.3fa9c2d1', wrappedKey: 'AAAA', box: 'AAAA', version: 2 },
  },
  audit: { key: keys.audit(anAuditRecord().id), value: anAuditRecord() },
  keys: {
    key: keys.keyState('k1'),
    value: {
      ...{ kid: 'k1', createdAtMs: T0, createdBy: 'alice', signsFromMs: T0, verifiesUntilMs: T0, longestSeconds: 60 },
      revoked: { atMs: T0, by: 'alice', reason: 'leaked' },
    },
  },
  tokens: {
    key: keys.joinToken('j1'),
    value: {
      ...{ type: 'join', id: 'j1', subject: 'rack-7', node: 'edge-1', nodePattern: 'edge-.*', usesMax: 2 },
      uses: [{ node: 'edge-1', credential: 'c1', atMs: T0 }],
      ...{ atMs: T0, by: 'alice', untilMs: T0 },
    },
  },
};

export function anAuditRecord(change: Partial<AuditRecord> = {}): AuditRecord {
  return {
    id: `${T0}-0123456789abcdef`,
    atMs: T0,
    who: { kind: 'user', subject: 'admin', tokenId: 't1' },
    requestId: 'r1',
    address: '192.0.2.7',
    operation: 'PUT /v1/jobs/{name}',
    objects: [
      { kind: 'job', id: 'web', role: 'eng', change: 'changed', fields: ['/spec/priority'], version: 2, grants: [] },
    ],
    moreObjects: 0,
    roles: ['eng'],
    outcome: 'done',
    refusal: null,
    count: 1,
    ...change,
  };
}
