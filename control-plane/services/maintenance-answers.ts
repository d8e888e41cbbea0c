/** What frameworks say to the maintenance of nodes that they have to do with. It binds nobody: whoever has set the window reads it. */
import { Refusal } from '../../shared/domain/errors.ts';
import { MAINTENANCE_ANSWERS_MAX, type MaintenanceAnswer, withAnswer } from '../../shared/domain/maintenance.ts';
import { filterLengthMs } from '../../shared/domain/offer-filters.ts';
import type { MaintenanceAnswered } from '../../shared/protocol/maintenance.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import type { Call, ServiceContext } from './context.ts';
import { actingFramework, reachPresent, reachSession, sessionFence } from './framework-access.ts';
import type { SessionOf } from './framework-calls.ts';
import { type Draft, mutate } from './mutation.ts';
import { timeView } from './views.ts';

export interface NoticeAnswer extends SessionOf {
  readonly notice: string;
  readonly answer: MaintenanceAnswer['answer'];
  readonly refuseSeconds: number;
}

/**
 * Notes what the framework says to a notice; after `refuseSeconds` it is told again. Throws `conflict` for a notice whose window
 * doesn't stand any more: it was changed, taken back, or is over.
 */
export async function answerMaintenance(
  ctx: ServiceContext,
  call: Call,
  said: NoticeAnswer,
): Promise<MaintenanceAnswered> {
  await reachSession(ctx, said);
  if (windowOf(ctx, said.notice) === undefined) await reachPresent(ctx, said.id);
  const once = { ...call, idempotency: null };
  return (await mutate(ctx, once, () => draftAnswer(ctx, call, said))).body;
}

function draftAnswer(ctx: ServiceContext, { principal }: Call, said: NoticeAnswer): Draft<MaintenanceAnswered> {
  const { notice, answer, refuseSeconds } = said;
  const { snapshot } = ctx.mirror;
  const { id } = actingFramework(ctx, principal, said);
  const before = windowOf(ctx, notice);
  if (before === undefined) {
    throw new Refusal(
      'conflict',
      `there is no notice "${notice}" any more: its window was changed, taken back, or is over`,
    );
  }
  const atMs = ctx.clock.now();
  const askAgainAtMs = atMs + filterLengthMs(refuseSeconds);
  const isForgotten = (framework: string) => !snapshot.frameworks.has(framework);
  const window = withAnswer(before, id, { answer: { answer, atMs, askAgainAtMs }, isForgotten });
  if (Object.keys(window.answers).length > MAINTENANCE_ANSWERS_MAX) {
    throw new Refusal('limit-exceeded', `${MAINTENANCE_ANSWERS_MAX} frameworks have answered the notice "${notice}"`);
  }
  const key = keys.maintenance(window.node);
  return {
    status: 200,
    body: { notice, answer, askAgainAt: timeView(askAgainAtMs) },
    compares: [{ key, modRevision: snapshot.modRevision(key) }, sessionFence(snapshot, id)],
    writes: [putRecord('maintenance', key, window)],
  };
}

function windowOf({ mirror }: ServiceContext, notice: string) {
  return mirror.snapshot.maintenance.values().find(({ id }) => id === notice);
}
