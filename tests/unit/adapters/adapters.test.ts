import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { SystemClock } from '../../../control-plane/adapters/clock/system-clock.ts';
import { createPinoLogger, type LogLevel } from '../../../control-plane/adapters/log/pino-logger.ts';
import { CryptoRandom } from '../../../control-plane/adapters/random/crypto-random.ts';
import { randomId } from '../../../shared/util/random.ts';

describe('the system clock', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test('fires once, after its time', () => {
    const fired = vi.fn();
    new SystemClock().setTimer(1000, fired);
    vi.advanceTimersByTime(999);
    expect(fired).not.toHaveBeenCalled();
    vi.advanceTimersByTime(5000);
    expect(fired).toHaveBeenCalledTimes(1);
  });

  test('waits longer than one timer of the platform can', () => {
    const [fired, calledOff] = [vi.fn(), vi.fn()];
    const days = 24 * 3600 * 1000;
    const clock = new SystemClock();
    clock.setTimer(60 * days, fired);
    const timer = clock.setTimer(60 * days, calledOff);
    vi.advanceTimersByTime(59 * days);
    expect(fired).not.toHaveBeenCalled();
    timer.cancel();
    vi.advanceTimersByTime(2 * days);
    expect(fired).toHaveBeenCalledTimes(1);
    expect(calledOff).not.toHaveBeenCalled();
  });

  test('tells the time, and one that never steps back', () => {
    vi.setSystemTime(1_700_000_000_000);
    const clock = new SystemClock();
    expect(clock.now()).toBe(1_700_000_000_000);
    const before = clock.monotonicMs();
    vi.advanceTimersByTime(250);
    expect(clock.monotonicMs() - before).toBe(250);
  });
});

test('random numbers stay in their range, and ids differ', () => {
  const random = new CryptoRandom();
  const numbers = Array.from({ length: 1000 }, () => random.next());
  expect(numbers.every((number) => number >= 0 && number < 1)).toBe(true);
  expect(new Set(numbers).size).toBeGreaterThan(990);
  expect(random.bytes(33)).toHaveLength(33);
  expect(new Set(Array.from({ length: 1000 }, () => randomId(random))).size).toBe(1000);
});

describe('the logger', () => {
  function linesAt(
    level: LogLevel,
    log: (logger: ReturnType<typeof createPinoLogger>) => void,
  ): Record<string, unknown>[] {
    const lines: string[] = [];
    log(createPinoLogger({ level, name: 'replica', destination: { write: (line) => void lines.push(line) } }));
    return lines.map((line) => JSON.parse(line));
  }

  test('writes a line of JSON with the fields, the sentence, the level by name and the time', () => {
    const [line] = linesAt('info', (log) => log.warn({ node: 'n1', count: 3 }, 'a node is late'));
    expect(line).toEqual({
      level: 'warn',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      name: 'replica',
      node: 'n1',
      count: 3,
      msg: 'a node is late',
    });
  });

  test('drops what is below its level', () => {
    const words = linesAt('warn', (log) => {
      log.debug({}, 'debug');
      log.info({}, 'info');
      log.warn({}, 'warn');
      log.error({}, 'error');
    });
    expect(words.map((line) => line['msg'])).toEqual(['warn', 'error']);
    expect(linesAt('silent', (log) => log.error({}, 'error'))).toEqual([]);
  });

  test('prints an error with what caused it', () => {
    const error = new Error('the plan was not committed', { cause: new Error('the store was away') });
    const [line] = linesAt('info', (log) => log.error({ error }, 'a round failed'));
    expect(line).toMatchObject({
      error: { message: 'the plan was not committed', cause: { message: 'the store was away' } },
    });
  });
});
