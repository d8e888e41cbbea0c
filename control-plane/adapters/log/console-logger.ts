/** Log lines as JSON on the platform's console, for where there is nothing else to write to. */
import type { LogFields, Logger } from '../../../shared/util/log.ts';

const LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
type Level = (typeof LEVELS)[number];

/** How far down a chain of causes a line goes. */
const CAUSES_MAX = 5;

export interface ConsoleLoggerOptions {
  /** Lines below it are dropped. */
  readonly level: Level;
  /** Which program this is; on every line. */
  readonly name: string;
}

export function createConsoleLogger({ level: lowest, name }: ConsoleLoggerOptions): Logger {
  const at = (level: Exclude<Level, 'silent'>) => {
    if (LEVELS.indexOf(level) < LEVELS.indexOf(lowest)) return () => undefined;
    return (fields: LogFields, message: string) => console[level](lineOf({ level, name, fields, message }));
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

function lineOf({ level, name, fields, message }: { level: Level; name: string; fields: LogFields; message: string }) {
  const told = 'error' in fields ? { ...fields, error: describe(fields['error'], CAUSES_MAX) } : fields;
  return JSON.stringify({ level, time: new Date().toISOString(), name, ...told, msg: message });
}

function describe(error: unknown, causesLeft: number): unknown {
  if (!(error instanceof Error)) return String(error);
  const { name, message, stack, cause } = error;
  return {
    name,
    message,
    stack,
    ...(cause !== undefined && causesLeft > 0 && { cause: describe(cause, causesLeft - 1) }),
  };
}
