/** Tasks as the API shows them. */
import type { TaskState } from '../../../shared/domain/task.ts';
import type { TaskView, TransitionView } from '../../../shared/protocol/views.ts';

const START = Date.UTC(2026, 0, 1);
export function at(ms: number): string {
  return new Date(START + ms).toISOString();
}

export function step(state: TaskState, ms: number, message = `it is ${state}`): TransitionView {
  return { state, at: at(ms), reason: state === 'pending' ? 'submitted' : 'started', message };
}

export function task(change: Partial<TaskView> = {}): TaskView {
  const history = change.history ?? [step('pending', 0)];
  const { group = 'main', index = 0, attempt = 0 } = change;
  return {
    id: `hello-${group}-${index}-u1-v1a${attempt}`,
    job: { uid: 'u1', name: 'hello', version: 1 },
    framework: null,
    role: 'default',
    group,
    index,
    attempt,
    run: 0,
    restarts: [],
    state: history.at(-1)?.state ?? 'pending',
    unreachable: false,
    node: null,
    host: null,
    ports: {},
    gpus: [],
    exitCode: null,
    reason: 'submitted',
    message: history.at(-1)?.message ?? '',
    createdAt: at(0),
    notBefore: null,
    placedAt: null,
    startedAt: null,
    endedAt: null,
    stop: null,
    health: null,
    outdated: false,
    explanation: null,
    ...change,
    history,
  };
}
