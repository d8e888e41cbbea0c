/** How services and their deployments look to a person. */

import { isTerminal } from '../../../shared/domain/task.ts';
import type { DeploymentView } from '../../../shared/protocol/deployments.ts';
import type { JobView, PlanView, TaskView } from '../../../shared/protocol/views.ts';
import { jobName } from '../arguments.ts';
import { type Colour, type Paint, stateColour } from './paint.ts';
import type { ListShape } from './printer.ts';
import { type Column, renderPairs, renderTable } from './table.ts';
import { ageText, counted, printable } from './text.ts';

export const deploymentShape: ListShape<DeploymentView> = {
  noun: 'deployment',
  nameOf: ({ id }) => id,
  columns: (nowMs) => [
    { header: 'ID', value: ({ id }) => id },
    { header: 'JOB', value: ({ job }) => jobName(job), shrinks: true },
    { header: 'VERSION', value: versionsText },
    { header: 'CAUSE', value: ({ cause }) => cause },
    { header: 'STATE', value: ({ state }) => state, colour: ({ state }) => stateColour(state) },
    { header: 'CREATED', value: ({ createdAt }) => ageText(createdAt, nowMs) },
    { header: 'MESSAGE', value: ({ message }) => message, shrinks: true },
  ],
};

function versionsText({ fromVersion, toVersion }: DeploymentView): string {
  return fromVersion === null ? `→ ${toVersion}` : `${fromVersion} → ${toVersion}`;
}

export interface RenderOptions {
  readonly paint: Paint;
  readonly nowMs: number;
  readonly width: number | null;
}

export function renderDeployment(deployment: DeploymentView, options: RenderOptions): string {
  const { paint, nowMs } = options;
  const { id, job, cause, strategy, state, message, groups, createdAt, createdBy } = deployment;
  const optional = (name: string, value: string | null) => (value === null ? [] : [[name, printable(value)] as const]);
  const head = renderPairs(
    [
      ['Id', id],
      ['Job', jobName(job)],
      ['Version', versionsText(deployment)],
      ['Cause', `${cause} by ${printable(createdBy)}, ${createdAt} (${ageText(createdAt, nowMs)})`],
      ['Strategy', strategy],
      ['State', `${paint(stateColour(state), state)}: ${printable(message)}`],
      ...optional('Started', deployment.startedAt),
      ...optional('Fails', deployment.deadline === null ? null : `${deployment.deadline}, unless it comes further`),
      ...optional('Promoted', promotionText(deployment)),
      ...optional('Paused by', deployment.pausedBy),
      ...optional('Ended', deployment.endedAt),
      ...optional('Takes back', deployment.revertOf),
      ...optional('Taken back by', deployment.revertedBy),
    ],
    paint,
  );
  if (groups.length === 0) return head;
  const columns: Column<DeploymentView['groups'][number]>[] = [
    { header: 'GROUP', value: ({ group }) => group },
    { header: 'WANTED', value: ({ wanted }) => String(wanted), align: 'right' },
    { header: 'NEW', value: (group) => String(group.new), align: 'right' },
    { header: 'HEALTHY', value: ({ healthy }) => String(healthy), align: 'right' },
    { header: 'OLD', value: ({ old }) => String(old), align: 'right' },
  ];
  return `${head}\n${renderTable(columns, groups, options)}`;
}

function promotionText({ promotedAt, promotedBy }: DeploymentView): string | null {
  return promotedAt === null ? null : `${promotedAt} by ${promotedBy ?? 'berth'}`;
}

/** `running: 3 of 5 healthy, 2 old ones left`: how far it is, over all groups. */
export function deploymentProgress({ state, message, groups }: DeploymentView): string {
  const sum = (count: (group: DeploymentView['groups'][number]) => number) =>
    groups.reduce((all, group) => all + count(group), 0);
  const old = sum((group) => group.old);
  const rest = old === 0 ? '' : `, ${counted(old, 'old one')} left`;
  // While it runs, the message says no more than the counts do.
  const more = state === 'running' ? '' : `: ${printable(message)}`;
  return `${state}: ${sum((group) => group.healthy)} of ${sum((group) => group.wanted)} healthy${rest}${more}`;
}

/** Ended tasks of a service that are shown: those that run are what it is about. */
const ENDED_SHOWN_MAX = 5;

