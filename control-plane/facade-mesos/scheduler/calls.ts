/** What frameworks call beside SUBSCRIBE and ACCEPT, each by the use case that the native API calls for it. */
import { Refusal } from '../../../shared/domain/errors.ts';
import { OFFER_ID_PATTERN, type RolePath } from '../../../shared/domain/ids.ts';
import { isTerminal } from '../../../shared/domain/task.ts';
import { updateId } from '../../../shared/domain/task-update.ts';
import { RECONCILED_MAX, type TaskUpdateView } from '../../../shared/protocol/framework.ts';
import { messageDataSchema } from '../../../shared/protocol/message.ts';
import { DECLINED_OFFERS_MAX } from '../../../shared/protocol/offers.ts';
import { utf8Decode } from '../../../shared/util/codec.ts';
import { reachPresent } from '../../services/framework-access.ts';
import { acknowledgeUpdates, killTask, type SessionOf } from '../../services/framework-calls.ts';
import { finishedOperations, launchedTask, liveTasks, ownOffers } from '../../services/framework-facts.ts';
import { unknownView } from '../../services/framework-views.ts';
import { tearDown } from '../../services/frameworks.ts';
import { answerMaintenance } from '../../services/maintenance-answers.ts';
import { sendMessage } from '../../services/messages.ts';
import { declineOffers } from '../../services/offer-declines.ts';
import { reviveOffers, suppressOffers } from '../../services/offer-wishes.ts';
import { acknowledgeOperations, reconcileOperations } from '../../services/operations.ts';
import { WireRefusal } from '../http/wire-refusal.ts';
import type { FacadeParts } from '../parts.ts';
import { taskNotesOf } from '../translate/annotations.ts';
import { refuseSecondsOf } from '../translate/filters.ts';
import { operationUuidOf, placeOfUuid } from '../translate/ids.ts';
import { berthRole } from '../translate/roles.ts';
import { wireOperationStatus } from '../translate/statuses.ts';
import { toldUpdate } from '../translate/told.ts';
import type { WireCall } from '../wire/call.ts';
import type { WireOperationStatus } from '../wire/event.ts';
import type { Acting } from './acting.ts';
import { TEARDOWN_REASON } from './event-stream.ts';
import { isTaskName, tellEvents } from './telling.ts';

const KILL_GRACE_SECONDS_MAX = 3600;
/** Of one call: each answer is a change of its own. Further ones come again, as what isn't answered does. */
const INVERSE_OFFERS_MAX = 1000;

type Body<K extends keyof WireCall> = NonNullable<WireCall[K]>;

function sessionOf({ framework: { id, session } }: Acting): SessionOf {
  return { id, session };
}

export async function tearDownOwn({ ctx }: FacadeParts, acting: Acting): Promise<void> {
  await tearDown(ctx, acting.call, acting.framework.id, { reason: TEARDOWN_REASON });
}

/** Offers that don't stand any more, such as one that was accepted, are passed over. */
export async function decline({ ctx }: FacadeParts, acting: Acting, body: Body<'decline'>): Promise<void> {
  const { id, session } = acting.framework;
  const named = [...new Set(body.offer_ids.map(({ value }) => value))].filter((offer) => OFFER_ID_PATTERN.test(offer));
  const refuseSeconds = refuseSecondsOf(body.filters);
  for (let from = 0; from < named.length; from += DECLINED_OFFERS_MAX) {
    const own = await ownOffers(ctx, id, named.slice(from, from + DECLINED_OFFERS_MAX));
    if (own.length === 0) continue;
    await declineOffers(ctx, acting.call, id, { session, offers: own.map((offer) => offer.id), refuseSeconds });
  }
}

export async function revive({ ctx }: FacadeParts, acting: Acting, wireRoles: readonly string[]): Promise<void> {
  const roles = wantedRoles(acting, wireRoles);
  if (roles === 'none') return;
  await reviveOffers(ctx, acting.call, acting.framework.id, { session: acting.framework.session, roles });
}

export async function suppress({ ctx }: FacadeParts, acting: Acting, wireRoles: readonly string[]): Promise<void> {
  const roles = wantedRoles(acting, wireRoles);
  if (roles === 'none') return;
  await suppressOffers(ctx, acting.call, acting.framework.id, { session: acting.framework.session, roles });
}

