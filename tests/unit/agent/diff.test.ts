/** The agent's decision: a table of cases, and the laws that hold in all of them. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ALONE_AFTER_MS } from '../../../node-agent/core/alone.ts';
import { type DiffInput, diff, type Step } from '../../../node-agent/core/diff.ts';
import type { Assignment, Container, LocalTask } from '../../../node-agent/core/model.ts';
import { RUN_LASTS_MS } from '../../../node-agent/core/restart.ts';
import { DEFAULT_RETENTION } from '../../../node-agent/core/retention.ts';
import { TASK_STATES, type TaskState } from '../../../shared/domain/task.ts';
import type { AssignedTask, TaskStatus } from '../../../shared/protocol/agent.ts';
import { anAssigned } from './world.ts';

const NOW = 1_000_000;
const BOOT_AGE_MS = 100_000;
const moment = (steadyMs: number) => ({ wallMs: steadyMs, steadyMs });

const unhealthy = { reaction: 'replace', message: 'its check failed' } as const;

function aLocal(change: Partial<LocalTask> = {}): LocalTask {
  return {
    id: 't',
    run: 0,
    boot: 'now',
    restarts: 0,
    again: [],
    why: null,
    phase: 'running',
    incarnation: 1,
    epoch: 1,
    origin: anAssigned('t'),
    timeoutMs: null,
    graceMs: 5000,
    stopAfterMs: null,
    startedAt: moment(NOW - 1000),
    unhealthy: null,
    stop: null,
    endedAt: null,
    status: null,
    unanswered: [],
    release: 'none',
    ...change,
  };
}

function aContainer(change: Partial<Container> = {}): Container {
  return {
    id: 'c',
    task: 't',
    run: 0,
    state: 'running',
    exitCode: null,
    outOfMemory: false,
    error: '',
    startedAtMs: 1,
    endedAtMs: null,
    ...change,
  };
}

interface Case {
  readonly session?: DiffInput['session'];
  /** How long ago the agent began. */
  readonly agentAgeMs?: number;
  readonly bootAgeMs?: number;
  /** Null: no assignment has been seen. Undefined: one that doesn't hold the task. */
  readonly assigned?: Partial<AssignedTask> | null | undefined;
  readonly local?: Partial<LocalTask>;
  /** Why its end is asked for, where it is kept aside. */
  readonly keptAsideStop?: string;
  readonly container?: Partial<Container>;
  readonly contactAgeMs?: number;
  readonly isFenced?: boolean;
}

function inputOf({
  session = 'live',
  agentAgeMs = 60_000,
  bootAgeMs = BOOT_AGE_MS,
  assigned,
  local,
  container,
  keptAsideStop,
  contactAgeMs = 0,
  isFenced,
}: Case): DiffInput {
  const tasks = assigned ? [['t', anAssigned('t', assigned)] as const] : [];
  const assignment: Assignment = {
    position: { incarnation: 1, generation: 1 },
    tasks: new Map(tasks),
    keptAsideStops: new Map(keptAsideStop === undefined ? [] : [['t', keptAsideStop]]),
  };
  return {
    nowMs: NOW,
    begunAtMs: NOW - agentAgeMs,
    session,
    assignment: assigned === null ? null : assignment,
    journal: new Map(local ? [['t', aLocal(local)]] : []),
    running: new Map(container ? [['t', aContainer(container)]] : []),
    boot: { id: 'now', startedAt: moment(NOW - bootAgeMs) },
    retention: DEFAULT_RETENTION,
    contactAgeMs,
    fenced: new Set(isFenced ? ['c'] : []),
  };
}

/** The step in a few words. */
function outline(step: Step | undefined): string {
  if (step === undefined) return 'nothing';
  if (step.type === 'report') return `report ${step.ending.state} ${step.ending.reason}`;
  return step.type === 'stop' ? `stop ${step.cause} ${step.graceMs}` : step.type;
}

const stop = { atMs: 0, graceMs: 3000, reason: 'enough' };
const ended = { phase: 'ended', endedAt: moment(NOW - 1000) } as const;
const exited = { state: 'exited', exitCode: 0 } as const;
const waiting: TaskStatus = {
  task: 't',
  run: 0,
  state: 'finished',
  atMs: 1,
  reason: 'exited',
  message: '',
  exitCode: 0,
};
const stopping = { since: moment(NOW - 4000), graceMs: 5000, cause: 'stop-requested', message: 'enough' } as const;

