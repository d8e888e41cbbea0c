/** Log lines as newline-delimited JSON. */
import { type DestinationStream, type LevelWithSilent, pino, stdSerializers } from 'pino';
import type { Logger } from '../../../shared/util/log.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const satisfies readonly LevelWithSilent[];
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface PinoLoggerOptions {
  /** Lines below it are dropped. */
  readonly level: LogLevel;
  /** Which process this is; on every line. */
  readonly name: string;
  /** Where lines go. Absent: stdout. */
  readonly destination?: DestinationStream;
}

export function createPinoLogger({ level, name, destination }: PinoLoggerOptions): Logger {
  const options = {
    name,
    level,
    base: {},
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { error: stdSerializers.errWithCause },
  };
  const logger = destination === undefined ? pino(options) : pino(options, destination);
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
  };
}
