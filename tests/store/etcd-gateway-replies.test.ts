/**
 * That the replies which the unit tests go by are etcd's: a live one is asked the same, and has to answer the same. With
 * BERTH_RECORD_REPLIES=1 its answers take the place of those on record.
 */
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { present } from '../../shared/util/assert.ts';
import { startEtcd, type TestEtcd } from '../support/etcd.ts';
import { fileOf, QUESTIONS, type Question, type Replies, readReplies } from '../support/gateway-replies.ts';

const VERSION = 'v3.4';
const isRecording = process.env['BERTH_RECORD_REPLIES'] === '1';
const FILLS_MAX = 500;
const BROKEN = 'stream broken';

let etcd: TestEtcd;
const answers = new Map<string, Replies['replies'][string]>();

const STATUS = z.object({ version: z.string() });
const TOKEN = z.object({ token: z.string() });

beforeAll(async () => {
  etcd = await startEtcd({ arguments: ['--quota-backend-bytes=200000'] });
  let token = '';
  for (const [name, question] of Object.entries(QUESTIONS)) {
    if (name === 'database full') await fill(question);
    if (name === 'logged in') await enableUsers();
    const answer = await ask(question, question.token === 'user' ? token : (question.token ?? 'none'));
    answers.set(name, answer);
    if (name === 'logged in') token = TOKEN.parse(JSON.parse(answer.body)).token;
  }
  answers.set(BROKEN, await broken(token));
  if (isRecording) record();
});

afterAll(() => etcd.stop());

describe(`etcd ${VERSION} still answers as it is on record`, () => {
  test('this etcd is of that version', () => {
    expect(STATUS.parse(JSON.parse(answers.get('status')?.body ?? '')).version).toMatch(/^3\.4\./);
  });

  test.for([...Object.keys(QUESTIONS), BROKEN])('%s', (name) => {
    const recorded = readReplies(VERSION).replies[name];
    const answer = answers.get(name);
    expect([answer?.status, comparable(answer?.body ?? '')]).toEqual([
      recorded?.status,
      comparable(recorded?.body ?? ''),
    ]);
  });
});

/** Without what differs from one etcd to the next. */
function comparable(body: string): string {
  return (
    body
      .replace(/"(cluster_id|member_id|raft_term|leader|raft\w+|dbSize\w*)":"\d+"/g, '"$1":"…"')
      .replace(/"token":"[^"]+"/, '"token":"…"')
      .replace(/"TTL":"(59|60)"/, '"TTL":"…"')
      // How often something has to be written until the database is full.
      .replace(/"revision":"([5-9]|\d\d+)"/g, '"revision":"…"')
      .replace(/"version":"3\.4\.\d+"/, '"version":"…"')
  );
}

async function ask({ path, body, lines }: Question, token: string): Promise<Replies['replies'][string]> {
  const abort = new AbortController();
  const headers: Record<string, string> = token === 'none' ? {} : { authorization: token };
  const init = { method: 'POST', body: JSON.stringify(body), headers, signal: abort.signal };
  const response = await fetch(`${etcd.url}/v3/${path}`, init);
  if (lines === undefined) return { status: response.status, body: await response.text() };
  let text = '';
  for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += chunk;
    if (text.split('\n').length > lines) break;
  }
  abort.abort();
  return { status: response.status, body: text };
}

/** A watch whose etcd is told to end. */
async function broken(token: string): Promise<Replies['replies'][string]> {
  const body = JSON.stringify({ create_request: { key: btoa('/a/'), range_end: btoa('/a0') } });
  const response = await fetch(`${etcd.url}/v3/watch`, { method: 'POST', body, headers: { authorization: token } });
  process.kill(present(etcd.pid, 'a process'), 'SIGTERM');
  return { status: response.status, body: await response.text() };
}

async function fill(question: Question): Promise<void> {
  for (let count = 0; count < FILLS_MAX; count++) {
    const { status } = await ask(question, 'none');
    if (status !== 200) return;
  }
}

/** A full etcd changes no users, so that it is made to take writes again before. */
async function enableUsers(): Promise<void> {
  const steps: readonly [string, object][] = [
    ['maintenance/alarm', { action: 'DEACTIVATE', alarm: 'NOSPACE' }],
    ['auth/user/add', { name: 'root', password: 'root' }],
    ['auth/role/add', { name: 'root' }],
    ['auth/user/grant', { user: 'root', role: 'root' }],
    ['auth/user/add', { name: 'berth', password: 'right' }],
    ['auth/role/add', { name: 'berth' }],
    ['auth/role/grant', { name: 'berth', perm: { permType: 'READWRITE', key: btoa('/a/'), range_end: btoa('/a0') } }],
    ['auth/user/grant', { user: 'berth', role: 'berth' }],
    ['auth/enable', {}],
  ];
  for (const [path, body] of steps) {
    const { status, body: text } = await ask({ path, body }, 'none');
    if (status !== 200) throw new Error(`${path}: ${text}`);
  }
}

function record(): void {
  const { version } = STATUS.parse(JSON.parse(answers.get('status')?.body ?? ''));
  const file: Replies = { version, recorded: true, replies: Object.fromEntries(answers) };
  writeFileSync(fileOf(VERSION), `${JSON.stringify(file, null, 2)}\n`);
}