/** Null: all of them. With one that isn't the framework's, Mesos drops the call without a word. */
function wantedRoles({ framework }: Acting, wireRoles: readonly string[]): readonly RolePath[] | null | 'none' {
  if (wireRoles.length === 0) return null;
  const roles = new Set<RolePath>();
  for (const wireRole of wireRoles) {
    const reading = berthRole(wireRole);
    if (!reading.ok || !framework.roles.includes(reading.role)) return 'none';
    roles.add(reading.role);
  }
  return [...roles];
}

/** One that isn't known or has ended is answered as if it had been asked about. */
export async function kill(parts: FacadeParts, acting: Acting, body: Body<'kill'>): Promise<void> {
  const asked = askedOf(body);
  if (!isTaskName(asked.name)) return tellUnknown(parts, acting, [asked]);
  const nanoseconds = body.kill_policy?.grace_period?.nanoseconds;
  const graceSeconds = nanoseconds === undefined ? null : graceSecondsOf(nanoseconds);
  await killOne(parts, acting, { ...asked, graceSeconds });
}

/** A task as the caller knows it. Its agent is said again where nothing else is known of it: some clients can't do without. */
interface AskedTask {
  readonly name: string;
  readonly node: string | null;
}

function askedOf({ task_id: task, agent_id: agent }: Pick<Body<'kill'>, 'task_id' | 'agent_id'>): AskedTask {
  return { name: task.value, node: agent?.value ?? null };
}

function graceSecondsOf(nanoseconds: number): number {
  return Math.min(Math.max(0, nanoseconds / 1e9), KILL_GRACE_SECONDS_MAX);
}

async function killOne(
  parts: FacadeParts,
  acting: Acting,
  { name, node: statedNode, graceSeconds }: AskedTask & { readonly graceSeconds: number | null },
): Promise<void> {
  const { ctx, frameworkStreams } = parts;
  const { body } = await killTask(ctx, acting.call, { ...sessionOf(acting), name, graceSeconds });
  if (body.state === 'unknown') return tellUnknown(parts, acting, [{ name, node: statedNode }]);
  if (isTerminal(body.state)) return frameworkStreams.ask(acting.framework.id, [name]);
  if (!acting.known.capabilities.has('TASK_KILLING_STATE')) return;
  const { node, message } = body;
  const told = { task: name, state: 'TASK_KILLING', reason: null, message, node, executor: executorOf(body) } as const;
  await frameworkStreams.tell(acting.framework.id, [toldUpdate(told, ctx.clock.now())]);
}

function executorOf({ annotations, task }: Pick<TaskUpdateView, 'annotations' | 'task'>): string {
  return taskNotesOf(annotations).executor_id ?? task;
}

/** Whatever runs there under that executor's id ends. */
export async function shutdown(parts: FacadeParts, acting: Acting, body: Body<'shutdown'>): Promise<void> {
  const { executor_id: executor, agent_id: agent } = body;
  await reachPresent(parts.ctx, acting.framework.id);
  const ending = liveTasks(parts.ctx, acting.framework.id).filter(({ node, framework }) => {
    if (node !== agent.value || framework === null) return false;
    return executorOf({ annotations: framework.annotations, task: framework.name }) === executor.value;
  });
  for (const { framework } of ending) {
    if (framework !== null)
      await killOne(parts, acting, { name: framework.name, node: agent.value, graceSeconds: null });
  }
}

/** Of what isn't on record nothing is outstanding, so that there is nothing to refuse either. */
export async function acknowledge({ ctx }: FacadeParts, acting: Acting, body: Body<'acknowledge'>): Promise<void> {
  const find = () => launchedTask(ctx, acting.framework, body.task_id.value);
  // It may have been launched, and told of, by a replica that has seen more than this one.
  if (find() === null) await reachPresent(ctx, acting.framework.id);
  const task = find();
  const place = task === null ? null : placeOfUuid(task.id, body.uuid);
  if (task === null || place === null) return;
  await acknowledgeUpdates(ctx, acting.call.principal, { ...sessionOf(acting), updates: [updateId(task.id, place)] });
}

/** An empty list asks about all that have not ended. The answers come on the stream. */
export async function reconcile(parts: FacadeParts, acting: Acting, { tasks }: Body<'reconcile'>): Promise<void> {
  const { ctx, frameworkStreams } = parts;
  const { id } = acting.framework;
  if (tasks.length === 0) return frameworkStreams.ask(id, null);
  const asked = [...new Map(tasks.map((task) => [task.task_id.value, askedOf(task)])).values()];
  const isOnRecord = ({ name }: AskedTask) => isTaskName(name) && launchedTask(ctx, acting.framework, name) !== null;
  // It may have been launched by a replica that has seen more than this one.
  if (!asked.every(isOnRecord)) await reachPresent(ctx, id);
  await askAll(
    parts,
    acting,
    asked.filter(isOnRecord).map(({ name }) => name),
  );
  await tellUnknown(
    parts,
    acting,
    asked.filter((task) => !isOnRecord(task)),
  );
}

