/** What probes come to, one after another: tables for what each rule says, laws for what no series of them may do. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  beginChecks,
  healthOf,
  type ProbeOutcome,
  probeBegun,
  probeEnded,
  reactionTo,
  type TaskChecks,
  tellAtMs,
  timedOut,
} from '../../../node-agent/core/checks.ts';
import type { CheckSpec } from '../../../shared/domain/service.ts';
import { CHECK_MESSAGE_LENGTH_MAX } from '../../../shared/domain/task.ts';
import { aCheck } from '../../support/fake-probes.ts';

const T0 = 1_000_000;
const at = (steadyMs: number, wallMs = steadyMs) => ({ steadyMs: T0 + steadyMs, wallMs: T0 + wallMs });

function begun(specs: readonly CheckSpec[], change: Partial<Parameters<typeof beginChecks>[1]> = {}): TaskChecks {
  return beginChecks(specs, { run: 0, isTakenUp: false, chance: 0, now: at(0), ...change });
}

const OUTCOMES: Readonly<Record<string, ProbeOutcome['type']>> = { '+': 'passed', '-': 'failed', '?': 'unknown' };

/** `+` passes, `-` fails, `?` could not be made: one each second, from 1 s on. */
function probed(checks: TaskChecks, series: string, name = 'web', fromMs = 1000): TaskChecks {
  return [...series].reduce((before, sign, index) => {
    const begunAtMs = T0 + fromMs + index * 1000;
    const outcome = { type: OUTCOMES[sign] ?? 'unknown', message: `said ${sign}` };
    const now = at(fromMs + index * 1000 + 10);
    return probeEnded(probeBegun(before, name, begunAtMs), name, outcome, { begunAtMs, now });
  }, checks);
}

const passing = (checks: TaskChecks) => checks.checks.map((check) => check.passing);

describe('a check', () => {
  it.each([
    ['', {}, null],
    ['+', {}, true],
    ['-', {}, null],
    ['--', {}, null],
    ['---', {}, false],
    ['-', { failuresMax: 1 }, false],
    ['--+--', {}, true],
    ['--+---', {}, false],
    ['+--', {}, true],
    ['+---', {}, false],
    ['+--+--', {}, true],
    ['---+', {}, true],
    ['---+', { successesMin: 2 }, false],
    ['---+-+', { successesMin: 2 }, false],
    ['---++', { successesMin: 2 }, true],
    ['+', { successesMin: 2 }, null],
    ['++', { successesMin: 2 }, true],
    ['+-+-+-+-', { successesMin: 2, failuresMax: 2 }, null],
    ['--?-', {}, false],
    ['--?', {}, null],
    ['???????', { failuresMax: 1 }, null],
    ['+?+', { successesMin: 2 }, true],
    // Within its grace, until it has passed once.
    ['-----', { graceSeconds: 5.5 }, null],
    ['-------', { graceSeconds: 5.5 }, null],
    ['--------', { graceSeconds: 5.5 }, false],
    ['--+--', { graceSeconds: 100 }, true],
    ['--+---', { graceSeconds: 100 }, false],
    ['-+---', { graceSeconds: 100, successesMin: 2 }, false],
  ])('that has seen %j with %j passes: %j', (series, change: Partial<CheckSpec>, expected) => {
    expect(passing(probed(begun([aCheck(change)]), series))).toEqual([expected]);
  });

  it('judges a probe by when it was begun', () => {
    const checks = begun([aCheck({ graceSeconds: 1, failuresMax: 1 })]);
    const end = (begunAtMs: number) =>
      probeEnded(checks, 'web', { type: 'failed', message: '' }, { begunAtMs: T0 + begunAtMs, now: at(5000) });
    expect(passing(end(999))).toEqual([null]);
    expect(passing(end(1000))).toEqual([false]);
  });

  it('keeps what was said, shortened and in one line', () => {
    const said = { type: 'failed', message: `one\n two\t${'x'.repeat(500)}` } as const;
    const { checks } = healthOf(probeEnded(begun([aCheck()]), 'web', said, { begunAtMs: T0, now: at(7) }));
    expect(checks[0]?.message.startsWith('one two xxx')).toBe(true);
    expect(checks[0]?.message).toHaveLength(CHECK_MESSAGE_LENGTH_MAX);
    expect(checks[0]?.atMs).toBe(T0 + 7);
  });

  it('that was waited for too long by an agent that slept says nothing', () => {
    expect(timedOut(aCheck({ timeoutSeconds: 2 }), 2100)).toEqual({ type: 'failed', message: 'no answer within 2 s' });
    expect(timedOut(aCheck({ timeoutSeconds: 2 }), 3100).type).toBe('unknown');
  });
});

