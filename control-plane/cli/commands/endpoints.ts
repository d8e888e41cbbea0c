/** `berth endpoints`: where services are reached. */
import { type Command, Option } from 'commander';
import { type EndpointFilter, withChange } from '../../../shared/client/endpoints.ts';
import { ENDPOINT_STATES, type EndpointList, type EndpointView } from '../../../shared/protocol/endpoints.ts';
import type { Io } from '../io.ts';
import { endpointShape } from '../output/endpoint-shapes.ts';
import { listText } from '../output/printer.ts';
import { CLEAR_SCREEN, openSession, type Session } from '../session.ts';

interface Flags extends Omit<EndpointFilter, 'state'> {
  readonly state?: EndpointView['state'];
  readonly watch?: boolean;
}

const EXAMPLES = `
Examples:
  berth endpoints --job web                       where web is reached, and how each of its tasks is
  berth endpoints --port http --state ready -o json
  berth endpoints --watch                         show it again whenever it changes
`;

export function addEndpointsCommand(program: Command, io: Io): void {
  program
    .command('endpoints')
    .summary('show where services are reached')
    .description(
      'List the ports of tasks of services: where each is reached, and whether it should be given anything to do.',
    )
    .option('--job <name>', 'only of this job, by its name or uid')
    .option('--role <path>', 'only of this role and those below it')
    .option('--group <name>', 'only of this group')
    .option('--port <name>', 'only ports of this name')
    .option('--node <id>', 'only on this node')
    .addOption(new Option('--state <state>', 'only in this state').choices(ENDPOINT_STATES))
    .option('-w, --watch', 'show it again whenever it changes')
    .addHelpText('after', EXAMPLES)
    .action(async ({ watch, state, ...rest }: Flags, self: Command) => {
      const session = await openSession(io, self);
      const filter = { ...rest, ...(state !== undefined && { state: [state] }) };
      if (watch === true) await follow(session, filter);
      else session.printer.list((await session.client.endpoints.list(filter)).items, endpointShape);
    });
}

async function follow({ client, io, printer }: Session, filter: EndpointFilter): Promise<void> {
  const stop = new AbortController();
  const restore = io.onInterruption(() => stop.abort());
  const { format, paint, width } = printer;
  let shown: EndpointList = { revision: 0, items: [] };
  try {
    for await (const update of client.endpoints.watch(filter, { signal: stop.signal })) {
      shown = update.type === 'list' ? update.list : withChange(shown, update.change);
      const text = listText(shown.items, endpointShape, { format, paint, width, nowMs: io.clock.now() });
      io.out.write(io.out.isTerminal ? CLEAR_SCREEN + text : text);
    }
  } finally {
    restore();
  }
}