describe('a task that nothing here has ever heard of', () => {
  it.each<[string, Case, string]>([
    ['is started while it is staging', { assigned: {} }, 'start'],
    ['waits while there is no session', { assigned: {}, session: 'offline' }, 'nothing'],
    [
      'is lost when it should already be starting',
      { assigned: { state: 'starting' } },
      'report lost not-found-on-node',
    ],
    ['is lost when it should be running', { assigned: { state: 'running' } }, 'report lost not-found-on-node'],
    ['is left alone once it has ended', { assigned: { state: 'finished' } }, 'nothing'],
    ['is never started when it is to stop', { assigned: { stop } }, 'report killed stop-requested'],
    ['is released when it was given up', { assigned: { state: 'lost', stop, disowned: true } }, 'release'],
  ])('%s', (_, given, expected) => {
    expect(outline(diff(inputOf(given)).steps[0])).toBe(expected);
  });
});

describe('a container that the journal does not know', () => {
  it.each<[string, Case, string]>([
    ['waits for word from the control plane', { assigned: null, container: {} }, 'nothing'],
    ['is adopted when it is wanted', { assigned: {}, container: {} }, 'adopt'],
    ['is adopted without a session too', { assigned: {}, container: {}, session: 'offline' }, 'adopt'],
    ['is stopped when it is not wanted', { container: {} }, 'stop unassigned 10000'],
    ['is not stopped without a session', { container: {}, session: 'offline' }, 'nothing'],
    ['is removed when it has ended and is not wanted', { container: exited }, 'remove'],
    ['is removed when it has never run', { assigned: {}, container: { state: 'created' } }, 'remove'],
    ['has its end reported', { assigned: {}, container: exited }, 'report finished exited'],
  ])('%s', (_, given, expected) => {
    expect(outline(diff(inputOf(given)).steps[0])).toBe(expected);
  });
});

describe('a task that was being started when the agent went down', () => {
  const local = { phase: 'starting' } as const;
  it.each<[string, Case, string]>([
    ['is started now', { local, assigned: { state: 'starting' } }, 'start'],
    ['is started without a session too', { local, assigned: {}, session: 'offline' }, 'start'],
    ['is started with no word from anyone', { local, assigned: null, session: 'offline' }, 'start'],
    ['waits for such a word first', { local, assigned: null, session: 'offline', agentAgeMs: 9999 }, 'nothing'],
    ['waits while the node is refused', { local, assigned: null, session: 'refused' }, 'nothing'],
    [
      'waits when the journal does not say what it was started from',
      { local: { ...local, origin: null }, assigned: null, session: 'offline' },
      'nothing',
    ],
    [
      'is not started without a session when its journal says stop',
      { local: { ...local, stop: stopping }, assigned: null, session: 'offline' },
      'nothing',
    ],
    [
      'is not started without a session when its record says that it ran',
      { local, assigned: { state: 'running' }, session: 'offline' },
      'nothing',
    ],
    ['is not started without a session when its place is gone', { local, session: 'offline' }, 'nothing'],
    ['is not started when it is to stop', { local, assigned: { stop } }, 'report killed stop-requested'],
    ['is forgotten when its place is gone', { local }, 'forget'],
    ['is released when it was given up', { local, assigned: { disowned: true } }, 'release'],
    ['has no second end when its end is known', { local, assigned: { state: 'error' } }, 'nothing'],
    [
      'is lost when its record says that it ran',
      { local, assigned: { state: 'running' } },
      'report lost not-found-on-node',
    ],
    ['is adopted when it runs', { local, assigned: {}, container: {} }, 'adopt'],
    ['is adopted with no word from anyone', { local, assigned: null, container: {} }, 'adopt'],
    ['has its end reported', { local, assigned: {}, container: exited }, 'report finished exited'],
    ['is cleared away when it never ran', { local, assigned: {}, container: { state: 'created' } }, 'remove'],
  ])('%s', (_, given, expected) => {
    expect(outline(diff(inputOf(given)).steps[0])).toBe(expected);
  });
});

it('says when the journal alone is enough to start a task', () => {
  const given: Case = { local: { phase: 'starting' }, assigned: null, session: 'offline', agentAgeMs: 4000 };
  expect(diff(inputOf(given)).wakeAtMs).toBe(NOW + 6000);
});

