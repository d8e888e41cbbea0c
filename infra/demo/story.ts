/** The demonstration itself. Every call is a plain HTTP request, as any CI pipeline would make it. */
import { renderHistory } from '../../control-plane/cli/output/shapes.ts';
import { counted, durationText, mebibytesText } from '../../control-plane/cli/output/text.ts';
import { isTerminal } from '../../shared/domain/task.ts';
import type { JobSpecInput } from '../../shared/protocol/job.ts';
import {
  type JobView,
  jobViewSchema,
  nodeViewSchema,
  pageOf,
  type TaskView,
  taskViewSchema,
  tokenViewSchema,
} from '../../shared/protocol/views.ts';
import type { Narrator } from './narrator.ts';
import { createRest, type Rest, until } from './rest.ts';

export interface Stage {
  readonly address: string;
  /** May do everything; used only to make the token that the rest is done with. */
  readonly adminToken: string;
  readonly narrator: Narrator;
  readonly signal: AbortSignal;
}

const IMAGE = 'berth/busybox:local';
const ROLE = 'demo';
const ACTIONS = ['job:read', 'job:write', 'task:read', 'logs:read', 'node:read'];

const SCRIPT =
  'for part in one two three; do echo "$part: hello from a container on $BERTH_NODE"; sleep 0.4; done; exit 0';

const HELLO: JobSpecInput = {
  name: 'hello',
  role: ROLE,
  groups: [{ image: IMAGE, pullPolicy: 'never', args: ['sh', '-c', SCRIPT], resources: { cpus: 0.25, memMiB: 32 } }],
};

const TOO_LARGE: JobSpecInput = {
  name: 'too-large',
  role: ROLE,
  groups: [{ image: IMAGE, pullPolicy: 'never', args: ['true'], resources: { cpus: 0.25, memMiB: 65_536 } }],
};

export async function tellStory(stage: Stage): Promise<void> {
  const rest = await makeToken(stage);
  await showNodes(stage, rest);
  await runHello(stage, rest);
  await submitTooLarge(stage, rest);
}

async function makeToken({ address, adminToken, narrator, signal }: Stage): Promise<Rest> {
  narrator.chapter('A token for a pipeline, which may do what it needs and no more');
  const admin = createRest({ address, token: adminToken, signal });
  const request = { subject: 'demo-pipeline', roles: [ROLE], actions: ACTIONS, ttlSeconds: 600 };
  const { token, expiresAt } = await admin.call('POST', '/v1/tokens', tokenViewSchema, request);
  narrator.tell(`role ${ROLE}; ${ACTIONS.join(', ')}; until ${expiresAt}`);
  narrator.tell(shortened(token));
  return createRest({ address, token, signal });
}

async function showNodes({ narrator }: Stage, rest: Rest): Promise<void> {
  const { items } = await rest.call('GET', '/v1/nodes', pageOf(nodeViewSchema));
  narrator.chapter('Its nodes');
  for (const { id, engine, free, attributes } of items) {
    narrator.tell(
      `${id}: ${counted(free.cpus, 'CPU')} and ${mebibytesText(free.memMiB)} free, zone ${attributes['zone']}, ${engine}`,
    );
  }
}

async function runHello(stage: Stage, rest: Rest): Promise<void> {
  const { narrator } = stage;
  narrator.chapter('One REST call runs a container');
  const job = await submit(stage, rest, HELLO);
  const task = await firstTask(rest, job);
  narrator.chapter('Its output, as it is written');
  await rest.stream(`/v1/tasks/${task.id}/logs?follow=true`, (text) => narrator.quote(text));
  const ended = await until('the task has ended', stage.signal, async () => {
    const view = await rest.call('GET', `/v1/tasks/${task.id}`, taskViewSchema);
    return isTerminal(view.state) ? view : null;
  });
  narrator.chapter('Where it ran, why there, and how long each step took');
  const placed = ended.history.find((step) => step.state === 'staging');
  narrator.tell(`on ${narrator.paint('bold', ended.node ?? 'no node')}: ${placed?.message ?? ended.message}`);
  narrator.tell(renderHistory(ended, { paint: narrator.paint, width: null }));
  const [first, last] = [ended.history.at(0), ended.history.at(-1)];
  const tookMs = Date.parse(last?.at ?? '') - Date.parse(first?.at ?? '');
  narrator.tell(
    `exit code ${narrator.paint('bold', String(ended.exitCode))}, ${durationText(tookMs)} from submitted to ended`,
  );
  if (ended.state !== 'finished') throw new Error(`the task was to finish, but it ${ended.state}: ${ended.message}`);
}

async function submitTooLarge(stage: Stage, rest: Rest): Promise<void> {
  const { narrator } = stage;
  narrator.chapter('A job that fits nowhere says why');
  const job = await submit(stage, rest, TOO_LARGE);
  const { id } = await firstTask(rest, job);
  const explanation = await until('the task says why it waits', stage.signal, async () => {
    return (await rest.call('GET', `/v1/tasks/${id}`, taskViewSchema)).explanation;
  });
  narrator.tell(`${narrator.paint('yellow', 'pending')}: ${explanation.summary}`);
  for (const refusal of explanation.refusals) narrator.tell(`  ${refusal.nodes} × ${refusal.code}: ${refusal.message}`);
  if (explanation.closest !== null) narrator.tell(`  closest: ${explanation.closest.message}`);
  await rest.call('POST', `/v1/jobs/${job.name}/stop?role=${ROLE}`, jobViewSchema, { reason: 'it was only shown' });
  const stopped = await until('the job has stopped', stage.signal, async () => {
    const view = await rest.call('GET', `/v1/jobs/${job.name}?role=${ROLE}`, jobViewSchema);
    return view.state === 'stopped' ? view : null;
  });
  narrator.tell(`stopped again: ${stopped.message}`);
}

/** Shows the call as one could type it, and makes it. */
async function submit({ narrator, address }: Stage, rest: Rest, spec: JobSpecInput): Promise<JobView> {
  narrator.quote(`POST ${address}/v1/jobs`);
  narrator.quote(`Authorization: Bearer ${shortened(rest.token)}`);
  narrator.quote(JSON.stringify(spec, null, 1).replace(/\n\s*/g, ' '));
  const startedMs = performance.now();
  const job = await rest.call('POST', '/v1/jobs', jobViewSchema, spec);
  narrator.tell(
    `201: job ${job.role}/${job.name}, version ${job.version}, after ${durationText(performance.now() - startedMs)}`,
  );
  return job;
}

async function firstTask(rest: Rest, job: JobView): Promise<TaskView> {
  return until('the job has a task', rest.signal, async () => {
    const { items } = await rest.call('GET', `/v1/tasks?job=${job.name}&role=${ROLE}`, pageOf(taskViewSchema));
    return items[0] ?? null;
  });
}

function shortened(token: string): string {
  return `${token.slice(0, 16)}…${token.slice(-6)} (${token.length} characters)`;
}