/** One that isn't on record was acknowledged before, or never told. */
export async function acknowledgeOperation(
  { ctx }: FacadeParts,
  acting: Acting,
  { uuid }: Body<'acknowledge_operation_status'>,
): Promise<void> {
  const find = () => finishedOperations(ctx, acting.framework.id).find(({ id }) => operationUuidOf(id) === uuid);
  if (find() === undefined) await reachPresent(ctx, acting.framework.id);
  const operation = find();
  if (operation === undefined) return;
  await acknowledgeOperations(ctx, acting.call.principal, { ...sessionOf(acting), operations: [operation.id] });
}

/** How those stand that are named, or, with none, all that are on record: Mesos answers this call itself, not on the stream. */
export async function operationStatuses(
  { ctx }: FacadeParts,
  acting: Acting,
  { operations }: Body<'reconcile_operations'>,
): Promise<WireOperationStatus[]> {
  const names = operations.length === 0 ? null : operations.map(({ operation_id: { value } }) => value);
  const answer = await reconcileOperations(ctx, acting.call.principal, { ...sessionOf(acting), names });
  return answer.operations.map((status) => wireOperationStatus(status, null));
}

async function askAll({ frameworkStreams }: FacadeParts, acting: Acting, names: readonly string[]): Promise<void> {
  for (let from = 0; from < names.length; from += RECONCILED_MAX) {
    await frameworkStreams.ask(acting.framework.id, names.slice(from, from + RECONCILED_MAX));
  }
}

async function tellUnknown(parts: FacadeParts, { framework }: Acting, asked: readonly AskedTask[]): Promise<void> {
  const nowMs = parts.ctx.clock.now();
  const events = asked.map(({ name, node }) => {
    return { type: 'update', update: { ...unknownView(name, nowMs), node } } as const;
  });
  await tellEvents(parts, framework.id, events);
}

/** An inverse offer that doesn't stand any more is passed over, like an offer that doesn't. */
export async function answerInverseOffers(
  { ctx }: FacadeParts,
  acting: Acting,
  { answer, ...body }: Body<'accept_inverse_offers'> & { readonly answer: 'accepts' | 'declines' },
): Promise<void> {
  const refuseSeconds = refuseSecondsOf(body.filters);
  const notices = new Set(body.inverse_offer_ids.map(({ value }) => value));
  for (const notice of [...notices].slice(0, INVERSE_OFFERS_MAX)) {
    try {
      await answerMaintenance(ctx, acting.call, { ...sessionOf(acting), notice, answer, refuseSeconds });
    } catch (error) {
      // A conflict that passes by itself says when to try again; this one is that the window is another one by now, or none.
      const isOver = error instanceof Refusal && error.code === 'conflict' && error.retryAfterSeconds === null;
      if (!isOver) throw error;
    }
  }
}

/** Delivered or not: Mesos promises nothing, and whoever hears nothing asks again. */
export async function message({ ctx }: FacadeParts, acting: Acting, body: Body<'message'>): Promise<void> {
  const data = textOf(body.data);
  const name = body.executor_id.value;
  if (!isTaskName(name)) return;
  try {
    await sendMessage(ctx, acting.call.principal, { ...sessionOf(acting), name, data });
  } catch (error) {
    const isUndelivered = error instanceof Refusal && ['not-found', 'conflict', 'limit-exceeded'].includes(error.code);
    if (!isUndelivered) throw error;
  }
}

/** Berth's messages are texts. */
function textOf(data: string): string {
  try {
    const text = utf8Decode(Uint8Array.from(atob(data), (character) => character.charCodeAt(0)));
    const checked = messageDataSchema.safeParse(text);
    if (checked.success) return checked.data;
    throw new WireRefusal(400, `'message.data' ${checked.error.issues[0]?.message}`);
  } catch (error) {
    if (error instanceof WireRefusal) throw error;
    throw new WireRefusal(400, "'message.data' must be a text in UTF-8: nothing else reaches an executor here");
  }
}
