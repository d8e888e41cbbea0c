/**
 * Where long-running code reports what happens. A line is a sentence for people and fields for programs: ids, counts,
 * milliseconds. Only mains and adapters hold a real one.
 */
export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  debug(fields: LogFields, message: string): void;
  /** Something that an operator would want to find later. */
  info(fields: LogFields, message: string): void;
  /** Something went wrong and is being dealt with. */
  warn(fields: LogFields, message: string): void;
  /** Something went wrong and somebody has to act. An error under `error` is printed with its cause. */
  error(fields: LogFields, message: string): void;
}

/** Keeps nothing. */
export const SILENT_LOGGER: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