describe('the next probe', () => {
  const nextMs = (checks: TaskChecks) => (checks.checks[0]?.nextAtMs ?? 0) - T0;

  it.each([
    [{ intervalSeconds: 60 }, 5000],
    [{ intervalSeconds: 2 }, 2000],
    [{ intervalSeconds: 60, graceSeconds: 1 }, 250],
    [{ intervalSeconds: 0.1, graceSeconds: 1 }, 100],
  ])('is first due, with %j, after %d ms', (change, expected) => {
    expect(nextMs(begun([aCheck(change)]))).toBe(expected);
  });

  it('comes within that time, by chance, where many are taken up at once', () => {
    expect(nextMs(begun([aCheck({ intervalSeconds: 2 })], { isTakenUp: true, chance: 0.25 }))).toBe(500);
  });

  it('is counted from the beginning of the one before, however long that took', () => {
    const before = probeBegun(begun([aCheck({ intervalSeconds: 3 })]), 'web', T0 + 1000);
    const said = { type: 'failed', message: '' } as const;
    expect(nextMs(probeEnded(before, 'web', said, { begunAtMs: T0 + 1000, now: at(3500) }))).toBe(4000);
  });

  it('comes soon within the grace until one has passed, and then by the interval', () => {
    let checks = begun([aCheck({ intervalSeconds: 10, graceSeconds: 30 })]);
    const pauses: number[] = [];
    for (let nowMs = 250; pauses.length < 12; nowMs = nextMs(checks)) {
      checks = probeBegun(checks, 'web', T0 + nowMs);
      pauses.push(nextMs(checks) - nowMs);
    }
    expect(pauses.slice(0, 4)).toEqual([250, 375, 562.5, 843.75]);
    expect(pauses.at(-1)).toBe(10_000);
    const passed = probed(begun([aCheck({ intervalSeconds: 10, graceSeconds: 30 })]), '++');
    expect(nextMs(passed)).toBe(12_000);
  });
});

describe('a task', () => {
  const specs = [aCheck(), aCheck({ name: 'deep' }), aCheck({ name: 'open', purpose: 'readiness', onFailure: 'none' })];

  it.each([
    ['', '', '', null, false],
    ['+', '', '', null, false],
    ['+', '+', '', true, false],
    ['+', '+', '+', true, true],
    ['+', '---', '+', false, true],
    ['', '---', '', false, false],
    ['+', '+', '+---', true, false],
  ])('whose checks have seen %j, %j and, of readiness, %j: healthy %j, ready %j', (web, deep, open, healthy, ready) => {
    const checks = probed(probed(probed(begun(specs), web), deep, 'deep'), open, 'open');
    expect(healthOf(checks)).toMatchObject({ healthy, ready });
  });

  it('without checks of a purpose is ready, and of no known health', () => {
    expect(healthOf(begun([aCheck()])).ready).toBe(true);
    expect(healthOf(probed(begun([aCheck({ purpose: 'readiness' })]), '---'))).toMatchObject({
      healthy: null,
      ready: false,
    });
  });

  it('says since when, by the clock on the wall', () => {
    const once = probed(begun([aCheck()]), '+');
    expect(healthOf(once).sinceMs).toBe(T0 + 1010);
    expect(healthOf(probed(once, '++', 'web', 2000)).sinceMs).toBe(T0 + 1010);
    expect(healthOf(probed(once, '---', 'web', 2000)).sinceMs).toBe(T0 + 4010);
  });

  it('begins a further run with nothing of the one before', () => {
    const again = begun([aCheck()], { run: 1 });
    expect(healthOf(again)).toMatchObject({ run: 1, healthy: null });
  });
});

