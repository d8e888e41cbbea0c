/** What the benchmark found, as data for the JSON file and as tables for people. */
import type { ProcessorUse } from './processor-time.ts';

export interface Figure {
  readonly name: string;
  readonly unit: 'ms' | 's' | '×' | 'MiB' | 'KiB' | '/s';
  readonly measured: number;
  /** At most this; null: there to be seen, nothing is asked of it. */
  readonly target: number | null;
  /** What it was measured against, and how. */
  readonly note: string;
}

/** Numbers behind the figures. The first column names the row. */
export interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
}

export interface Section {
  readonly name: string;
  readonly figures: readonly Figure[];
  readonly tables: readonly Table[];
  /** Who used the processors while the section was measured. */
  readonly processor: ProcessorUse;
  /** How busy the machine was when nothing of ours had anything to do, of all processors together. */
  readonly othersPercent: number;
}

/** Above this, the machine has too much else to do for its numbers to mean much. */
const QUIET_PERCENT_MAX = 15;

export type Verdict = 'ok' | 'over' | '';

export function verdictOf({ measured, target }: Figure): Verdict {
  if (target === null) return '';
  return measured <= target ? 'ok' : 'over';
}

export function sectionText(section: Section): string {
  const tables = [...section.tables, processorTable(section.processor)].map(tableText);
  return [`── ${section.name} (machine ${section.othersPercent.toFixed(0)} % busy with other things)`, ...tables].join(
    '\n\n',
  );
}

export function summaryText(sections: readonly Section[]): string {
  const figures = sections.flatMap((section) => section.figures);
  const over = figures.filter((figure) => verdictOf(figure) === 'over');
  const judged = figures.filter((figure) => figure.target !== null).length;
  const table: Table = {
    title: 'All figures',
    columns: ['figure', 'measured', 'target', '', 'note'],
    rows: figures.map((figure) => [
      figure.name,
      `${rounded(figure.measured)} ${figure.unit}`,
      figure.target === null ? '' : `≤ ${figure.target} ${figure.unit}`,
      verdictOf(figure),
      figure.note,
    ]),
  };
  if (judged === 0) return tableText(table);
  const disturbed = sections.filter(({ othersPercent }) => othersPercent > QUIET_PERCENT_MAX).map(({ name }) => name);
  const worth =
    disturbed.length === 0
      ? 'The machine had little else to do.'
      : `The machine was busy with other things, so don't lean on these: ${disturbed.join('; ')}.`;
  const words =
    over.length === 0
      ? `All ${judged} targets are met.`
      : `${over.length} of ${judged} targets are NOT met: ${over.map(({ name }) => name).join('; ')}.`;
  return `${tableText(table)}\n\n${words}\n${worth}`;
}

function processorTable({ elapsedSeconds, machinePercent, processes, tasks }: ProcessorUse): Table {
  return {
    title: `Processor time over the ${elapsedSeconds.toFixed(1)} s of it that count (machine ${machinePercent.toFixed(0)} % busy)`,
    columns: ['process', '% of the machine', ...(tasks > 0 ? ['ms per task'] : [])],
    rows: processes.map(({ name, percent, milliseconds }) => [
      name,
      percent,
      ...(tasks > 0 ? [milliseconds / tasks] : []),
    ]),
  };
}

function tableText({ title, columns, rows }: Table): string {
  const cells = rows.map((row) => row.map((cell) => (typeof cell === 'number' ? rounded(cell) : cell)));
  const widths = columns.map((column, index) =>
    Math.max(column.length, ...cells.map((row) => (row[index] ?? '').length)),
  );
  const isNumeric = columns.map((_, index) => rows.every((row) => typeof row[index] === 'number'));
  const line = (row: readonly string[]) =>
    row
      .map((cell, index) => (isNumeric[index] ? cell.padStart(widths[index] ?? 0) : cell.padEnd(widths[index] ?? 0)))
      .join('  ')
      .trimEnd();
  return [title, line(columns), ...cells.map(line)].map((text, index) => (index === 0 ? text : `  ${text}`)).join('\n');
}

/** Whole numbers as they are, others to about three significant digits. */
function rounded(value: number): string {
  if (!Number.isFinite(value)) return '-';
  if (Number.isInteger(value)) return String(value);
  const magnitude = Math.abs(value);
  return value.toFixed(magnitude >= 100 ? 0 : magnitude >= 10 ? 1 : 2);
}