describe('a task whose start had been asked for when the agent went down', () => {
  const local = { phase: 'launched' } as const;
  const lost = 'report lost not-found-on-node';
  it.each<[string, Case, string]>([
    ['is lost when nothing is left of it', { local, assigned: { state: 'starting' } }, lost],
    ['is lost although it is to stop: it may have run', { local, assigned: { stop } }, lost],
    ['waits while there is no session', { local, assigned: {}, session: 'offline' }, 'nothing'],
    ['waits while nothing is known of what is wanted', { local, assigned: null }, 'nothing'],
    ['is forgotten when its place is gone', { local }, 'forget'],
    ['is released when it was given up', { local, assigned: { disowned: true } }, 'release'],
    ['has no second end when its end is known', { local, assigned: { state: 'error' } }, 'nothing'],
    ['is adopted when it runs', { local, assigned: {}, container: {} }, 'adopt'],
    ['has its end reported', { local, assigned: {}, container: exited }, 'report finished exited'],
    ['is cleared away when it never ran', { local, assigned: {}, container: { state: 'created' } }, 'remove'],
  ])('%s', (_, given, expected) => {
    expect(outline(diff(inputOf(given)).steps[0])).toBe(expected);
  });
});

describe('a task that runs', () => {
  const local = { phase: 'running' } as const;
  const container = {};
  it.each<[string, Case, string]>([
    ['is left alone', { local, container, assigned: { state: 'running' } }, 'nothing'],
    ['is stopped when it is told to', { local, container, assigned: { stop } }, 'stop stop-requested 3000'],
    ['is stopped when it was given up', { local, container, assigned: { disowned: true } }, 'stop stop-requested 5000'],
    ['is stopped when its place is gone', { local, container }, 'stop unassigned 5000'],
    ['is left alone without a session', { local, container, session: 'offline' }, 'nothing'],
    ['is kept aside after a restore', { local: { ...local, incarnation: 0 }, container }, 'nothing'],
    [
      'is stopped where it is kept aside, once somebody asks for it',
      { local: { ...local, incarnation: 0 }, container, keptAsideStop: 'enough' },
      'stop stop-requested 5000',
    ],
    [
      'is not stopped for that where it has its place',
      { local: { ...local, incarnation: 0 }, container, assigned: {}, keptAsideStop: 'enough' },
      'nothing',
    ],
    ['is stopped after its timeout', { local: { timeoutMs: 1000 }, container, assigned: {} }, 'stop timed-out 5000'],
    [
      'is stopped after its timeout, whoever is away',
      { local: { timeoutMs: 1000 }, container, assigned: null },
      'stop timed-out 5000',
    ],
    [
      'is stopped when a check has found that it does not work, whoever is away',
      { local: { unhealthy }, container, assigned: null },
      'stop unhealthy 5000',
    ],
    [
      'is stopped for that only where it is wanted otherwise',
      { local: { unhealthy }, container, assigned: { stop } },
      'stop stop-requested 3000',
    ],
    ['is not stopped before it', { local: { timeoutMs: 1001 }, container, assigned: {} }, 'nothing'],
    ['has its end reported', { local, container: exited, assigned: {} }, 'report finished exited'],
    ['is lost when its container is gone', { local, assigned: {} }, 'report lost not-found-on-node'],
  ])('%s', (_, given, expected) => {
    expect(outline(diff(inputOf(given)).steps[0])).toBe(expected);
  });

  it('says when to look again for its timeout', () => {
    const { wakeAtMs } = diff(inputOf({ local: { timeoutMs: 1500 }, container, assigned: {} }));
    expect(wakeAtMs).toBe(NOW + 500);
  });
});

