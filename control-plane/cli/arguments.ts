/** What people write on the command line, read strictly: an amount, a duration, a variable, a port, a constraint. */

import { InvalidArgumentError } from 'commander';
import type { Constraint, ConstraintOperator } from '../../shared/domain/constraint.ts';
import type { JobKey } from '../../shared/domain/ids.ts';
import { NAME_PATTERN, NAME_RULE } from '../../shared/domain/ids.ts';
import { WEIGHT_MAX, WEIGHT_MIN } from '../../shared/domain/role-terms.ts';
import { parsePosition, type StatePosition } from '../../shared/protocol/position.ts';

const SECONDS: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 };

/** `90`, `90s`, `1h30m` as seconds. */
export function durationSeconds(text: string): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text);
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(text)) throw new InvalidArgumentError('Write it like 90s, 5m or 1h30m.');
  let sum = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    sum += Number(amount) * (SECONDS[unit ?? 's'] ?? 1);
  }
  return sum;
}

/** `2026-12-24T18:00Z` or `2026-12-24T19:00:00+01:00` as a time. Without a zone it could be anybody's. */
export function timeMs(text: string): number {
  const atMs = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(text)
    ? Date.parse(text)
    : Number.NaN;
  if (!Number.isNaN(atMs)) return atMs;
  throw new InvalidArgumentError('Write it like 2026-12-24T18:00Z or 2026-12-24T19:00+01:00.');
}

const MEBIBYTES: Readonly<Record<string, number>> = { '': 1, m: 1, g: 1024, t: 1024 * 1024 };

/** `256`, `256M`, `1.5G` or `1.5GiB` as whole mebibytes. */
export function mebibytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(?:([mgt])(?:i?b)?)?$/i.exec(text);
  const amount = Number(match?.[1]) * (MEBIBYTES[(match?.[2] ?? '').toLowerCase()] ?? Number.NaN);
  if (Number.isInteger(amount)) return amount;
  throw new InvalidArgumentError('Write it in MiB, such as 256, or like 512M or 1.5G.');
}

/** `cpus=2,memMiB=1G` as amounts by name. What is counted in MiB may be written with a unit. */
export function amountsArgument(text: string): Record<string, number> {
  const amounts: Record<string, number> = {};
  for (const part of text.split(',')) {
    const [name = '', amount, ...rest] = part.split('=');
    if (name === '' || amount === undefined || rest.length > 0) {
      throw new InvalidArgumentError('Write it like cpus=2,memMiB=1G.');
    }
    if (Object.hasOwn(amounts, name)) throw new InvalidArgumentError(`${name} is named twice.`);
    amounts[name] = name.endsWith('MiB') ? mebibytes(amount) : decimal(amount);
  }
  return amounts;
}

/** The same, gathered over repetitions of the flag. */
export function amountsGathered(
  text: string,
  before: readonly Record<string, number>[] = [],
): Record<string, number>[] {
  return [...before, amountsArgument(text)];
}

export function decimal(text: string): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It must be a number.');
}

export function weightArgument(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (value >= WEIGHT_MIN && value <= WEIGHT_MAX) return value;
  throw new InvalidArgumentError(`It must be a number from ${WEIGHT_MIN} to ${WEIGHT_MAX}, such as 2.`);
}

export function wholeNumber(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
  throw new InvalidArgumentError('It must be a whole number.');
}

/** A revision, as events and answers give it. */
export function statePosition(text: string): StatePosition {
  const position = parsePosition(text);
  if (position !== null) return position;
  throw new InvalidArgumentError('It must be a revision, such as `berth events -o name` shows.');
}

/** `KEY=VALUE`, gathered over repetitions of the flag. `KEY` alone takes the value from the CLI's own environment. */
export function envPair(env: Readonly<Record<string, string | undefined>>) {
  return (text: string, before: Readonly<Record<string, string>> = {}): Record<string, string> => {
    const equals = text.indexOf('=');
    const name = equals === -1 ? text : text.slice(0, equals);
    const value = equals === -1 ? env[name] : text.slice(equals + 1);
    if (name === '') throw new InvalidArgumentError('Write it like NAME=VALUE.');
    if (value === undefined) throw new InvalidArgumentError(`${name} isn't set here. Write ${name}=VALUE.`);
    return { ...before, [name]: value };
  };
}

