/** How frameworks and their offers look to a person. */
import { describeConstraint } from '../../../shared/domain/constraint.ts';
import type { FrameworkView } from '../../../shared/protocol/framework.ts';
import type { HeldOfferView } from '../../../shared/protocol/offers.ts';
import type { TaskView } from '../../../shared/protocol/views.ts';
import { stateColour } from './paint.ts';
import type { ListShape } from './printer.ts';
import { countsText, type RenderOptions, taskShape } from './shapes.ts';
import { renderPairs, renderTable } from './table.ts';
import { ageText, counted, durationText, mebibytesText, printable } from './text.ts';

export const frameworkShape: ListShape<FrameworkView> = {
  noun: 'framework',
  nameOf: (framework) => framework.id,
  columns: (nowMs) => [
    { header: 'ID', value: (framework) => framework.id, shrinks: true },
    { header: 'NAME', value: (framework) => framework.name, shrinks: true },
    { header: 'ROLES', value: ({ roles }) => roles.join(','), shrinks: true },
    { header: 'STATE', value: ({ state }) => state, colour: ({ state }) => stateColour(state) },
    { header: 'TASKS', value: ({ tasks }) => countsText(tasks), shrinks: true },
    { header: 'CPUS', value: ({ holds }) => String(holds.cpus), align: 'right' },
    { header: 'MEMORY', value: ({ holds }) => mebibytesText(holds.memMiB), align: 'right' },
    { header: 'GPUS', value: ({ holds }) => String(holds.gpus), align: 'right' },
    { header: 'OFFERS', value: ({ offers }) => String(offers.count), align: 'right' },
    { header: 'HELD FOR', value: ({ offers }) => heldText(offers.oldestAt, nowMs), align: 'right' },
    {
      header: 'THROTTLED',
      value: ({ throttled }) => (throttled === null ? '-' : `on ${counted(throttled.nodes, 'node')}`),
      colour: ({ throttled }) => (throttled === null ? 'plain' : 'yellow'),
    },
  ],
};

export const offerShape: ListShape<HeldOfferView> = {
  noun: 'offer',
  nameOf: (offer) => offer.id,
  columns: (nowMs) => [
    { header: 'ID', value: (offer) => offer.id },
    { header: 'FRAMEWORK', value: (offer) => `${offer.frameworkName} (${offer.framework})`, shrinks: true },
    { header: 'ROLE', value: (offer) => offer.role, shrinks: true },
    { header: 'NODE', value: (offer) => offer.node, shrinks: true },
    { header: 'CPUS', value: ({ resources }) => String(resources.cpus), align: 'right' },
    { header: 'MEMORY', value: ({ resources }) => mebibytesText(resources.memMiB), align: 'right' },
    { header: 'GPUS', value: ({ resources }) => String(resources.gpus), align: 'right' },
    { header: 'RESERVED', value: ({ reserved }) => String(reserved.length), align: 'right' },
    { header: 'HELD FOR', value: ({ heldSeconds }) => durationText(heldSeconds * 1000), align: 'right' },
    { header: 'ENDS IN', value: ({ expiresAt }) => endsText(expiresAt, nowMs), align: 'right' },
  ],
};

function heldText(since: string | null, nowMs: number): string {
  return since === null ? '-' : durationText(nowMs - Date.parse(since));
}

/** An offer stands until the next round has taken it back. */
function endsText(expiresAt: string, nowMs: number): string {
  const leftMs = Date.parse(expiresAt) - nowMs;
  return leftMs <= 0 ? 'now' : durationText(leftMs);
}

export interface FrameworkParts {
  readonly offers: readonly HeldOfferView[];
  /** Those that haven't ended. */
  readonly tasks: readonly TaskView[];
}

export function renderFramework(
  framework: FrameworkView,
  { offers, tasks }: FrameworkParts,
  options: RenderOptions,
): string {
  const { paint, nowMs } = options;
  const { holds, throttled, teardown } = framework;
  const head = renderPairs(
    [
      ['Id', framework.id],
      ['Name', framework.name],
      ['State', `${paint(stateColour(framework.state), framework.state)}: ${printable(framework.message)}`],
      ['Registered', `${framework.registeredAt} by ${printable(framework.principal)}`],
      ['Session', `${framework.session}, since ${framework.subscribedAt} (${ageText(framework.subscribedAt, nowMs)})`],
      ['Roles', rolesText(framework)],
      ...nodesPairs(framework),
      ['Can take', framework.capabilities.length === 0 ? '-' : framework.capabilities.join(' ')],
      ['May be away', durationText(framework.failoverTimeoutSeconds * 1000)],
      ['Tasks', countsText(framework.tasks)],
      ...(framework.operations === 0
        ? []
        : [['Unheard', `${counted(framework.operations, 'operation')} carried out, not acknowledged`] as const]),
      ['They hold', `${holds.cpus} CPUs, ${mebibytesText(holds.memMiB)}, ${counted(holds.gpus, 'GPU')}`],
      ...(throttled === null
        ? []
        : [
            [
              'Throttled',
              paint(
                'yellow',
                `it left offers of ${counted(throttled.nodes, 'node')} unanswered, and gets none of the last of them before ${throttled.until}`,
              ),
            ] as const,
          ]),
      ...(teardown === null
        ? []
        : [['Torn down', printable(`${teardown.at} by ${teardown.by}: ${teardown.reason}`)] as const]),
    ],
    paint,
  );
  const held = offers.length === 0 ? '' : `\n${renderTable(offerShape.columns(nowMs), offers, options)}`;
  const running = tasks.length === 0 ? '' : `\n${renderTable(taskShape.columns(nowMs), tasks, options)}`;
  return `${head}${held}${running}`;
}

/** Which nodes it wants to be offered, in each role in which it doesn't want any. */
function nodesPairs({ nodeConstraints }: FrameworkView): (readonly [string, string])[] {
  return Object.entries(nodeConstraints).map(([role, alternatives]) => {
    const texts = alternatives.map((all) => all.map(describeConstraint).join(' and ') || 'any');
    return ['Wants nodes', printable(`${texts.join(', or ')} (as ${role})`)];
  });
}

function rolesText({ roles, suppressed }: FrameworkView): string {
  return roles.map((role) => (suppressed.includes(role) ? `${role} (wants no offers)` : role)).join(', ');
}
