/** How roles and settings look to a person. */
import type { FrameworkView } from '../../../shared/protocol/framework.ts';
import type { RoleView, SettingsView } from '../../../shared/protocol/roles.ts';
import { frameworkShape } from './framework-shapes.ts';
import type { Paint } from './paint.ts';
import type { ListShape } from './printer.ts';
import type { RenderOptions } from './shapes.ts';
import { renderPairs, renderTable } from './table.ts';
import { ageText, counted, durationText, mebibytesText, printable } from './text.ts';

export const roleShape: ListShape<RoleView> = {
  noun: 'role',
  nameOf: (role) => role.path,
  columns: (nowMs) => [
    { header: 'ROLE', value: (role) => role.path, shrinks: true },
    { header: 'WEIGHT', value: (role) => String(role.weight), align: 'right' },
    { header: 'SHARE', value: (role) => percentText(role.share.dominant), align: 'right' },
    { header: 'FAIR', value: (role) => (role.fairShare === null ? '-' : percentText(role.fairShare)), align: 'right' },
    { header: 'OF', value: (role) => role.share.scalar ?? '-' },
    { header: 'CPUS', value: (role) => heldText(role, 'cpus'), align: 'right' },
    { header: 'MEMORY', value: (role) => heldText(role, 'memMiB'), align: 'right' },
    { header: 'GPUS', value: (role) => heldText(role, 'gpus'), align: 'right' },
    { header: 'HELD FOR', value: ({ held }) => longestText(Object.values(held.since), nowMs), align: 'right' },
    {
      header: 'GUARANTEE',
      value: (role) => amountsText(role.guarantee),
      colour: (role) => (role.belowGuarantee.length > 0 ? 'yellow' : 'plain'),
      shrinks: true,
    },
    { header: 'WAITING', value: (role) => String(role.pendingTasks), align: 'right' },
    { header: 'FRAMEWORKS', value: (role) => String(role.frameworks.length), align: 'right' },
  ],
};

/** `3/8`: what is held, of what may be. */
function heldText({ held, limit }: RoleView, name: 'cpus' | 'memMiB' | 'gpus'): string {
  const text = (amount: number) => (name === 'memMiB' ? mebibytesText(amount) : String(amount));
  const most = limit[name];
  return most === undefined ? text(held.total[name]) : `${text(held.total[name])}/${text(most)}`;
}

/** For how long it has held what it has held for longest. */
function longestText(since: readonly (string | null)[], nowMs: number): string {
  const times = since.filter((time) => time !== null).map((time) => Date.parse(time));
  return times.length === 0 ? '-' : durationText(Math.max(0, nowMs - Math.min(...times)));
}

/** `tasks for up to 5m, offers for up to 3s (the last one ends in 27s)` */
function holdingText({ since, offersUntil }: RoleView['held'], nowMs: number): string {
  const parts = Object.entries(since).flatMap(([sort, time]) => {
    if (time === null) return [];
    const left = sort === 'offers' && offersUntil !== null ? Date.parse(offersUntil) - nowMs : null;
    const end = left === null ? '' : ` (the last one ends ${left <= 0 ? 'now' : `in ${durationText(left)}`})`;
    return [`${sort} for up to ${longestText([time], nowMs)}${end}`];
  });
  return parts.length === 0 ? '-' : parts.join(', ');
}

function percentText(share: number): string {
  return `${(share * 100).toFixed(1)}%`;
}

/** `cpus=2,memMiB=1024`, as it is written on the command line. */
export function amountsText(amounts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(amounts).map(([name, amount]) => `${name}=${amount}`);
  return parts.length === 0 ? '-' : parts.join(',');
}

/** `frameworks`: those of the role and of those below it, as far as the caller may see them. */
export function renderRole(
  role: RoleView,
  frameworks: readonly FrameworkView[],
  { paint, nowMs, width }: RenderOptions,
): string {
  const { share, fairShare, belowGuarantee } = role;
  const head = renderPairs(
    [
      ['Role', role.path],
      ['Weight', String(role.weight)],
      ['Share', `${percentText(share.dominant)}${share.scalar === null ? '' : ` of all ${share.scalar}`}`],
      ['By weight', percentText(share.weighted)],
      ['Fair share', fairShare === null ? '- (it holds nothing and wants nothing)' : percentText(fairShare)],
      ...(belowGuarantee.length === 0
        ? []
        : [['Below', paint('yellow', `it holds less ${belowGuarantee.join(', ')} than it is promised`)] as const]),
      ['Holds', holdingText(role.held, nowMs)],
      ['Waiting', counted(role.pendingTasks, 'task')],
      ['Frameworks', role.frameworks.length === 0 ? '-' : role.frameworks.join(' ')],
      [
        'Set',
        role.updatedAt === null
          ? '-'
          : `${role.updatedAt} (${ageText(role.updatedAt, nowMs)}) by ${printable(role.updatedBy ?? '-')}`,
      ],
    ],
    paint,
  );
  const held = renderTable(heldColumns, heldRows(role), { width, paint });
  if (frameworks.length === 0) return `${head}\n${held}`;
  return `${head}\n${held}\n${renderTable(frameworkShape.columns(nowMs), frameworks, { width, paint })}`;
}

interface HeldRow {
  readonly name: string;
  readonly cells: readonly [tasks: number, offers: number, reservations: number, total: number];
  readonly guarantee: number | undefined;
  readonly limit: number | undefined;
}

const heldColumns = [
  { header: 'RESOURCE', value: (row: HeldRow) => row.name },
  ...(['TASKS', 'OFFERS', 'RESERVED', 'IN ALL'] as const).map((header, at) => ({
    header,
    value: (row: HeldRow) => String(row.cells[at]),
    align: 'right' as const,
  })),
  { header: 'GUARANTEE', value: (row: HeldRow) => optionalAmount(row.guarantee), align: 'right' as const },
  { header: 'LIMIT', value: (row: HeldRow) => optionalAmount(row.limit), align: 'right' as const },
];

function optionalAmount(amount: number | undefined): string {
  return amount === undefined ? '-' : String(amount);
}

function heldRows({ held, guarantee, limit }: RoleView): HeldRow[] {
  const { tasks, offers, reservations, total } = held;
  const fixed = ['cpus', 'memMiB', 'diskMiB', 'gpus'] as const;
  const custom = new Set([total.custom, guarantee, limit].flatMap((amounts) => Object.keys(amounts)));
  const row = (name: string, cells: HeldRow['cells']): HeldRow => {
    return { name, cells, guarantee: guarantee[name], limit: limit[name] };
  };
  return [
    ...fixed.map((name) => row(name, [tasks[name], offers[name], reservations[name], total[name]])),
    ...[...custom]
      .filter((name) => !fixed.some((known) => known === name))
      .sort()
      .map((name) => {
        const of = (scalars: typeof total) => scalars.custom[name] ?? 0;
        return row(name, [of(tasks), of(offers), of(reservations), of(total)]);
      }),
  ];
}

export function renderSettings(settings: SettingsView, paint: Paint): string {
  const { gpuNodes, offerTimeoutSeconds, minAllocatable, excludedFromShares, auditKeepDays } = settings;
  return renderPairs(
    [
      ['GPU nodes', gpuNodes],
      ['Offer timeout', durationText(offerTimeoutSeconds * 1000)],
      ['Smallest offer', minAllocatable.length === 0 ? 'anything' : minAllocatable.map(amountsText).join(' or ')],
      ['Not in shares', excludedFromShares.length === 0 ? '-' : excludedFromShares.join(', ')],
      ['Audit kept', `${auditKeepDays} d`],
    ],
    paint,
  );
}
