/** TCP ports of this machine, for what `berth dev` starts. */
import { createServer } from 'node:net';
import { CliError } from '../exit.ts';

/**
 * The port, or any for 0, known to be free now. Somebody could take it before the one that it is for does; that one then says
 * so and ends. Throws a CliError where it is in use: a stranger that answers there must not be taken for our own.
 */
export function takePort(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => reject(portError(port, error)));
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : port));
    });
  });
}

function portError(port: number, error: NodeJS.ErrnoException): CliError {
  const why = error.code === 'EADDRINUSE' ? 'is in use' : `can't be used: ${error.message}`;
  return new CliError(`port ${port} ${why}`, { remedy: 'Choose another with --port; 0 takes a free one.' });
}