/** What a service is about: each group's health, and its tasks with theirs. */
export function renderServiceTasks(job: JobView, tasks: readonly TaskView[], options: RenderOptions): string {
  const groups = renderTable(groupColumns, job.groups, options);
  const live = tasks.filter(({ state }) => !isTerminal(state));
  const ended = tasks
    .filter(({ state }) => isTerminal(state))
    .sort((a, b) => Date.parse(b.endedAt ?? b.createdAt) - Date.parse(a.endedAt ?? a.createdAt));
  const shown = [...live, ...ended.slice(0, ENDED_SHOWN_MAX)];
  const more = ended.length - ENDED_SHOWN_MAX;
  const rest = more > 0 ? `and ${more} that ended before: berth task list --job ${job.name} --role ${job.role}\n` : '';
  return shown.length === 0 ? groups : `${groups}\n${renderTable(taskColumns(options.nowMs), shown, options)}${rest}`;
}

const groupColumns: readonly Column<JobView['groups'][number]>[] = [
  { header: 'GROUP', value: ({ name }) => name },
  { header: 'HEALTHY', value: ({ healthy, wanted }) => `${healthy}/${wanted}`, align: 'right', colour: groupColour },
  { header: 'LIVE', value: ({ live }) => String(live), align: 'right' },
  { header: 'OUTDATED', value: ({ outdated }) => String(outdated), align: 'right' },
];

function groupColour({ healthy, wanted }: JobView['groups'][number]): Colour {
  return healthy >= wanted ? 'green' : healthy === 0 ? 'red' : 'yellow';
}

function taskColumns(nowMs: number): Column<TaskView>[] {
  return [
    { header: 'TASK', value: ({ group, index }) => `${group}[${index}]` },
    { header: 'STATE', value: stateText, colour: (task) => stateColour(task.unreachable ? 'unreachable' : task.state) },
    { header: 'HEALTH', value: healthText, colour: (task) => stateColour(healthText(task)) },
    { header: 'VERSION', value: ({ job, outdated }) => `${job?.version ?? '-'}${outdated ? ' (old)' : ''}` },
    { header: 'NODE', value: ({ node }) => node ?? '-', shrinks: true },
    { header: 'AGE', value: ({ createdAt }) => ageText(createdAt, nowMs) },
    { header: 'LAST', value: lastText, shrinks: true },
    { header: 'ID', value: ({ id }) => id, shrinks: true },
  ];
}

function stateText({ state, stop, unreachable }: TaskView): string {
  if (unreachable) return `${state} (unreachable)`;
  return stop !== null && !isTerminal(state) ? 'stopping' : state;
}

/** Without checks a task that runs is taken to work. */
export function healthText({ state, health }: Pick<TaskView, 'state' | 'health'>): string {
  if (state !== 'running') return '-';
  if (health === null) return 'unchecked';
  if (health.healthy === false) return 'unhealthy';
  if (health.healthy === null && health.checks.some(({ passing }) => passing === null)) return 'starting';
  return health.ready ? 'healthy' : 'not ready';
}

/** What a check that fails says is more to the point than how the task came to run. */
function lastText({ health, message }: TaskView): string {
  const failing = health?.checks.filter(({ passing }) => passing === false) ?? [];
  return failing.length === 0 ? message : failing.map((check) => `${check.name}: ${check.message}`).join('; ');
}

/** Further lines about a service, beside those that every job has. */
export function servicePairs({ deployment, suspended, goodVersion }: JobView): (readonly [string, string])[] {
  return [
    ...(deployment === null
      ? []
      : [['Deployment', `${deployment.id} to version ${deployment.toVersion}, ${deployment.state}`] as const]),
    ...(suspended === null ? [] : [['Suspended', printable(`${suspended.at} by ${suspended.by}`)] as const]),
    ...(goodVersion === null ? [] : [['Last good', `version ${goodVersion}`] as const]),
  ];
}

/** What becomes of the tasks that run, how, and what stands in the way. */
export function servicePlanLines({ groups, steps, warnings }: PlanView, paint: Paint): string[] {
  return [
    ...groups.map((group) => `  ${paint('bold', group.group)}: ${fatesText(group)} (${printable(group.why)})`),
    ...steps.map((step) => `  ${printable(step)}`),
    ...warnings.map((warning) => `  ${paint('yellow', 'warning')}: ${printable(warning)}`),
  ];
}

/** `5 made, 5 replaced`: of what happens, nothing that doesn't. */
function fatesText({ made, replaced, stopped, kept }: PlanView['groups'][number]): string {
  const fates = { made, replaced, stopped, kept };
  const parts = Object.entries(fates).flatMap(([fate, count]) => (count > 0 ? [`${count} ${fate}`] : []));
  return parts.length === 0 ? 'nothing' : parts.join(', ');
}