describe('a task whose node went down under it', () => {
  const origin = anAssigned('t', { group: { restart: { afterReboot: true } } });
  const local = { boot: 'before', origin } as const;
  const container = { state: 'exited', exitCode: 255, endedAtMs: NOW } as const;
  const failed = 'report failed node-rebooted';
  it.each<[string, Case, string]>([
    ['runs again', { local, container, assigned: { state: 'running' } }, 'restart'],
    ['runs again when nothing is left of it', { local, assigned: { state: 'running' } }, 'restart'],
    [
      'runs again when it had only been launched',
      { local: { ...local, phase: 'launched' }, container, assigned: {} },
      'restart',
    ],
    ['runs again with no word from anyone', { local, container, assigned: null, session: 'offline' }, 'restart'],
    ['waits for it first', { local, container, assigned: null, session: 'offline', agentAgeMs: 9999 }, 'nothing'],
    ['waits while the node is refused', { local, container, assigned: null, session: 'refused' }, 'nothing'],
    ['waits longer after each restart', { local: { ...local, restarts: 5 - 1 }, container, assigned: {} }, 'restart'],
    ['has ended when there were too many', { local: { ...local, restarts: 5 }, container, assigned: {} }, failed],
    ['has ended when it was not to run again', { local: { boot: 'before' }, container, assigned: {} }, failed],
    ['has ended when it is to stop', { local, container, assigned: { stop } }, failed],
    ['has ended when it was given up', { local, container, assigned: { disowned: true } }, failed],
    ['has ended when its place is gone', { local, container }, failed],
    ['has ended when its record has', { local, container, assigned: { state: 'lost' } }, failed],
    [
      'has been stopped when it was being stopped',
      { local: { ...local, stop: stopping }, container, assigned: null },
      'report killed stop-requested',
    ],
    [
      'has its own end reported',
      { local, container: { ...container, exitCode: 3 }, assigned: {} },
      'report failed exited',
    ],
    ['is left alone when it runs', { local, container: {}, assigned: {} }, 'nothing'],
    [
      'is cleared away when it may not even have begun',
      { local: { ...local, phase: 'launched' }, container: { state: 'created' }, assigned: {} },
      'remove',
    ],
    [
      'makes way for its next run',
      { local: { ...local, phase: 'starting', run: 1 }, container, assigned: {} },
      'remove',
    ],
    ['is killed when an earlier run is alive', { local: { ...local, run: 1 }, container: {}, assigned: {} }, 'kill'],
    [
      'is started as its next run',
      { local: { ...local, phase: 'starting', run: 1 }, assigned: { state: 'running', run: 0 } },
      'start',
    ],
    [
      'is lost when that run was told, and is gone',
      { local: { ...local, phase: 'starting', run: 1 }, assigned: { state: 'running', run: 1 } },
      'report lost not-found-on-node',
    ],
  ])('%s', (_, given, expected) => {
    expect(outline(diff(inputOf(given)).steps[0])).toBe(expected);
  });

  it('gets a run that nobody has heard of', () => {
    const given = { local: { ...local, run: 1 }, container: { ...container, run: 1 }, assigned: { run: 4 } };
    expect(diff(inputOf(given)).steps).toEqual([{ type: 'restart', task: 't', run: 5 }]);
  });

  it('has its old container removed as one that has run, so that no launch is undone', () => {
    const old = { container: { state: 'created' } as const, assigned: {} };
    for (const change of [{ phase: 'launched' }, { phase: 'starting', run: 1 }] as const) {
      expect(diff(inputOf({ local: { ...local, ...change }, ...old })).steps[0]).toMatchObject({ isUnused: false });
    }
  });

  it('says when its pause is over, counted from the boot', () => {
    const given = { local: { ...local, restarts: 5 - 1 }, container, assigned: {}, bootAgeMs: 20_000 };
    expect(diff(inputOf(given))).toEqual({ steps: [], wakeAtMs: NOW + 60_000 });
  });

  it('says when its further run has lasted', () => {
    const given = { local: { restarts: 1, startedAt: moment(NOW - RUN_LASTS_MS + 5) }, container: {}, assigned: {} };
    expect(diff(inputOf(given))).toEqual({ steps: [], wakeAtMs: NOW + 5 });
    const later = { ...given, local: { ...given.local, startedAt: moment(NOW - RUN_LASTS_MS) } };
    expect(outline(diff(inputOf(later)).steps[0])).toBe('lasted');
  });
});

describe('a task that is being stopped', () => {
  const container = {};
  it.each<[string, Case, string]>([
    [
      'has its grace',
      { local: { stop: stopping }, container, assigned: { stop: { ...stop, graceMs: 5000 } } },
      'nothing',
    ],
    ['is killed when it is over', { local: { stop: { ...stopping, graceMs: 4000 } }, container, assigned: {} }, 'kill'],
    [
      'is killed sooner when a less patient stop arrives',
      { local: { stop: stopping }, container, assigned: { stop } },
      'kill',
    ],
    [
      'is killed with no word from anyone',
      { local: { stop: { ...stopping, graceMs: 4000 } }, container, assigned: null },
      'kill',
    ],
    [
      'is killed, not lost, when its container is gone',
      { local: { stop: stopping }, assigned: {} },
      'report killed stop-requested',
    ],
    [
      'keeps the exit code that it ended with',
      { local: { stop: stopping }, container: exited, assigned: {} },
      'report killed stop-requested',
    ],
  ])('%s', (_, given, expected) => {
    expect(outline(diff(inputOf(given)).steps[0])).toBe(expected);
  });

  it('says when its grace is over', () => {
    expect(diff(inputOf({ local: { stop: stopping }, container, assigned: {} })).wakeAtMs).toBe(NOW + 1000);
  });
});

