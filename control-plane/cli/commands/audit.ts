/** `berth audit`: who did what to which object, from where, with which token, and what came of it. */
import { type Command, Option } from 'commander';
import { AUDIT_OUTCOMES } from '../../../shared/domain/audit.ts';
import type { AuditView } from '../../../shared/protocol/audit.ts';
import { durationSeconds, wholeNumber } from '../arguments.ts';
import type { Io } from '../io.ts';
import { auditLine, auditShape } from '../output/audit-shapes.ts';
import { openSession, type Session } from '../session.ts';

interface AuditFlags {
  readonly follow?: boolean;
  /** In seconds. */
  readonly since?: number;
  readonly limit: number;
  readonly role?: string;
  readonly subject?: string;
  readonly token?: string;
  readonly object?: string;
  readonly operation?: string;
  readonly outcome?: string;
}

const LIMIT_DEFAULT = 100;

const HELP = `
With -o json: one object per line, as a log collector takes it.

Examples:
  berth audit --since 1h
  berth audit --role eng/ml --object job/train
  berth audit --subject ci --outcome refused
  berth audit -f --since 24h -o json >> /var/log/berth-audit.jsonl
`;

export function addAuditCommand(program: Command, io: Io): void {
  program
    .command('audit')
    .summary('show who did what')
    .description(
      'Show who did what to which object, from where, with which token, and what came of it; the last of it last.',
    )
    .option('-f, --follow', 'go on until interrupted')
    .option('--since <duration>', 'only what was done in this time, such as 1h', durationSeconds)
    .option('-n, --limit <number>', 'how many records at most, without -f', wholeNumber, LIMIT_DEFAULT)
    .option('--role <path>', 'only what was done to things of this role and of those below it')
    .option('--subject <name>', 'only what was done by this one')
    .option('--token <id>', 'only what was done with this token')
    .option('--object <kind/id>', 'only what was done to this, such as job/web or node/edge-1')
    .option('--operation <text>', 'only what was done by calls that this is a part of')
    .addOption(new Option('--outcome <outcome>', 'only what came out like this').choices(AUDIT_OUTCOMES))
    .addHelpText('after', HELP)
    .action(async (flags: AuditFlags, self: Command) => {
      const session = await openSession(io, self);
      await (flags.follow === true ? follow(session, flags) : show(session, flags));
    });
}

function queryOf({ io }: Session, { follow: _follow, limit: _limit, since, ...filter }: AuditFlags) {
  return since === undefined ? filter : { ...filter, since: new Date(io.clock.now() - since * 1000).toISOString() };
}

/** The newest are asked for, and shown in the order in which they were made. */
async function show(session: Session, flags: AuditFlags): Promise<void> {
  const { client, printer } = session;
  const found: AuditView[] = [];
  let isCut = false;
  for await (const record of client.audit.read({ ...queryOf(session, flags), order: 'newest' })) {
    isCut = found.length === flags.limit;
    if (isCut) break;
    found.push(record);
  }
  const records = found.reverse();
  if (printer.format === 'table') printer.list(records, auditShape);
  else for (const record of records) showRecord(session, record);
  if (isCut) printer.note(`These are the last ${flags.limit}; there are more: see --limit and --since.`);
}

async function follow(session: Session, flags: AuditFlags): Promise<void> {
  const leave = new AbortController();
  const restore = session.io.onInterruption(() => leave.abort());
  try {
    const query = { ...queryOf(session, flags), signal: leave.signal };
    for await (const record of session.client.audit.follow(query)) showRecord(session, record);
  } finally {
    restore();
  }
}

function showRecord({ printer, io }: Session, record: AuditView): void {
  io.out.write(`${recordText(printer, record)}\n`);
}

function recordText({ format, paint }: Session['printer'], record: AuditView): string {
  switch (format) {
    case 'table':
      return auditLine(record, paint);
    case 'name':
      return record.id;
    case 'json':
    case 'yaml':
      return JSON.stringify(record);
  }
}