describe('the reaction', () => {
  const failing = (change: Partial<CheckSpec>, name = 'web') =>
    probed(begun([aCheck({ name, ...change })]), '---', name);

  it('names the check, and what it found', () => {
    const { message, reaction } = reactionTo(failing({}), { isLive: true }) ?? {};
    expect({ message, reaction }).toEqual({
      message: 'its check "web" failed 3 times in a row: said -',
      reaction: 'replace',
    });
    const once = probed(begun([aCheck({ failuresMax: 1 })]), '-');
    expect(reactionTo(once, { isLive: true })?.message).toBe('its check "web" failed once: said -');
    const comingRound = probed(begun([aCheck({ successesMin: 2 })]), '---+');
    expect(reactionTo(comingRound, { isLive: true })?.message).toBe('its check "web" does not pass: said +');
  });

  it.each([
    [{ onFailure: 'none' }, true, undefined],
    [{ onFailure: 'restart' }, true, 'restart'],
    [{ onFailure: 'restart' }, false, 'restart'],
    [{ onFailure: 'replace' }, true, 'replace'],
    // Nobody is there to replace it.
    [{ onFailure: 'replace' }, false, undefined],
    [{ onFailure: 'replace', purpose: 'readiness' }, true, undefined],
    [{ failuresMax: 4 }, true, undefined],
  ] as const)('to a check with %j, in touch: %j, is %j', (change, isLive, expected) => {
    expect(reactionTo(failing(change), { isLive })?.reaction).toBe(expected);
  });

  it('is the one that goes further where two checks fail', () => {
    const specs = [aCheck({ onFailure: 'restart' }), aCheck({ name: 'deep', onFailure: 'replace' })];
    const both = probed(probed(begun(specs), '---'), '---', 'deep');
    expect(reactionTo(both, { isLive: true })?.reaction).toBe('replace');
    expect(reactionTo(both, { isLive: false })?.reaction).toBe('restart');
  });
});

describe('telling', () => {
  const told = (checks: TaskChecks, atMs: number) => ({ health: healthOf(checks), atMs: T0 + atMs });
  const said = (checks: TaskChecks, message: string) =>
    probeEnded(checks, 'web', { type: 'unknown', message }, { begunAtMs: T0, now: at(9000) });
  const NOW = Number.NEGATIVE_INFINITY;

  it('waits until something is decided, or for a while where there is something to say', () => {
    expect(tellAtMs(begun([aCheck()]), null, T0)).toBeNull();
    expect(tellAtMs(probed(begun([aCheck()]), '-'), null, T0)).toBe(T0 + 5000);
    expect(tellAtMs(probed(begun([aCheck()]), '+'), null, T0)).toBe(NOW);
    expect(tellAtMs(probed(begun([aCheck()]), '---'), null, T0)).toBe(NOW);
    const alsoReady = begun([aCheck(), aCheck({ name: 'open', purpose: 'readiness' })]);
    expect(tellAtMs(probed(alsoReady, '+'), null, T0)).toBe(NOW);
    expect(tellAtMs(probed(alsoReady, '+', 'open'), null, T0)).toBe(T0 + 5000);
  });

  it('leaves what was told of a task that an agent takes up until all is decided anew, or something fails', () => {
    const takenUp = begun([aCheck(), aCheck({ name: 'deep' })], { isTakenUp: true });
    expect(tellAtMs(probed(takenUp, '-'), null, T0)).toBeNull();
    expect(tellAtMs(probed(takenUp, '+'), null, T0)).toBeNull();
    expect(tellAtMs(probed(takenUp, '---'), null, T0)).toBe(NOW);
    expect(tellAtMs(probed(probed(takenUp, '+'), '+', 'deep'), null, T0)).toBe(NOW);
  });

  it('tells flips soon, words that merely vary now and then, and nothing that is the same', () => {
    const healthy = probed(begun([aCheck()]), '+');
    const last = told(healthy, 1000);
    expect(tellAtMs(probed(healthy, '+++++'), last, T0)).toBeNull();
    expect(tellAtMs(probed(healthy, '---', 'web', 2000), last, T0)).toBe(T0 + 1250);
    expect(tellAtMs(said(healthy, 'other words'), last, T0)).toBe(T0 + 31_000);
    const undecided = probed(begun([aCheck()]), '-');
    expect(tellAtMs(said(undecided, 'other words'), told(undecided, 1000), T0)).toBe(T0 + 6000);
  });

  it('tells of a check that flips although the others have the say', () => {
    const checks = probed(begun([aCheck(), aCheck({ name: 'deep' })]), '---');
    expect(tellAtMs(probed(checks, '---', 'deep', 5000), told(checks, 4000), T0)).toBe(T0 + 4250);
  });

  it('tells that it came and went, since it has not been healthy without a break', () => {
    const healthy = probed(begun([aCheck({ failuresMax: 1 })]), '+');
    expect(tellAtMs(probed(healthy, '-+', 'web', 2000), told(healthy, 1000), T0)).toBe(T0 + 1250);
  });
});

