/** `berth status`, `berth events`, `berth cluster`, `berth token` and `berth key`: the cluster as a whole. */
import type { Command } from 'commander';
import { ApiError } from '../../../shared/client/errors.ts';
import { FIRST_INCARNATION } from '../../../shared/domain/node.ts';
import { positionText, type StatePosition } from '../../../shared/protocol/position.ts';
import type { EventView } from '../../../shared/protocol/views.ts';
import { statePosition } from '../arguments.ts';
import type { Io } from '../io.ts';
import type { Printer } from '../output/printer.ts';
import { eventLine, renderStatus } from '../output/shapes.ts';
import { openSession, type Session } from '../session.ts';
import { addRecovery } from './recovery.ts';
import { addTokenCommands } from './token.ts';

export function addClusterCommands(program: Command, io: Io): void {
  program
    .command('status')
    .summary('show how the cluster is')
    .description('Show how the cluster is: replicas, nodes, jobs, tasks, what is held.')
    .action(async (_flags: object, self: Command) => {
      const { client, printer, settings } = await openSession(io, self);
      const status = await client.status();
      const render = { nowMs: io.clock.now(), width: printer.width };
      printer.one(status, {
        name: status.cluster,
        render: (paint) => renderStatus(status, settings.address, { paint, ...render }),
      });
    });
  addEvents(program, io);
  addRecovery(program, io);
  addTokenCommands(program, io);
}

interface EventFlags {
  readonly follow?: boolean;
  readonly after?: StatePosition;
  readonly type?: string;
  readonly job?: string;
  readonly role?: string;
  readonly node?: string;
  readonly task?: string;
}

type EventSelection = Omit<EventFlags, 'follow' | 'after'> & { readonly after: StatePosition | undefined };

function addEvents(program: Command, io: Io): void {
  program
    .command('events')
    .summary('show what happens as it happens')
    .description(
      'Show the events that are still remembered, or with -f those to come. With -o json: one object per line.',
    )
    .option('-f, --follow', 'go on until interrupted')
    .option('--after <revision>', 'only what happened after this revision', statePosition)
    .option('--type <type>', 'only of this type, such as task.failed')
    .option('--job <name>', 'only of this job')
    .option('--role <path>', 'only of this role and those below it')
    .option('--node <id>', 'only of this node')
    .option('--task <id>', 'only of this task')
    .addHelpText('after', '\nExamples:\n  berth events -f --job train\n  berth events --type task.failed\n')
    .action(async ({ follow, after, ...filter }: EventFlags, self: Command) => {
      const session = await openSession(io, self);
      if (follow === true) return followEvents(session, { after: after ?? null, ...filter });
      await showRemembered(session, { after, ...filter });
    });
}

/** Without a revision to start from: as far back as the replica remembers, found by halving what is asked for. */
async function showRemembered(session: Session, { after, ...filter }: EventSelection): Promise<void> {
  const { client } = session;
  if (after === undefined) await client.status();
  const now = client.position() ?? { incarnation: FIRST_INCARNATION, revision: 0 };
  let start = after ?? { ...now, revision: 0 };
  while (true) {
    try {
      for await (const event of client.recentEvents({ after: start, ...filter })) showEvent(session, event);
      return;
    } catch (error) {
      const gone = error instanceof ApiError && error.code === 'history-gone';
      const left = now.revision - start.revision;
      if (!gone || after !== undefined || left < 1) throw error;
      start = { ...now, revision: now.revision - Math.floor(left / 2) };
    }
  }
}

async function followEvents(
  session: Session,
  filter: Omit<EventSelection, 'after'> & { after: StatePosition | null },
): Promise<void> {
  const leave = new AbortController();
  const restore = session.io.onInterruption(() => leave.abort());
  try {
    for await (const event of session.client.events({ ...filter, signal: leave.signal })) showEvent(session, event);
  } finally {
    restore();
  }
}

function showEvent({ client, printer, io }: Session, event: EventView): void {
  const { incarnation = FIRST_INCARNATION } = client.position() ?? {};
  io.out.write(`${eventText(event, printer, incarnation)}\n`);
}

function eventText(event: EventView, { format, paint }: Printer, incarnation: number): string {
  switch (format) {
    case 'table':
      return eventLine(event, paint);
    case 'name':
      return positionText({ incarnation, revision: event.revision });
    case 'json':
    case 'yaml':
      return JSON.stringify(event);
  }
}
