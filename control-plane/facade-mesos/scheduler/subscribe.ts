/**
 * SUBSCRIBE: a framework comes, new or by its id, and gets its stream. What Mesos's master refuses once a subscription is understood,
 * it says on that stream, as an ERROR, and ends it.
 */
import { Refusal } from '../../../shared/domain/errors.ts';
import type { FrameworkId } from '../../../shared/domain/ids.ts';
import { type Subscription, subscriptionSchema } from '../../../shared/protocol/framework.ts';
import { randomId } from '../../../shared/util/random.ts';
import type { Lasting } from '../../auth/lasting.ts';
import type { Call, ServiceContext } from '../../services/context.ts';
import { reachPresent } from '../../services/framework-access.ts';
import { frameworkStanding } from '../../services/framework-facts.ts';
import * as frameworks from '../../services/frameworks.ts';
import { demandJsonAccepted } from '../http/json-in.ts';
import { closedRecordStream, recordStream } from '../http/record-stream.ts';
import { WireRefusal } from '../http/wire-refusal.ts';
import type { FacadeParts } from '../parts.ts';
import { frameworkNotesOf } from '../translate/annotations.ts';
import { errorEvent, REMOVED } from '../translate/events.ts';
import { readWishes } from '../translate/framework-info.ts';
import { frameworkIdOf, streamIdOf } from '../translate/ids.ts';
import type { WireWishes } from '../wire/framework-info.ts';
import { actsFor, STREAM_ID_HEADER } from './acting.ts';
import { wireEvents } from './event-stream.ts';

export interface SubscribeCall {
  readonly call: Call;
  readonly headers: Headers;
  readonly wishes: WireWishes;
  /** Of a framework that comes back; undefined: it is a new one. */
  readonly wireId: string | undefined;
  /** What the stream ends with. */
  readonly lasting: Lasting;
}

export async function subscribe(parts: FacadeParts, subscribing: SubscribeCall): Promise<Response> {
  const { ctx, frameworkStreams } = parts;
  demandJsonAccepted(subscribing.headers.get('accept'));
  if (subscribing.headers.has(STREAM_ID_HEADER)) {
    throw new WireRefusal(400, `Subscribe calls should not include the '${STREAM_ID_HEADER}' header`);
  }
  const { over, signal } = subscribing.lasting;
  const opened = await orRefused(async () => {
    const { id, session } = await register(ctx, subscribing);
    return { id, session, batches: await frameworkStreams.open(subscribing.call.principal, { id, session, signal }) };
  });
  // Clients look for the header before they read what they are told.
  if (!opened.ok) {
    const options = { ...withStreamId(ctx, streamIdOf(randomId(ctx.random), 0)), over };
    return closedRecordStream([errorEvent(opened.message)], options);
  }
  const { id, session, batches } = opened.value;
  // The first batch is there at once. Once it is taken, an end of the reader is sure to end the stream behind it as well.
  const first = await batches.next();
  signal.addEventListener('abort', () => void batches.return(undefined), { once: true });
  return recordStream(wireEvents(parts, id, first, batches), { ...withStreamId(ctx, streamIdOf(id, session)), over });
}

function withStreamId({ clock }: ServiceContext, streamId: string) {
  return { clock, headers: { [STREAM_ID_HEADER]: streamId } };
}

/** Puts the subscription on record. Throws a Refusal, or a {@link Refused} in Mesos's words. */
async function register(
  ctx: ServiceContext,
  { call, wishes, wireId }: SubscribeCall,
): Promise<{ readonly id: FrameworkId; readonly session: number }> {
  const id = wireId === undefined ? undefined : frameworkIdOf(wireId);
  if (id !== undefined && frameworkStanding(ctx, id) === null) await reachPresent(ctx, id);
  const before = id === undefined ? null : (frameworkStanding(ctx, id)?.framework ?? null);
  if (before !== null && !actsFor(call.principal, before)) {
    throw new Refused("Changing framework's principal is not allowed.");
  }
  const reading = readWishes(wishes, before === null ? null : frameworkNotesOf(before.annotations));
  if (!reading.ok) throw new Refused(reading.message);
  const { body } = await frameworks.subscribe(ctx, call, checked({ ...reading.value, id }), { orNew: true });
  return body;
}

/** Told as an ERROR. */
class Refused extends Error {}

function checked(subscription: unknown): Subscription {
  const result = subscriptionSchema.safeParse(subscription);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new Refused(`FrameworkInfo is invalid: ${issue?.path.join('.')} ${issue?.message}`);
}

type Opened<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly message: string };

/** What is only for now is no word about the framework, and gets its status like any other call. */
async function orRefused<T>(open: () => Promise<T>): Promise<Opened<T>> {
  try {
    return { ok: true, value: await open() };
  } catch (error) {
    if (error instanceof Refused) return { ok: false, message: error.message };
    if (!(error instanceof Refusal) || error.code === 'unavailable') throw error;
    return { ok: false, message: errorTextOf(error) };
  }
}

function errorTextOf({ code, message }: Refusal): string {
  if (code === 'framework-gone') return REMOVED;
  return code === 'forbidden' ? `Not authorized to subscribe: ${message}` : message;
}