describe('a task that has ended', () => {
  it.each<[string, Case, string]>([
    ['is left alone while it holds its place', { local: ended, container: exited, assigned: {} }, 'nothing'],
    ['is never started again', { local: ended, assigned: {} }, 'nothing'],
    ['is killed when somebody starts it by hand', { local: ended, container: {}, assigned: {} }, 'kill'],
    ['keeps its container for its output', { local: ended, container: exited }, 'nothing'],
    ['is forgotten with its container', { local: ended }, 'forget'],
    ['is not forgotten without a session', { local: ended, session: 'offline' }, 'nothing'],
    ['is not forgotten before its end is answered', { local: { ...ended, unanswered: [waiting] } }, 'nothing'],
    [
      'loses its container when it was given up',
      { local: ended, container: exited, assigned: { disowned: true } },
      'remove',
    ],
    ['is released after that', { local: ended, assigned: { disowned: true } }, 'release'],
    ['is released once', { local: { ...ended, release: 'pending' }, assigned: { disowned: true } }, 'nothing'],
    [
      'loses its container after the time for that',
      { local: { phase: 'ended', endedAt: moment(NOW - 3_600_000) }, container: exited },
      'remove',
    ],
    [
      'loses it at once when its place was gone before',
      { local: { ...ended, stop: { ...stopping, cause: 'unassigned' } }, container: exited },
      'remove',
    ],
  ])('%s', (_, given, expected) => {
    expect(outline(diff(inputOf(given)).steps[0])).toBe(expected);
  });
});

describe('a task that may not run without contact', () => {
  const assigned = { state: 'running', stopAfterDisconnectMs: 20_000 } as const;
  const local = { stopAfterMs: 20_000, graceMs: 4000 } as const;
  const runs = { assigned, local, container: {} };
  const exited = { assigned, local, container: { state: 'exited', exitCode: 137 } } as const;

  it.each<readonly [string, Case, string]>([
    ['with contact', { ...runs, contactAgeMs: 15_999 }, 'nothing'],
    ['in time for its grace', { ...runs, contactAgeMs: 16_000 }, 'stop disconnected 4000'],
    [
      'whether or not a session is live',
      { ...runs, session: 'offline', contactAgeMs: 16_000 },
      'stop disconnected 4000',
    ],
    ['late', { ...runs, contactAgeMs: 19_000 }, 'stop disconnected 1000'],
    ['after the deadline', { ...runs, contactAgeMs: 21_000 }, 'stop disconnected 0'],
    ['with no contact ever', { ...runs, contactAgeMs: Number.POSITIVE_INFINITY }, 'stop disconnected 0'],
    [
      'with a long grace, not before half of its time',
      { ...runs, local: { ...local, graceMs: 3_600_000 }, contactAgeMs: 9999 },
      'nothing',
    ],
    [
      'with a long grace, from then on',
      { ...runs, local: { ...local, graceMs: 3_600_000 }, contactAgeMs: 10_000 },
      'stop disconnected 10000',
    ],
    [
      'before its timeout',
      { ...runs, local: { ...local, timeoutMs: 10 }, contactAgeMs: 16_000 },
      'stop disconnected 4000',
    ],
    ['that the dead-man has killed', { ...exited, isFenced: true }, 'report failed disconnected'],
    ['that somebody else has killed', exited, 'report failed exited'],
    [
      'that ended well as the dead-man came',
      { ...exited, container: { state: 'exited', exitCode: 0 }, isFenced: true },
      'report finished exited',
    ],
    [
      'that was being stopped on request when the dead-man came',
      { ...exited, local: { ...local, stop: stopping }, isFenced: true },
      'report killed stop-requested',
    ],
    [
      'that the agent has stopped',
      { ...exited, local: { ...local, stop: { ...stopping, cause: 'disconnected' } } },
      'report failed disconnected',
    ],
    [
      'that does not work',
      { ...exited, local: { ...local, stop: { ...stopping, cause: 'unhealthy' } } },
      'report failed unhealthy',
    ],
    [
      'that nothing here could have stopped',
      { ...exited, local: { ...local, stop: { ...stopping, cause: 'unguarded' } } },
      'report error refused-by-node',
    ],
  ])('%s', (_, given, expected) => {
    expect(outline(diff(inputOf(given)).steps[0])).toBe(expected);
  });

  it('is looked at again in time', () => {
    expect(diff(inputOf({ ...runs, contactAgeMs: 2000 })).wakeAtMs).toBe(NOW + 14_000);
    const timed = { ...runs, local: { ...local, timeoutMs: 5000 }, contactAgeMs: 2000 };
    expect(diff(inputOf(timed)).wakeAtMs).toBe(NOW + 4000);
  });
});

