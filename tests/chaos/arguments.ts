/** What `npm run chaos --` is given. */
import { parseArgs } from 'node:util';
import { FAULT_KINDS } from './faults/nemesis.ts';

export interface Settings {
  readonly faults: number;
  readonly seed: number;
  readonly minutesMax: number;
  readonly kinds: readonly string[];
  readonly keep: boolean;
  /** A history that was kept, to be judged again; null: there is a run. */
  readonly judge: string | null;
}

const OPTIONS = {
  faults: { type: 'string', default: '200' },
  seed: { type: 'string' },
  'minutes-max': { type: 'string', default: '40' },
  kinds: { type: 'string' },
  keep: { type: 'boolean', default: false },
  judge: { type: 'string' },
  help: { type: 'boolean', default: false },
} as const;

const SEED_MAX = 0xffff_ffff;

export const USAGE = `usage: npm run chaos -- [options]

  --faults N         how many faults, one after the other and a few at a time (200)
  --seed S           what chance is drawn from (default: another one each time)
  --minutes-max M    no fault begins after so many minutes, and the run counts as failed (40)
  --kinds LIST       only these kinds of faults, separated by commas:
${FAULT_KINDS.map(({ name }) => `                       ${name}`).join('\n')}
  --keep             keep logs and history even if nothing is wrong
  --judge FILE       run nothing, and judge a history.json that was kept
`;

/** Throws an error that says what is wrong with them. `chosenSeed` is taken where none is given. */
export function readSettings(args: readonly string[], chosenSeed: number): Settings | 'help' {
  const { values } = parseArgs({ args: [...args], options: OPTIONS });
  if (values.help) return 'help';
  const names = FAULT_KINDS.map(({ name }) => name);
  const kinds = values.kinds?.split(',').map((name) => name.trim()) ?? names;
  const unknown = kinds.filter((name) => !names.includes(name));
  if (unknown.length > 0) throw new Error(`--kinds names ${unknown.join(', ')}; there are: ${names.join(', ')}`);
  return {
    faults: whole('--faults', values.faults, { least: 0, most: 100_000 }),
    seed: values.seed === undefined ? chosenSeed : whole('--seed', values.seed, { least: 0, most: SEED_MAX }),
    minutesMax: whole('--minutes-max', values['minutes-max'], { least: 1, most: 10_000 }),
    kinds,
    keep: values.keep,
    judge: values.judge ?? null,
  };
}

function whole(name: string, value: string, { least, most }: { least: number; most: number }): number {
  const number = Number(value);
  if (/^\d+$/.test(value) && number >= least && number <= most) return number;
  throw new Error(`${name} is "${value}"; it must be a whole number from ${least} to ${most}`);
}