describe('any series of probes', () => {
  const anySeries = fc.array(fc.constantFrom('+', '-', '?'), { maxLength: 60 }).map((signs) => signs.join(''));
  const anySpec = fc
    .record({
      failuresMax: fc.integer({ min: 1, max: 5 }),
      successesMin: fc.integer({ min: 1, max: 5 }),
      graceSeconds: fc.integer({ min: 0, max: 40 }),
    })
    .map(aCheck);

  it('makes a check fail only by so many failures in a row, none of them excused', () => {
    fc.assert(
      fc.property(anySpec, anySeries, (spec, series) => {
        const counted = [...series].filter(
          (sign, index) => sign === '+' || (sign === '-' && isCounted(spec, series, index)),
        );
        const longest = Math.max(
          0,
          ...counted
            .join('')
            .split('+')
            .map((run) => run.length),
        );
        const hasFailed = [...series].some(
          (_, index) => passing(probed(begun([spec]), series.slice(0, index + 1)))[0] === false,
        );
        expect(hasFailed).toBe(longest >= spec.failuresMax);
      }),
    );
  });

  it('ends as it should after enough that pass, and after enough that fail', () => {
    fc.assert(
      fc.property(anySpec, anySeries, (spec, series) => {
        expect(passing(probed(begun([spec]), series + '+'.repeat(spec.successesMin)))).toEqual([true]);
        const fails = `${series}+${'-'.repeat(spec.failuresMax)}`;
        expect(passing(probed(begun([spec]), fails))).toEqual([false]);
      }),
    );
  });

  it('comes to the same whatever the clock on the wall says', () => {
    fc.assert(
      fc.property(anySpec, anySeries, fc.integer({ min: -1e12, max: 1e12 }), (spec, series, stepMs) => {
        const stepped = [...series].reduce(
          (before, sign, index) => {
            const begunAtMs = T0 + 1000 + index * 1000;
            const outcome = { type: OUTCOMES[sign] ?? 'unknown', message: '' };
            const now = at(1010 + index * 1000, index % 2 === 0 ? stepMs : 0);
            return probeEnded(probeBegun(before, 'web', begunAtMs), 'web', outcome, { begunAtMs, now });
          },
          begun([spec]),
        );
        const straight = probed(begun([spec]), series);
        expect(passing(stepped)).toEqual(passing(straight));
        expect(stepped.checks[0]?.nextAtMs).toBe(straight.checks[0]?.nextAtMs);
      }),
    );
  });
});

/** Whether the failure at `index` is outside of the grace, or after a success. */
function isCounted(spec: CheckSpec, series: string, index: number): boolean {
  return series.slice(0, index).includes('+') || index + 1 >= spec.graceSeconds;
}