const anyInput: fc.Arbitrary<DiffInput> = fc
  .record({
    session: fc.constantFrom<DiffInput['session']>('live', 'offline', 'refused'),
    agentAgeMs: fc.constantFrom(0, 60_000),
    hasOrigin: fc.boolean(),
    boot: fc.constantFrom('now', 'before', null),
    afterReboot: fc.boolean(),
    run: fc.constantFrom(0, 1),
    restarts: fc.constantFrom(0, 5),
    containerRun: fc.constantFrom(0, 1),
    exitCode: fc.constantFrom(0, 255),
    isAssigned: fc.boolean(),
    isAssignmentKnown: fc.boolean(),
    state: fc.constantFrom<TaskState>(...TASK_STATES),
    isStopped: fc.boolean(),
    disowned: fc.boolean(),
    phase: fc.constantFrom('none', 'starting', 'launched', 'running', 'ended'),
    isStopping: fc.boolean(),
    hasTimeout: fc.boolean(),
    stopAfterMs: fc.constantFrom(null, 10_000, 60_000),
    contactAgeMs: fc.constantFrom(0, 5000, 9000, 10_000, Number.POSITIVE_INFINITY),
    isFenced: fc.boolean(),
    hasUnanswered: fc.boolean(),
    container: fc.constantFrom('none', 'created', 'running', 'exited'),
    incarnation: fc.constantFrom(0, 1),
    isUnhealthy: fc.boolean(),
  })
  .map((any) =>
    inputOf({
      session: any.session,
      contactAgeMs: any.contactAgeMs,
      isFenced: any.isFenced,
      agentAgeMs: any.agentAgeMs,
      assigned: !any.isAssignmentKnown
        ? null
        : any.isAssigned
          ? { state: any.state, stop: any.isStopped ? stop : null, disowned: any.disowned }
          : undefined,
      ...(any.phase === 'none'
        ? {}
        : {
            local: {
              phase: any.phase as LocalTask['phase'],
              incarnation: any.incarnation,
              origin: any.hasOrigin ? anAssigned('t', { group: { restart: { afterReboot: any.afterReboot } } }) : null,
              boot: any.phase === 'starting' ? null : any.boot,
              run: any.run,
              restarts: any.restarts,
              stop: any.isStopping ? stopping : null,
              unhealthy: any.isUnhealthy ? unhealthy : null,
              timeoutMs: any.hasTimeout ? 500 : null,
              stopAfterMs: any.stopAfterMs,
              unanswered: any.hasUnanswered ? [waiting] : [],
              endedAt: any.phase === 'ended' ? moment(NOW) : null,
            },
          }),
      ...(any.container === 'none'
        ? {}
        : {
            container: {
              state: any.container as Container['state'],
              exitCode: any.container === 'exited' ? any.exitCode : null,
              run: any.containerRun,
            },
          }),
    }),
  );

/** The laws, each over everything that the decision can be given for one task. */
function holds(law: (step: Step | undefined, input: DiffInput) => boolean): void {
  fc.assert(
    fc.property(anyInput, (input) => law(diff(input).steps[0], input)),
    { numRuns: 3000 },
  );
}

