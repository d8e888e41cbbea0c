/** A log for people who watch a command that goes on: a line each, on stderr. */
import type { LogFields, Logger } from '../../../shared/util/log.ts';
import type { Io } from '../io.ts';
import { printable } from './text.ts';

export function lineLogger(io: Io, { verbose }: { verbose: boolean }): Logger {
  const write = (level: string) => (fields: LogFields, message: string) => {
    const said = Object.entries(fields)
      .filter(([, value]) => value !== null && value !== undefined)
      .map(([name, value]) => ` ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
    const time = new Date(io.clock.now()).toISOString();
    io.err.write(`${time} ${level} ${printable(`${message}${said.join('')}`)}\n`);
  };
  return {
    debug: verbose ? write('debug') : () => undefined,
    info: write('info '),
    warn: write('warn '),
    error: write('error'),
  };
}
