/** How maintenance windows look to a person. */
import type { MaintenanceView } from '../../../shared/protocol/maintenance.ts';
import type { ListShape } from './printer.ts';
import { durationText, printable } from './text.ts';

export const maintenanceShape: ListShape<MaintenanceView> = {
  noun: 'maintenance window',
  nameOf: ({ node }) => node,
  columns: () => [
    { header: 'NODE', value: (one) => one.node, shrinks: true },
    { header: 'STATE', value: (one) => one.state, colour: colourOf },
    { header: 'FROM', value: (one) => one.startsAt },
    { header: 'UNTIL', value: (one) => one.endsAt ?? 'taken back' },
    { header: 'FOR', value: ({ durationSeconds: seconds }) => (seconds === null ? '-' : durationText(seconds * 1000)) },
    { header: 'SET BY', value: (one) => printable(one.setBy), shrinks: true },
    { header: 'FRAMEWORKS', value: answersText, shrinks: true },
  ],
};

function colourOf({ state }: MaintenanceView) {
  return state === 'running' ? 'yellow' : 'cyan';
}

function answersText({ frameworks }: MaintenanceView): string {
  if (frameworks.length === 0) return '-';
  return frameworks
    .map(({ framework, frameworkName, answer }) => `${printable(frameworkName ?? framework)} ${answer ?? 'silent'}`)
    .join(', ');
}

/** A window in words, to follow the name of its node. */
export function windowText({
  startsAt,
  durationSeconds,
}: Pick<MaintenanceView, 'startsAt' | 'durationSeconds'>): string {
  const length = durationSeconds === null ? 'until that is taken back' : `for ${durationText(durationSeconds * 1000)}`;
  return `from ${startsAt} on, ${length}`;
}