export interface PortArgument {
  readonly name: string;
  readonly containerPort?: number;
  readonly hostPort?: number;
}

/** `name`, `name:container` or `name:container:host`. */
export function portArgument(text: string, before: readonly PortArgument[] = []): PortArgument[] {
  const [name = '', container, host, ...rest] = text.split(':');
  if (!NAME_PATTERN.test(name))
    throw new InvalidArgumentError(`Its name must be ${NAME_RULE}: name[:container[:host]].`);
  if (rest.length > 0) throw new InvalidArgumentError('Write it like name[:container[:host]].');
  return [
    ...before,
    {
      name,
      ...(container === undefined || container === '' ? {} : { containerPort: portNumber(container) }),
      ...(host === undefined ? {} : { hostPort: portNumber(host) }),
    },
  ];
}

function portNumber(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port >= 1 && port <= 65_535) return port;
  throw new InvalidArgumentError(`"${text}" isn't a port: a number from 1 to 65535.`);
}

const CONSTRAINT = /^(?<attribute>[^\s=!<>]+)\s*(?<operator>!=|<=|>=|=|<|>)\s*(?<value>.*)$/;
const CONSTRAINT_LIST = /^(?<attribute>[^\s=!<>]+)\s+(?<operator>in|notIn)\s+(?<values>.+)$/;
const CONSTRAINT_PATTERN = /^(?<attribute>[^\s=!<>]+)\s+(?<operator>matches|notMatches)\s+(?<value>.+)$/;
const CONSTRAINT_EXISTS = /^(?<not>!)?(?<attribute>[^\s=!<>]+)$/;

/** `zone=a`, `cores>=4`, `zone in a,b`, `zone notIn a,b`, `rack matches r[0-9]+`, `rack notMatches x.*`, `gpu` (is there), `!gpu` (isn't). */
export function constraintArgument(text: string, before: readonly Constraint[] = []): Constraint[] {
  return [...before, parseConstraint(text.trim())];
}

function parseConstraint(text: string): Constraint {
  const list = CONSTRAINT_LIST.exec(text)?.groups;
  if (list) {
    const values = (list['values'] ?? '').split(',').map((value) => value.trim());
    return { attribute: list['attribute'] ?? '', operator: list['operator'] as ConstraintOperator, values };
  }
  // A pattern may hold what would else be taken for a comparison.
  const comparison = (CONSTRAINT_PATTERN.exec(text) ?? CONSTRAINT.exec(text))?.groups;
  if (comparison) {
    const { attribute = '', operator, value = '' } = comparison;
    return { attribute, operator: operator as ConstraintOperator, value };
  }
  const existence = CONSTRAINT_EXISTS.exec(text)?.groups;
  if (existence) {
    return {
      attribute: existence['attribute'] ?? '',
      operator: existence['not'] === undefined ? 'exists' : 'notExists',
    };
  }
  throw new InvalidArgumentError(
    'Write it like zone=a, "cores>=4", "zone in a,b", "rack matches r[0-9]+", gpu or "!gpu".',
  );
}

/** `on` and `off`. */
export function onOrOff(text: string): boolean {
  if (text === 'on') return true;
  if (text === 'off') return false;
  throw new InvalidArgumentError('Write on or off.');
}

/** A job as it is named on the command line: its name with `--role`, or both at once as in `eng/ml/train`. */
export function jobKey(text: string, role: string | undefined): JobKey {
  const slash = text.lastIndexOf('/');
  if (slash === -1) return { name: text, role: role ?? 'default' };
  return { name: text.slice(slash + 1), role: text.slice(0, slash) };
}

/** The reverse of {@link jobKey}. */
export function jobName(key: JobKey): string {
  return key.role === 'default' ? key.name : `${key.role}/${key.name}`;
}

export function gathered(text: string, before: readonly string[] = []): string[] {
  return [...before, text];
}
