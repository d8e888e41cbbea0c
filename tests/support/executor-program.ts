/**
 * A small executor: each task that it is given is a child process of its own. To be run as a program of its own, in a container or
 * without one; it needs nothing but Node.js. What it is told it answers with `<own id> heard <data>`, and every launch and kill may
 * come to it twice.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { request } from 'node:http';

const AGAIN_MS = 200;

const socketPath = process.env['BERTH_EXECUTOR_SOCKET'] ?? '';
const ownId = process.env['BERTH_TASK_ID'] ?? '';
/** By task; null: it has ended. */
const children = new Map<string, ChildProcess | null>();

interface Event {
  readonly type: 'launch' | 'kill' | 'message';
  readonly task: string | null;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly isForced?: boolean;
  readonly id?: string;
  readonly data?: string;
}

/** Ends when the agent does; then the next one is asked. */
function listen(): void {
  const call = request({ socketPath, path: '/events' }, (response) => {
    let rest = '';
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => {
      const lines = `${rest}${chunk}`.split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) take(JSON.parse(line) as Event);
    });
    response.on('close', () => setTimeout(listen, AGAIN_MS));
  });
  call.on('error', () => setTimeout(listen, AGAIN_MS));
  call.end();
}

function take(event: Event): void {
  if (event.type === 'launch') launch(event);
  if (event.type === 'kill') children.get(event.task ?? '')?.kill(event.isForced ? 'SIGKILL' : 'SIGTERM');
  if (event.type === 'message') {
    const { id, task, data } = event;
    tell('/confirm', { message: id });
    tell('/message', { ...(task !== null && { task }), data: `${task ?? ownId} heard ${data}` });
  }
}

function launch({ task, command = [], args = [], env }: Event): void {
  if (task === null || children.has(task)) return;
  const [program = '', ...others] = [...command, ...args];
  const child = spawn(program, others, { env: { ...process.env, ...env }, stdio: 'inherit' });
  children.set(task, child);
  child.on('spawn', () => tell('/status', { task, state: 'running' }));
  child.on('error', ({ message }) => {
    children.set(task, null);
    tell('/status', { task, state: 'error', message });
  });
  child.on('exit', (code, signal) => {
    children.set(task, null);
    const message = signal === null ? `exited with code ${code}` : `ended by ${signal}`;
    tell('/status', { task, state: code === 0 ? 'finished' : 'failed', message, exitCode: code });
  });
}

/** Until it is answered: the agent may be away for a while. */
function tell(path: string, body: unknown): void {
  const again = () => setTimeout(() => tell(path, body), AGAIN_MS);
  const call = request({ socketPath, path, method: 'POST' }, (response) => {
    response.resume();
    if (response.statusCode === 429 || response.statusCode === 500) again();
  });
  call.on('error', again);
  call.end(JSON.stringify(body));
}

listen();
