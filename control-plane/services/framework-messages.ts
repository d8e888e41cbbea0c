/** What executors have said to a framework, on its way out on the framework's stream: sent once on each, then taken off record. */
import type { FrameworkId } from '../../shared/domain/ids.ts';
import type { FrameworkEvent } from '../../shared/protocol/framework.ts';
import { PREFIX } from '../store/keys.ts';
import type { Snapshot } from '../store/snapshot.ts';
import type { ServiceContext } from './context.ts';
import { waitingMessages } from './messages.ts';
import { timeView } from './views.ts';

/** Of one step: they may be long. */
const STEP_MESSAGES_MAX = 16;

export interface OutgoingMessages {
  /** By what follows `messages/` in their keys. */
  readonly ids: readonly string[];
  readonly events: readonly FrameworkEvent[];
}

/** Those that wait for the framework, oldest first, and are not among `told`. */
export function outgoingMessages(
  snapshot: Snapshot,
  framework: FrameworkId,
  told: ReadonlySet<string>,
): OutgoingMessages {
  const waiting = waitingMessages(
    snapshot,
    (message, id) => message.to === 'framework' && message.framework === framework && !told.has(id),
  );
  const next = waiting.slice(0, STEP_MESSAGES_MAX);
  return {
    ids: next.map(([id]) => id),
    events: next.map(([id, { task, node, sentAtMs, data }]) => ({
      type: 'message',
      message: {
        id: id.slice(id.lastIndexOf('/') + 1),
        task: snapshot.tasks.get(task)?.framework?.name ?? task,
        node,
        at: timeView(sentAtMs),
        data,
      },
    })),
  };
}

/** Never rejects: what stays on record goes with its lease, and is sent again only on another stream. */
export async function dropMessages({ store, log }: ServiceContext, ids: readonly string[]): Promise<void> {
  try {
    const writes = ids.map((id) => ({ type: 'delete', key: `${PREFIX}messages/${id}` }) as const);
    await store.transact({ compares: [], writes });
  } catch (error) {
    log.debug({ error }, 'messages that were sent could not be taken off record; their lease ends them');
  }
}
