/** `berth job why`: what keeps a job from being as it is wanted. */
import type { Command } from 'commander';
import type { FunnelRowView, JobExplanationView, WaitingTasksView } from '../../../shared/protocol/explanation.ts';
import { jobKey } from '../arguments.ts';
import type { Io } from '../io.ts';
import type { Paint } from '../output/paint.ts';
import { renderTable } from '../output/table.ts';
import { counted, printable } from '../output/text.ts';
import { openSession } from '../session.ts';

const WHY_HELP = `
Examples:
  berth job why shop
  berth job why shop --task shop.web.2.0-4kd0aw4nqf7s
  berth job why shop -o json        every stage of the funnel, also those that refuse no node
`;

export function addWhy(job: Command, io: Io): void {
  job
    .command('why')
    .summary("say why a job isn't as it is wanted")
    .description(
      'Of tasks that wait for a place: how many nodes each stage refuses, and the nearest miss. Beside that, what else holds the job up.',
    )
    .argument('<job>', 'its name, or role/name')
    .option('--role <path>', 'its role')
    .option('--task <id>', 'only this one of its tasks')
    .addHelpText('after', WHY_HELP)
    .action(async (text: string, flags: { role?: string; task?: string }, self: Command) => {
      const session = await openSession(io, self);
      const explanation = await session.client.jobs.explain(jobKey(text, flags.role), { task: flags.task });
      const { printer } = session;
      printer.one(explanation, {
        name: explanation.job.name,
        render: (paint) => renderExplanation(explanation, { paint, width: printer.width }),
      });
    });
}

interface RenderOptions {
  readonly paint: Paint;
  readonly width: number | null;
}

export function renderExplanation(
  { summary, holds, groups, more }: JobExplanationView,
  options: RenderOptions,
): string {
  const rest = holds.filter(({ message }) => message !== summary);
  const parts = [
    `${printable(summary)}\n`,
    rest.length === 0
      ? ''
      : `\n${options.paint('bold', 'Also')}\n${rest.map(({ message }) => `  - ${printable(message)}\n`).join('')}`,
    ...groups.map((group) => renderWaiting(group, { ...options, isAlone: groups.length === 1 })),
    more === 0 ? '' : `\n${counted(more, 'further kind')} of waiting tasks left out; --task shows a single one.\n`,
  ];
  return parts.join('');
}

function renderWaiting(waiting: WaitingTasksView, options: RenderOptions & { readonly isAlone: boolean }): string {
  const head = `${counted(waiting.waiting, 'task')} of group ${waiting.group} (version ${waiting.version}), ${counted(waiting.nodesTotal, 'node')}`;
  const rows = waiting.funnel.filter(({ declined }) => declined > 0);
  return [
    `\n${options.paint('bold', printable(head))}\n`,
    options.isAlone ? '' : `${printable(waiting.summary)}\n`,
    rows.length === 0 ? '' : renderFunnel(rows, options),
    `${waiting.nodesLeft} of ${counted(waiting.nodesTotal, 'node')} left\n`,
    waiting.nearest === null ? '' : `Nearest: ${printable(waiting.nearest.message)}\n`,
    waiting.most === null ? '' : `The constraints let at most ${waiting.most} run.\n`,
  ].join('');
}

function renderFunnel(rows: readonly FunnelRowView[], options: RenderOptions): string {
  return renderTable<FunnelRowView>(
    [
      { header: 'STAGE', value: ({ stage }) => stage },
      { header: 'NODES', value: ({ processed }) => String(processed), align: 'right' },
      { header: 'REFUSED', value: ({ declined }) => String(declined), align: 'right' },
      { header: 'WHY', value: ({ reasons }) => reasons.join('; '), shrinks: true },
    ],
    rows,
    options,
  );
}
