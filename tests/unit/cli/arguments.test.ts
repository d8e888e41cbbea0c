import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  constraintArgument,
  durationSeconds,
  envPair,
  jobKey,
  jobName,
  mebibytes,
  onOrOff,
  portArgument,
  wholeNumber,
} from '../../../control-plane/cli/arguments.ts';

describe('a duration', () => {
  it.each([
    ['90', 90],
    ['1.5', 1.5],
    ['90s', 90],
    ['5m', 300],
    ['1h30m', 5400],
    ['2d', 172_800],
    ['500ms', 0.5],
  ])('%s is %d seconds', (text, seconds) => expect(durationSeconds(text)).toBe(seconds));

  it.each(['', '-1', '5x', 'm', '1h 30m', 'NaN', '1e3', '0x10'])('"%s" is refused', (text) => {
    expect(() => durationSeconds(text)).toThrow(/90s, 5m or 1h30m/);
  });
});

describe('an amount of memory', () => {
  it.each([
    ['256', 256],
    ['512M', 512],
    ['512MiB', 512],
    ['1.5G', 1536],
    ['2gib', 2048],
    ['1T', 1_048_576],
  ])('%s is %d MiB', (text, amount) => expect(mebibytes(text)).toBe(amount));

  it.each(['', 'G', '1K', '0.3', '-5', '1.0001G', '1GG'])('"%s" is refused', (text) => {
    expect(() => mebibytes(text)).toThrow(/MiB/);
  });
});

describe('a whole number', () => {
  it.each(['1.5', '-1', 'x', '', '1e2', '99999999999999999999'])('"%s" is refused', (text) => {
    expect(() => wholeNumber(text)).toThrow(/whole number/);
  });
});

describe('a variable', () => {
  const parse = envPair({ HOME: '/root' });

  it('keeps everything after the first equals sign', () => expect(parse('A=b=c')).toEqual({ A: 'b=c' }));
  it('may be empty', () => expect(parse('A=')).toEqual({ A: '' }));
  it('is taken from here when only named', () => expect(parse('HOME', { A: 'b' })).toEqual({ A: 'b', HOME: '/root' }));
  it('that is set nowhere is refused', () => expect(() => parse('NOPE')).toThrow(/NOPE isn't set here/));
  it('without a name is refused', () => expect(() => parse('=x')).toThrow(/NAME=VALUE/));
});

describe('a port', () => {
  it.each([
    ['http', { name: 'http' }],
    ['http:8080', { name: 'http', containerPort: 8080 }],
    ['http:8080:80', { name: 'http', containerPort: 8080, hostPort: 80 }],
    ['http::80', { name: 'http', hostPort: 80 }],
  ])('%s', (text, port) => expect(portArgument(text)).toEqual([port]));

  it.each(['http:0', 'http:65536', 'http:80:80:80', 'Http', 'http:80:', 'http:x', ':80'])('"%s" is refused', (text) => {
    expect(() => portArgument(text)).toThrow();
  });
});

describe('a constraint', () => {
  it.each([
    ['zone=a', { attribute: 'zone', operator: '=', value: 'a' }],
    ['zone != a b', { attribute: 'zone', operator: '!=', value: 'a b' }],
    ['cores>=4', { attribute: 'cores', operator: '>=', value: '4' }],
    ['cores < 4', { attribute: 'cores', operator: '<', value: '4' }],
    ['zone in a, b', { attribute: 'zone', operator: 'in', values: ['a', 'b'] }],
    ['zone notIn a,b', { attribute: 'zone', operator: 'notIn', values: ['a', 'b'] }],
    ['rack matches r[0-9]+', { attribute: 'rack', operator: 'matches', value: 'r[0-9]+' }],
    ['rack notMatches x=.*', { attribute: 'rack', operator: 'notMatches', value: 'x=.*' }],
    ['gpu', { attribute: 'gpu', operator: 'exists' }],
    ['!gpu', { attribute: 'gpu', operator: 'notExists' }],
    ['a=', { attribute: 'a', operator: '=', value: '' }],
  ])('%s', (text, constraint) => expect(constraintArgument(text)).toEqual([constraint]));

  it.each(['', '=a', 'zone in', 'zone matches', 'a b', '!'])('"%s" is refused', (text) => {
    expect(() => constraintArgument(text)).toThrow(/zone=a/);
  });

  it('is added to those before it', () => {
    expect(constraintArgument('gpu', constraintArgument('zone=a'))).toHaveLength(2);
  });
});

describe('the name of a job', () => {
  it('may carry its role', () => expect(jobKey('eng/ml/train', undefined)).toEqual({ role: 'eng/ml', name: 'train' }));
  it('takes the role of the flag', () => expect(jobKey('train', 'eng')).toEqual({ role: 'eng', name: 'train' }));

  it('is read back as it is printed', () => {
    const word = fc.stringMatching(/^[a-z][a-z0-9]{0,5}$/);
    fc.assert(
      fc.property(word, fc.array(word, { minLength: 1, maxLength: 4 }), (name, path) => {
        const key = { name, role: path.join('/') };
        expect(jobKey(jobName(key), undefined)).toEqual(key);
      }),
    );
  });
});

describe('on and off', () => {
  it('are all there is', () => {
    expect([onOrOff('on'), onOrOff('off')]).toEqual([true, false]);
    expect(() => onOrOff('yes')).toThrow(/on or off/);
  });
});
