/** The little that `berth dev` asks of the container engine itself: whether it answers, and to remove what its nodes left. */
import { request } from 'node:http';
import { CliError } from '../exit.ts';

/** The label that agents put on their containers, with the node's id as its value. */
export const NODE_LABEL = 'io.berth.node';

const ENGINE_TIMEOUT_MS = 30_000;

export interface Engine {
  /** Throws a CliError that says what to do when no engine answers. */
  check(): Promise<void>;
  hasImage(name: string): Promise<boolean>;
  /** Removes every container of these nodes, running or not. Returns how many there were. */
  removeContainersOf(nodes: readonly string[]): Promise<number>;
}

export function createEngine(env: Readonly<Record<string, string | undefined>>): Engine {
  const address = engineAddress(env['DOCKER_HOST']);
  const call = (method: string, path: string) => engineCall(address, method, path);
  return {
    async check() {
      const answer = await call('GET', '/_ping').catch((error: Error) => error);
      if (!(answer instanceof Error) && answer.status === 200) return;
      const why = answer instanceof Error ? answer.message : `it answered ${answer.status}`;
      throw new CliError(`no container engine answers at ${address.name}: ${why}`, {
        remedy: 'Run `npm run setup`, which installs and starts one, or set DOCKER_HOST.',
      });
    },
    async hasImage(name) {
      return (await call('GET', `/images/${encodeURIComponent(name)}/json`)).status === 200;
    },
    async removeContainersOf(nodes) {
      const lists = await Promise.all(nodes.map((node) => containersOf(call, node)));
      const ids = lists.flat();
      await Promise.all(ids.map((id) => call('DELETE', `/containers/${id}?force=true&v=true`)));
      return ids.length;
    },
  };
}

interface EngineAnswer {
  readonly status: number;
  readonly text: string;
}

async function containersOf(
  call: (method: string, path: string) => Promise<EngineAnswer>,
  node: string,
): Promise<string[]> {
  const filters = encodeURIComponent(JSON.stringify({ label: [`${NODE_LABEL}=${node}`] }));
  const { status, text } = await call('GET', `/containers/json?all=true&filters=${filters}`);
  if (status !== 200) throw new CliError(`the container engine answered ${status}: ${text.slice(0, 200)}`);
  const containers: unknown = JSON.parse(text);
  if (!Array.isArray(containers)) return [];
  return containers.map((container: { Id?: unknown }) => String(container.Id));
}

interface EngineAddress {
  readonly name: string;
  readonly options: { socketPath: string } | { host: string; port: number };
}

function engineAddress(dockerHost: string | undefined): EngineAddress {
  const name = dockerHost === undefined || dockerHost === '' ? 'unix:///var/run/docker.sock' : dockerHost;
  const url = URL.parse(name);
  if (url?.protocol === 'unix:') return { name, options: { socketPath: url.pathname } };
  if (url?.protocol === 'tcp:' || url?.protocol === 'http:') {
    return { name, options: { host: url.hostname, port: Number(url.port === '' ? 2375 : url.port) } };
  }
  throw new CliError(`DOCKER_HOST is "${name}", which berth dev can't use`, {
    remedy: 'Use unix:///path or tcp://host:port.',
  });
}

function engineCall({ options }: EngineAddress, method: string, path: string): Promise<EngineAnswer> {
  return new Promise((resolve, reject) => {
    const call = request({ ...options, method, path, timeout: ENGINE_TIMEOUT_MS }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.once('end', () => resolve({ status: response.statusCode ?? 0, text }));
      response.once('error', reject);
    });
    call.once('timeout', () => call.destroy(new Error(`it did not answer within ${ENGINE_TIMEOUT_MS / 1000} s`)));
    call.once('error', reject);
    call.end();
  });
}
