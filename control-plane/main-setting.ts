/** What the readers of settings share. */

/** A setting that can't be used. The message names it and says what would do. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

export function wholeSetting(
  name: string,
  value: string | null,
  { min, max }: { readonly min: number; readonly max: number },
): number | null {
  if (value === null) return null;
  const number = Number(value);
  if (Number.isInteger(number) && number >= min && number <= max) return number;
  throw new ConfigError(`--${name} "${value}" is not a whole number from ${min} to ${max}`);
}