describe('whatever is wanted, known and running', () => {
  it('there is at most one step for a task', () => {
    fc.assert(fc.property(anyInput, (input) => diff(input).steps.length <= 1));
  });

  it('nothing is started that runs, has run, or has ended', () => {
    holds((step, input) => {
      if (step?.type !== 'start') return true;
      const local = input.journal.get('t');
      return input.running.size === 0 && (local === undefined || local.phase === 'starting');
    });
  });

  it('nothing is started against a stop, or for a place that is gone', () => {
    holds((step, input) => {
      if (step?.type !== 'start' || input.assignment === null) return true;
      const assigned = input.assignment.tasks.get('t');
      return assigned !== undefined && assigned.stop === null && !assigned.disowned;
    });
  });

  it('outside of a live session nothing is started but what the journal holds, is not to stop, and has not been asked for', () => {
    holds((step, input) => {
      if (step?.type !== 'start' || input.session === 'live') return true;
      const local = input.journal.get('t');
      const isHeld = local?.phase === 'starting' && local.stop === null && local.origin === step.assigned;
      return isHeld && input.session === 'offline' && input.nowMs >= input.begunAtMs + ALONE_AFTER_MS;
    });
  });

  it('a further run begins only for what was launched in an earlier boot, does not run, and asks for it', () => {
    holds((step, input) => {
      if (step?.type !== 'restart') return true;
      const local = input.journal.get('t');
      const assigned = input.assignment?.tasks.get('t');
      const isAsked = local?.origin?.group.restart.afterReboot === true && local.stop === null;
      const isWanted = input.assignment === null || (assigned?.stop === null && !assigned.disowned);
      const hasFallen = local?.boot === 'before' && ['launched', 'running'].includes(local.phase);
      const isAllowed = input.session === 'live' || input.session === 'offline';
      return isAsked && isWanted && hasFallen && isAllowed && input.running.get('t')?.state !== 'running';
    });
  });

  it('what the journal does not know is started only while it is staging', () => {
    holds((step, input) => {
      const isUnknown = step?.type === 'start' && !input.journal.has('t');
      return !isUnknown || input.assignment?.tasks.get('t')?.state === 'staging';
    });
  });

  it('an end is reported once', () => {
    holds((step, input) => step?.type !== 'report' || input.journal.get('t')?.phase !== 'ended');
  });

  it('nothing that runs is reported as ended, and nothing that is gone is adopted', () => {
    holds((step, input) => {
      const state = input.running.get('t')?.state;
      if (step?.type === 'report') return state !== 'running';
      return step?.type !== 'adopt' || state === 'running';
    });
  });

  it('what is wanted, works and is within its time is never stopped, killed or removed', () => {
    holds((step, input) => {
      const assigned = input.assignment?.tasks.get('t');
      const local = input.journal.get('t');
      const isWanted = assigned !== undefined && assigned.stop === null && !assigned.disowned;
      const isFree = local?.timeoutMs === null && local.stopAfterMs === null;
      const isFine = isFree && local.phase !== 'ended' && local.stop === null && local.unhealthy === null;
      const container = input.running.get('t');
      if (!isWanted || !isFine || container?.state !== 'running' || container.run < local.run) return true;
      return step === undefined || step.type === 'adopt' || step.type === 'lasted';
    });
  });

  it('what may not run without contact is being ended by the end of its time, and not before half of it', () => {
    holds((step, input) => {
      const { stopAfterMs = null, phase, run = 0, stop: begun = null } = input.journal.get('t') ?? {};
      const container = input.running.get('t');
      // What is left of a former run is killed, whatever else holds.
      const runs = phase === 'running' && container?.state === 'running' && container.run >= run;
      if (!runs || begun !== null) return true;
      const isOver = stopAfterMs !== null && input.contactAgeMs >= stopAfterMs;
      const isCutOff = step?.type === 'stop' && step.cause === 'disconnected';
      if (isCutOff) return stopAfterMs !== null && input.contactAgeMs >= stopAfterMs / 2;
      return !isOver || step?.type === 'stop';
    });
  });

  it('nothing is forgotten that still has something to tell or to remove', () => {
    holds((step, input) => {
      if (step?.type !== 'forget') return true;
      return input.running.size === 0 && input.journal.get('t')?.unanswered.length === 0;
    });
  });

  it('without any word from the control plane, only ends and unfinished starts are seen to', () => {
    holds((step, input) => {
      if (input.assignment !== null || step === undefined) return true;
      if (['start', 'restart', 'lasted'].includes(step.type)) return true;
      const isOwn =
        step.type === 'stop'
          ? ['timed-out', 'disconnected', 'unhealthy'].includes(step.cause)
          : ['adopt', 'report', 'kill', 'remove'].includes(step.type);
      return isOwn && input.journal.has('t');
    });
  });
});
